import type { IncomingMessage } from "node:http";
import { gunzipSync } from "node:zlib";

/** Requests to the fake cloud and its answers, as values. */

export interface Question {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingMessage["headers"];
  /** The API key, from the header or the query. */
  readonly key: string | undefined;
  readonly body: Buffer;
}

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export const empty = (status: number, headers: Readonly<Record<string, string>> = {}): Answer => ({ status, headers });

/** Messages of refusals are JSON strings. */
export const json = (status: number, value: unknown): Answer => ({
  status,
  headers: { "content-type": "application/json; charset=utf-8" },
  body: JSON.stringify(value),
});

export const html = (status: number, body: string): Answer => ({
  status,
  headers: { "content-type": "text/html; charset=utf-8" },
  body,
});

/** The answer of routes that require a key: without a key, with an unknown key, or while the database is down. */
export const keyRequired = json(401, { error: "API key required" });

export const keyOf = (headers: IncomingMessage["headers"], url: URL): string | undefined =>
  /^Bearer (.+)$/i.exec(headers.authorization ?? "")?.[1] ?? url.searchParams.get("apikey") ?? undefined;

export const isJson = ({ headers }: Question): boolean =>
  /^application\/(.+\+)?json/.test(headers["content-type"] ?? "");

/** Undefined if the body is not JSON. */
export function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return undefined;
  }
}

/** Undefined if the body does not have its `Content-Encoding`, or that is not supported. */
export function unpacked({ headers, body }: Pick<Question, "headers" | "body">): Buffer | undefined {
  const encoding = headers["content-encoding"];
  if (encoding === undefined) return body;
  if (encoding !== "gzip") return undefined;
  try {
    return gunzipSync(body);
  } catch {
    return undefined;
  }
}
