import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { redact } from "../../../core/model/secrets.ts";
import type { Cloud } from "../../../core/ports/cloud.ts";

/** Below that, packing costs more than it saves. */
const worthPacking = 1024;

/** The cloud at an endpoint, by the runtime's own fetch, which is taken for a browser's if it does not say who asks. */
export function httpCloud(endpoint: string, userAgent: string): Cloud {
  // A doubled slash in a path is 404 there.
  const base = endpoint.replace(/\/+$/, "");
  return async ({ method, path, key, headers, body, timeoutMs }, signal) => {
    const packed = body !== undefined && body.length >= worthPacking ? await promisify(gzip)(body) : undefined;
    try {
      const response = await fetch(base + path, {
        method,
        headers: {
          authorization: `Bearer ${key}`,
          "user-agent": userAgent,
          // Without one of ours, fetch adds "no-cache" to whatever has an If-None-Match.
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

/** fetch says "fetch failed", and why only in its cause. */
const reasonOf = (error: unknown): string =>
  error instanceof Error && error.cause instanceof Error
    ? reasonOf(error.cause)
    : error instanceof Error
      ? error.message || error.name
      : String(error);
