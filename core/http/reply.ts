import type { Fault, Replies } from "../api/endpoint.ts";
import { hasRefusals } from "../api/fields.ts";
import { refusalType, refuseWith, type Refusal } from "../api/refusal.ts";
import { preferredOf } from "./accept.ts";

/** A handler's reply, without the type of its endpoint. */
export interface AnyReply {
  readonly status: number;
  readonly body?: unknown;
}

export const plain = "text/plain; charset=utf-8";
const jsonType = "application/json; charset=utf-8";

/** A reply → a Response, in the form that its endpoint declares for the status. */
export function toResponse(replies: Replies, { status, body }: AnyReply, request: Request): Response {
  const wire = replies[status];
  if (wire?.isLive && body instanceof ReadableStream) {
    const contentType = wire.streamType ?? wire.contentType ?? "";
    return new Response(body, { status, headers: { "content-type": contentType, ...live } });
  }
  switch (wire?.type) {
    case "stream":
      return new Response(body instanceof ReadableStream ? body : null, {
        status,
        headers: { "content-type": wire.contentType ?? "application/octet-stream" },
      });
    case "empty":
      return new Response(null, { status });
    case "text":
      return wire.contentTypes
        ? inForm(String(body), status, preferredOf(wire.contentTypes, request.headers.get("accept")), request)
        : withHeaders(sized(String(body), status, wire.contentType ?? plain, request), wire.headers);
    case "mixed":
      return typeof body === "string" ? sized(body, status, plain, request) : toJson(body, status, jsonType, request);
    case "json":
    case undefined:
      return toJson(body, status, wire?.contentType ?? jsonType, request);
  }
}

const live = { "cache-control": "no-cache, no-transform", "x-accel-buffering": "no" };

function withHeaders(response: Response, headers: Readonly<Record<string, string>> = {}): Response {
  for (const name in headers) response.headers.set(name, headers[name] ?? "");
  return response;
}

function inForm(body: string, status: number, contentType: string, request: Request): Response {
  const response = sized(body, status, contentType, request);
  response.headers.set("vary", "accept");
  return response;
}

/** The body of a JSON reply may be optional: some refusals of the device ↔ cloud API have none. */
const toJson = (body: unknown, status: number, type: string, request: Request): Response =>
  body === undefined ? new Response(null, { status }) : sized(JSON.stringify(body), status, type, request);

/** An error of which only the status is known, as problem details; undefined for a path whose errors have another form. */
export const refusalAt = (
  { url }: Pick<Request, "url">,
  status: number,
  detail: string,
  faults?: readonly Fault[],
): Response | undefined =>
  URL.canParse(url) && hasRefusals(new URL(url).pathname)
    ? refusalResponse(refuseWith(status, detail, faults))
    : undefined;

/** A refusal that no endpoint declares. */
export const refusalResponse = ({ status, body }: { readonly status: number; readonly body: Refusal }): Response =>
  sized(JSON.stringify(body), status, refusalType);

/** With an entity tag; 304 if the client has this body already. `request`: absent for a refusal. */
export function sized(body: string, status: number, contentType: string, request?: Request): Response {
  const etag = `W/"${body.length.toString(16)}-${hash(body)}"`;
  if (status === 200 && (request?.method === "GET" || request?.method === "HEAD") && matches(request, etag))
    return new Response(null, { status: 304, headers: { etag } });
  return new Response(body, { status, headers: { "content-type": contentType, etag } });
}

function matches(request: Request, etag: string): boolean {
  const known = request.headers.get("if-none-match");
  if (!known || /no-cache/.test(request.headers.get("cache-control") ?? "")) return false;
  const bare = (tag: string) => tag.trim().replace(/^W\//, "");
  return known.trim() === "*" || known.split(",").some((tag) => bare(tag) === bare(etag));
}

/** FNV-1a over two halves of the text's code units: enough to distinguish the states of a device. */
function hash(text: string): string {
  let a = 0x811c9dc5;
  let b = 0x01000193;
  for (let n = 0; n < text.length; n++) {
    const code = text.charCodeAt(n);
    a = Math.imul(a ^ code, 0x01000193);
    b = Math.imul(b ^ code, 0x85ebca6b);
  }
  return (a >>> 0).toString(36) + (b >>> 0).toString(36);
}
