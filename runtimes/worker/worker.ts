import { answerDocs } from "../../core/http/docs-page.ts";
import { isForPage } from "../../core/http/page.ts";
import { openApi } from "./admin/openapi.ts";
import { authenticate, cacheKey, isKeyOf, rejectKey } from "./auth/authenticate.ts";
import { credentialOf } from "./auth/credential.ts";
import { authenticationHeader, type Authentication } from "./auth/grant.ts";
import { secretFault } from "./auth/token.ts";
import { directoryOf, type Env } from "./env.ts";
import { answerPage } from "./fleet-page.ts";
import { addressHeader, emptyError, errorOf, inFormOf, keyRequired, unknownHeader } from "./http.ts";
import { addressOf, recordRefusal } from "./relay/audit-sender.ts";
import { answerPing } from "./relay/operation.ts";
import { supervisorProxy } from "./relay/supervisor-proxy.ts";
import { isUuid, tunnel } from "./relay/tunnel.ts";
import { notFound, router } from "./routes.ts";

export { Directory } from "./directory/directory.ts";
export { DeviceLogs } from "./logs/device-logs.ts";
export { DeviceSession } from "./relay/device-session.ts";

export default {
  async fetch(request, env, context) {
    const fault = secretFault(env);
    if (fault !== undefined) return errorOf(503, fault, request);
    const url = new URL(request.url);
    const { pathname } = url;
    try {
      if (pathname.startsWith("/supervisor/") && request.method === "POST")
        return await supervisorProxy(request, url, env, context);
      const answer = await answerOther(request, url, env);
      if (answer.status === 401 && credentialOf(request) !== undefined) recordRefusal(request, env, context);
      return answer;
    } catch (error) {
      // The error's message may name what the client must not know.
      console.error(`${request.method} ${pathname} failed: ${error instanceof Error ? error.stack : String(error)}`);
      return errorOf(503, "The cloud cannot answer right now; try again", request);
    }
  },
} satisfies ExportedHandler<Env>;

async function answerOther(request: Request, url: URL, env: Env): Promise<Response> {
  const { pathname } = url;
  if (pathname.startsWith("/tunnel/")) return tunnel(request, url, env);
  if (pathname === "/" && isForPage(request)) return answerPage(request);
  if (pathname === "/ping") return answerPing();
  if (pathname === "/docs" || pathname === "/docs/errors") return answerDocs(request, pathname);
  if (pathname === "/openapi.json") return Response.json(openApi());
  const [, uuid] = /^\/device\/v2\/([^/]+)\/log(?:s|-stream)$/.exec(pathname) ?? [];
  return uuid !== undefined && isUuid(uuid) ? answerLogs(request, uuid, env) : answerRoute(request, env);
}

/** The request as the Durable Objects receive it: with the authentication instead of the key. */
function authenticated(request: Request, authentication: Authentication): Request {
  const url = new URL(request.url);
  url.searchParams.delete("apikey");
  const headers = new Headers(request.headers);
  headers.delete("authorization");
  headers.set(authenticationHeader, JSON.stringify(authentication));
  headers.set(addressHeader, addressOf(request) ?? "");
  return new Request(new Request(url, request), { headers });
}

/** Asks the directory, which only requests with a credential wake. */
async function answerRoute(request: Request, env: Env): Promise<Response> {
  const match = router.find(request);
  if (!match) return notFound(request);
  const nowMs = Date.now();
  const authentication = await authenticate(request, env, nowMs);
  if (authentication instanceof Response) return inFormOf(request, authentication);
  if (authentication.is === "nobody") return match.route.anonymous();
  const answer = await directoryOf(env).fetch(authenticated(request, authentication));
  if (authentication.is === "person") return withoutHeader(answer);
  if (!answer.headers.has(unknownHeader)) {
    cacheKey(authentication.digest, undefined, env, nowMs);
    return answer;
  }
  await rejectKey(authentication.digest, request, env, nowMs);
  return withoutHeader(answer);
}

function withoutHeader(answer: Response): Response {
  if (!answer.headers.has(unknownHeader)) return answer;
  const bare = new Response(answer.body, answer);
  bare.headers.delete(unknownHeader);
  return bare;
}

/** Asks the log of a device: people read it, the device writes it. Recorded: reading is refused without a body. */
async function answerLogs(request: Request, uuid: string, env: Env): Promise<Response> {
  const nowMs = Date.now();
  const authentication = await authenticate(request, env, nowMs);
  if (authentication instanceof Response) return authentication;
  const { method } = request;
  if (method === "GET" && authentication.is !== "person") return emptyError(401);
  if (method !== "GET" && authentication.is !== "key") return keyRequired();
  if (authentication.is === "key" && !(await isKeyOf(uuid, authentication.digest, request, env, nowMs)))
    return emptyError(401);
  const answer = await env.LOGS.getByName(uuid).fetch(authenticated(request, authentication));
  if (answer.status === 401 && authentication.is === "key") await rejectKey(authentication.digest, request, env, nowMs);
  return answer;
}
