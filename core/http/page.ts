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

/** Whether a browser asks for the page at `/`. */
export function isForPage({ method, url, headers }: Request): boolean {
  if (method !== "GET" && method !== "HEAD") return false;
  // Few requests are for `/`: the others cost a comparison.
  const start = url.indexOf("/", url.indexOf("//") + 2);
  return /^\/(\?|$)/.test(url.slice(start, start + 2)) && /\btext\/html\b/i.test(headers.get("accept") ?? "");
}

function toResponse({ gzipped, tag }: Page, request: Request): Response {
  const isGzip = /\bgzip\b/i.test(request.headers.get("accept-encoding") ?? "");
  const answer = pageResponse(request, tag, () => (isGzip ? gzipped : unpacked(gzipped)));
  answer.headers.set("vary", "accept, accept-encoding");
  if (isGzip) answer.headers.set("content-encoding", "gzip");
  return answer;
}

/** The answer with a page, or that the browser has it already. */
export function pageResponse({ method, headers: asked }: Request, tag: string, body: () => BodyInit): Response {
  const etag = `W/"${tag}"`;
  const headers = {
    ...{ etag, "cache-control": "no-cache", vary: "accept" },
    "content-type": "text/html; charset=utf-8",
    // A policy in a `meta` element cannot forbid frames.
    "content-security-policy": "frame-ancestors 'none'",
    ...{ "x-content-type-options": "nosniff", "referrer-policy": "same-origin" },
  };
  if (asked.get("if-none-match") === etag) return new Response(null, { status: 304, headers });
  return new Response(method === "HEAD" ? null : body(), { headers });
}

const unpacked = (bytes: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array> =>
  new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
