/** What a client prefers (RFC 7240), as far as it is known here. */
export interface Preferences {
  /** To get an answer before the work is done. */
  readonly respondAsync: boolean;
  /** For how long to wait for the answer itself. */
  readonly waitMs?: number | undefined;
}

export function preferencesOf({ headers }: Pick<Request, "headers">): Preferences {
  const prefer = headers.get("prefer") ?? "";
  const seconds = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,5})"?/i.exec(prefer)?.[1];
  return {
    respondAsync: /(?:^|,)\s*respond-async\s*(?:$|[,;])/i.test(prefer),
    ...(seconds !== undefined && { waitMs: Number(seconds) * 1000 }),
  };
}
