/**
 * The key that a request carries: `?apikey=` first, else `Authorization: Bearer` or `ApiKey`. Source of the details
 * (one value, exactly one space, word characters): recorded answers of the reference implementation.
 */
export function keyOf({ url, headers }: Pick<Request, "url" | "headers">): string | undefined {
  const query = url.indexOf("?");
  const inQuery = query < 0 ? [] : new URLSearchParams(url.slice(query)).getAll("apikey");
  if (inQuery.length > 1) return undefined;
  if (inQuery[0]) return inQuery[0];
  return /^(?:bearer|apikey) (\w+)\s*$/i.exec(headers.get("authorization") ?? "")?.[1];
}
