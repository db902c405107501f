/** One question to the cloud, below its endpoint. */
export interface CloudRequest {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  /** "/device/register", with its query. */
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
 * Asks a cloud that speaks the device API. Rejects when no answer came. Adds no `Cache-Control: no-cache`, with which a
 * cloud answers every question anew.
 */
export type Cloud = (request: CloudRequest, signal: AbortSignal) => Promise<CloudAnswer>;
