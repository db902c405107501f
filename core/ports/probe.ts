/** Asks a program over HTTP whether it serves. */
export interface Probe {
  /**
   * Sends `GET` and reads only the status of the answer, within a second. Follows no redirect. `error` is a part of a
   * sentence: "refuses the connection". Never throws; the signal ends it early.
   */
  get(url: string, signal: AbortSignal): Promise<ProbeResult>;
}

export type ProbeResult = { readonly status: number } | { readonly error: string };
