import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { redact } from "../../../core/model/secrets.ts";
import type { Cloud } from "../../../core/ports/cloud.ts";

/** Bodies of fewer bytes are not compressed, because that costs more than it saves. */
const worthPacking = 1024;

/** A client of the cloud's HTTP API. It sets `User-Agent`, because the cloud takes Node's default for a browser's. */
export function httpCloud(endpoint: string, userAgent: string): Cloud {
  // The cloud answers 404 to a path with a double slash.
  const base = endpoint.replace(/\/+$/, "");
  return async ({ method, path, key, headers, body, timeoutMs }, signal) => {
    const packed = body !== undefined && body.length >= worthPacking ? await promisify(gzip)(body) : undefined;
    try {
      const response = await fetch(base + path, {
        method,
        headers: {
          authorization: `Bearer ${key}`,
          "user-agent": userAgent,
          // Without this header, fetch adds "no-cache" to a request with If-None-Match.
          ...(headers?.["if-none-match"] && { "cache-control": "max-age=0" }),
          ...(packed && { "content-encoding": "gzip" }),
          ...headers,
        },
        ...(body !== undefined && { body: packed ?? body }),
        redirect: "error",
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      });
      const text = await response.text();
      return { status: response.status, header: (name) => response.headers.get(name) ?? undefined, text };
    } catch (error) {
      throw new Error(redact(`${base} does not answer: ${reasonOf(error)}`), { cause: error });
    }
  };
}

/** The message of the innermost cause. fetch's own message is only "fetch failed". */
const reasonOf = (error: unknown): string =>
  error instanceof Error && error.cause instanceof Error
    ? reasonOf(error.cause)
    : error instanceof Error
      ? error.message || error.name
      : String(error);
