import type { Fetch } from "./fetch.ts";

/** A page in one file: script and style are inside, and its policy is in a `meta` element. */
export interface Page {
  readonly gzipped: Uint8Array<ArrayBuffer>;
  /** Changes with the content. */
  readonly tag: string;
}

/**
 * The same `fetch`, with a page at `/` for browsers. It contains nothing of the device, so it needs no key. Without a page,
 * and for clients that do not accept HTML, `/` is answered as before.
 */
export const withPage =
  (fetch: Fetch, load: () => Promise<Page | undefined>): Fetch =>
  (request, known) =>
    isForPage(request)
      ? load().then((page) => (page ? toResponse(page, request) : fetch(request, known)))
      : fetch(request, known);

function isForPage({ method, url, headers }: Request): boolean {
  if (method !== "GET" && method !== "HEAD") return false;
  // Few requests are for `/`: the others cost a comparison.
  const start = url.indexOf("/", url.indexOf("//") + 2);
  return /^\/(\?|$)/.test(url.slice(start, start + 2)) && /\btext\/html\b/i.test(headers.get("accept") ?? "");
}

function toResponse({ gzipped, tag }: Page, { method, headers: asked }: Request): Response {
  const isGzip = /\bgzip\b/i.test(asked.get("accept-encoding") ?? "");
  const etag = `W/"${tag}"`;
  const headers = {
    ...{ etag, "cache-control": "no-cache", vary: "accept, accept-encoding" },
    "content-type": "text/html; charset=utf-8",
    // A policy in a `meta` element cannot forbid frames.
    "content-security-policy": "frame-ancestors 'none'",
    ...{ "x-content-type-options": "nosniff", "referrer-policy": "same-origin" },
    ...(isGzip && { "content-encoding": "gzip" }),
  };
  if (asked.get("if-none-match") === etag) return new Response(null, { status: 304, headers });
  if (method === "HEAD") return new Response(null, { headers });
  return new Response(isGzip ? gzipped : unpacked(gzipped), { headers });
}

const unpacked = (bytes: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array> =>
  new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
