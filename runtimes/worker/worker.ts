import { credentialOf, secretFault } from "./auth/access.ts";
import { addressOf, tellRefused } from "./relay/audit-sender.ts";
import { authenticate, failed, isKeyOf, remember } from "./auth/authenticate.ts";
import type { Authentication } from "./directory/context.ts";
import { addressHeader, authenticationHeader, directoryOf, unknownHeader, type Env } from "./env.ts";
import { keyRequired, refuse } from "./http.ts";
import { openApi } from "./admin/openapi.ts";
import { findRoute } from "./routes.ts";
import { isUuid, supervisorProxy, tunnel } from "./relay/supervisor-proxy.ts";

export { DeviceLogs } from "./logs/device-logs.ts";
export { DeviceSession } from "./relay/device-session.ts";
export { Directory } from "./directory/directory.ts";

export default {
  async fetch(request, env, context) {
    const fault = secretFault(env);
    if (fault !== undefined) return refuse(503, fault);
    const url = new URL(request.url);
    const { pathname } = url;
    try {
      if (pathname.startsWith("/supervisor/") && request.method === "POST")
        return await supervisorProxy(request, url, env, context);
      const answer = await otherAnswer(request, url, env);
      if (answer.status === 401 && credentialOf(request) !== undefined) tellRefused(request, env, context);
      return answer;
    } catch (error) {
      // Its message may name what the caller has no business to know.
      console.error(`${request.method} ${pathname} failed: ${error instanceof Error ? error.stack : String(error)}`);
      return refuse(503, "The cloud cannot answer right now; try again");
    }
  },
} satisfies ExportedHandler<Env>;

async function otherAnswer(request: Request, url: URL, env: Env): Promise<Response> {
  const { pathname } = url;
  if (pathname.startsWith("/tunnel/")) return tunnel(request, url, env);
  if (pathname === "/ping") return new Response("OK");
  if (pathname === "/openapi.json") return Response.json(openApi);
  const [, uuid] = /^\/device\/v2\/([^/]+)\/log(?:s|-stream)$/.exec(pathname) ?? [];
  return uuid !== undefined && isUuid(uuid) ? answerLogs(request, uuid, env) : answerRoute(request, env);
}

/** For the objects behind us: they learn who asks, and never see a key. */
function withAuthentication(request: Request, authentication: Authentication): Request {
  const url = new URL(request.url);
  url.searchParams.delete("apikey");
  const headers = new Headers(request.headers);
  headers.delete("authorization");
  headers.set(authenticationHeader, JSON.stringify(authentication));
  headers.set(addressHeader, addressOf(request) ?? "");
  return new Request(new Request(url, request), { headers });
}

/** Of the directory, which is asked only by who has a credential. */
async function answerRoute(request: Request, env: Env): Promise<Response> {
  const match = await findRoute(request);
  if (match instanceof Response) return match;
  const nowMs = Date.now();
  const authentication = await authenticate(request, env, nowMs);
  if (authentication instanceof Response) return authentication;
  if (authentication.is === "nobody") return match.route.anonymous();
  const answer = await directoryOf(env).fetch(withAuthentication(request, authentication));
  if (authentication.is === "person") return withoutHeader(answer);
  if (!answer.headers.has(unknownHeader)) {
    remember(authentication.digest, undefined, env, nowMs);
    return answer;
  }
  await failed(request, authentication.digest, env, nowMs);
  return withoutHeader(answer);
}

function withoutHeader(answer: Response): Response {
  if (!answer.headers.has(unknownHeader)) return answer;
  const told = new Response(answer.body, answer);
  told.headers.delete(unknownHeader);
  return told;
}

/** Of the log of a device: people read it, the device itself writes it. Recorded: reading is refused in silence. */
async function answerLogs(request: Request, uuid: string, env: Env): Promise<Response> {
  const nowMs = Date.now();
  const authentication = await authenticate(request, env, nowMs);
  if (authentication instanceof Response) return authentication;
  const { method } = request;
  if (method === "GET" && authentication.is !== "person") return new Response(null, { status: 401 });
  if (method !== "GET" && authentication.is !== "key") return keyRequired();
  if (authentication.is === "key" && !(await isKeyOf(uuid, authentication.digest, request, env, nowMs)))
    return new Response(null, { status: 401 });
  const answer = await env.LOGS.getByName(uuid).fetch(withAuthentication(request, authentication));
  if (answer.status === 401 && authentication.is === "key") await failed(request, authentication.digest, env, nowMs);
  return answer;
}
