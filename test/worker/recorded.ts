import { bodyOf, type Exchange } from "../cloud/recorded.ts";

/** The recorded exchanges with the public cloud, asked of ours. */

export const recordedFleet = "e9eb9c68bb8547caa6b002595b443009";

/** An answer, as far as it is compared. */
export interface Said {
  readonly status: number;
  /** JSON, a text, or null for an empty one. */
  readonly body: unknown;
}

export async function ask(url: string, exchange: Exchange): Promise<Said & { readonly headers: Headers }> {
  const { method, path, headers } = exchange.request;
  const body = bodyOf(exchange);
  const sent = Object.entries(headers).filter(([name]) => !/^content-length$/i.test(name));
  const response = await fetch(url + path.replaceAll(" ", "%20"), {
    method,
    headers: [
      // Without it, fetch adds `no-cache` of its own to a request with If-None-Match.
      ...("Cache-Control" in headers ? [] : [["cache-control", "max-age=0"] as [string, string]]),
      ...sent.map(([name, value]): [string, string] => [name, String(value)]),
    ],
    ...(body && { body: new Uint8Array(body) }),
  });
  return { status: response.status, headers: response.headers, body: read(await response.text()) };
}

function read(text: string): unknown {
  if (text === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The paths at which two values differ. */
export function differences(a: unknown, b: unknown, path = ""): readonly string[] {
  if (isObject(a) && isObject(b))
    return [...new Set([...Object.keys(a), ...Object.keys(b)])].flatMap((key) =>
      differences(a[key], b[key], path === "" ? key : `${path}.${key}`),
    );
  return JSON.stringify(a) === JSON.stringify(b) ? [] : [path];
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
