/** A request to the cloud. The path is relative to its endpoint. */
export interface CloudRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Such as "/device/register", with the query. */
  readonly path: string;
  readonly key: string;
  /** By lower case name. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeoutMs: number;
}

export interface CloudAnswer {
  readonly status: number;
  /** By lower case name. */
  readonly header: (name: string) => string | undefined;
  readonly text: string;
}

/**
 * Sends a request to a cloud with the device API. Rejects when there is no answer. Must not send `Cache-Control: no-cache`:
 * with it, the cloud would never answer "not modified".
 */
export type Cloud = (request: CloudRequest, signal: AbortSignal) => Promise<CloudAnswer>;
