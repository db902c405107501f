import { execInput, startExec } from "../api/device/exec.ts";
import { setHostConfig } from "../api/device/host-config.ts";
import { setTargetState } from "../api/device/local-mode.ts";
import { mediaTypeOf } from "./body.ts";
import { deviceError } from "./device.ts";
import type { Fetch } from "./fetch.ts";
import { createRouter } from "./router.ts";

export interface OriginRules {
  /** Whether requests need no key, as it may change at any time. Then the host of a request must be a local one. */
  readonly isOpen: () => boolean;
  /** Pages of these origins may use the API, and get CORS headers. As browsers write them: "http://panel.lan:8080". */
  readonly allowOrigins?: readonly string[];
  /** Hosts that are allowed although they are not local, in lower case: "device.example.com". */
  readonly allowHosts?: readonly string[];
}

/**
 * The same `fetch`, for a listener that browsers can reach: it refuses what web pages make them send. Any page can send
 * forms and GETs to the device. A page whose DNS name was pointed at the device after it was loaded (DNS rebinding) can
 * send everything, since for the browser it is of the same origin. A key stops both, but in local mode none is needed.
 */
export function guardOrigin(fetch: Fetch, { isOpen, allowOrigins = [], allowHosts = [] }: OriginRules): Fetch {
  const origins = new Set(allowOrigins);
  const hosts = new Set(allowHosts);
  // Most requests are for the same host as the previous one, which is not parsed again.
  let last: Addressee | undefined;

  const refuse = (request: Request, origin: string | null, site: string | null): Response | undefined => {
    const { url } = request;
    const addressee = last !== undefined && url.startsWith(last.prefix) ? last : parseAddressee(url, hosts);
    if (!addressee) return answer(request, 400, "Cannot read the Host header, expected a host name or an address");
    last = addressee;
    const isAllowed = origin !== null && origins.has(origin);
    const isOwn = (origin === null || origin === addressee.origin) && !isForeign(site);
    if (!isOwn && !isAllowed) return answer(request, 403, foreignPage(origin));
    if (!addressee.isLocal && isOpen()) return answer(request, 421, foreignHost(addressee.host));
    if (request.method === "POST" || request.method === "PATCH") return refuseForm(request, origin, site);
    return undefined;
  };

  if (origins.size === 0)
    return (request, caller) => {
      const { headers } = request;
      const refused = refuse(request, headers.get("origin"), headers.get("sec-fetch-site"));
      return refused ? Promise.resolve(refused) : fetch(request, caller);
    };

  return async (request, caller) => {
    const origin = request.headers.get("origin");
    const isAllowed = origin !== null && origins.has(origin);
    const response =
      refuse(request, origin, request.headers.get("sec-fetch-site")) ??
      (isAllowed && isPreflight(request) ? preflight(request) : await fetch(request, caller));
    response.headers.append("vary", "Origin");
    if (isAllowed) response.headers.set("access-control-allow-origin", origin);
    return response;
  };
}

/** The host that a request is for. Its URL has the host of the request target if there is one, else that of the Host header. */
interface Addressee {
  /** The beginning of every URL of this host: scheme, host and the slash after it. */
  readonly prefix: string;
  readonly origin: string;
  readonly host: string;
  readonly isLocal: boolean;
}

function parseAddressee(url: string, allowed: ReadonlySet<string>): Addressee | undefined {
  const end = url.indexOf("/", url.indexOf("//") + 2);
  if (end < 0 || !URL.canParse(url)) return undefined;
  const { origin, hostname } = new URL(url);
  const host = hostname.replace(/\.$/, "");
  return { prefix: url.slice(0, end + 1), origin, host, isLocal: isLocal(host) || allowed.has(host) };
}

/** Addresses, and names that public DNS does not resolve. A parsed URL has IPv4 addresses as four numbers. */
const isLocal = (host: string): boolean =>
  host.startsWith("[") ||
  /^\d+\.\d+\.\d+\.\d+$/.test(host) ||
  !host.includes(".") ||
  [".local", ".lan", ".home.arpa", ".internal"].some((end) => host.endsWith(end));

/** Whether the page is of another origin, as Sec-Fetch-Site has it. "same-site" is another port: a page of some service. */
const isForeign = (site: string | null): boolean => site !== null && site !== "none" && site !== "same-origin";

/** Old browsers do not send the origin of a form, but no form sends JSON. */
const jsonOnly = createRouter([setTargetState, setHostConfig, startExec, execInput], { ignoreCase: true });

function refuseForm(request: Request, origin: string | null, site: string | null): Response | undefined {
  const { headers } = request;
  if (!jsonOnly.find(request)) return undefined;
  const isBrowser =
    origin !== null ||
    site !== null ||
    headers.has("sec-fetch-mode") ||
    (headers.get("user-agent") ?? "").startsWith("Mozilla/");
  if (!isBrowser) return undefined;
  const type = mediaTypeOf(headers);
  if (type === "application/json") return undefined;
  return answer(request, 415, `From a browser, expected Content-Type application/json, but got ${type || "none"}`);
}

const isPreflight = ({ method, headers }: Request): boolean =>
  method === "OPTIONS" && headers.has("access-control-request-method");

function preflight({ headers }: Request): Response {
  const isPrivate = headers.get("access-control-request-private-network") === "true";
  return new Response(null, {
    status: 204,
    headers: {
      "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE",
      "access-control-allow-headers": "Authorization, Content-Type, Idempotency-Key, Prefer",
      "access-control-max-age": "600",
      ...(isPrivate && { "access-control-allow-private-network": "true" }),
    },
  });
}

const answer = (request: Request, status: number, message: string): Response => deviceError(status, message, request);

const foreignPage = (origin: string | null): string =>
  origin === null || parseOrigin(origin) === undefined
    ? "This request comes from a page of another origin"
    : `This request comes from a page of ${origin}. To let that page use the API, start the agent with --allow-origin ${origin} (or FAIRLEAD_ALLOW_ORIGIN)`;

const foreignHost = (host: string): string =>
  `This device needs no key, so it must be reached by an address or a local name, but the request is for ${host}. To allow this name, start the agent with --allow-host ${host} (or FAIRLEAD_ALLOW_HOST)`;

/** An origin as browsers write it; undefined when it is none, or more than one. */
export function parseOrigin(text: string): string | undefined {
  // The URL parser accepts a star in a host name.
  if (!/^https?:\/\/[^/?#@\\*\s]+$/i.test(text) || !URL.canParse(text)) return undefined;
  return new URL(text).origin;
}

/** A host name as URLs have it; undefined when it is none, or has a port. */
export function parseHost(text: string): string | undefined {
  if (!/^[^/?#@\\*\s:]+$/.test(text) || !URL.canParse(`http://${text}`)) return undefined;
  return new URL(`http://${text}`).hostname.replace(/\.$/, "");
}
