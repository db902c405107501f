import { credentialOf, digestOf, holderOf, looksLikeDeviceKey, secretFault } from "./access.ts";
import type { Asker } from "./desk.ts";
import { askerHeader, directoryOf, type Env } from "./env.ts";
import { refuse } from "./http.ts";
import { openApi } from "./openapi.ts";
import { isUuid, supervisorProxy, tunnel } from "./supervisor-proxy.ts";

export { DeviceLogs } from "./device-logs.ts";
export { DeviceSession } from "./device-session.ts";
export { Directory } from "./directory.ts";

export default {
  async fetch(request, env) {
    const fault = secretFault(env);
    if (fault !== undefined) return refuse(503, fault);
    const url = new URL(request.url);
    const { pathname } = url;
    try {
      if (pathname.startsWith("/supervisor/") && request.method === "POST")
        return await supervisorProxy(request, url, env);
      if (pathname.startsWith("/tunnel/")) return await tunnel(request, url, env);
      if (pathname === "/ping") return new Response("OK");
      if (pathname === "/openapi.json") return Response.json(openApi);
      const asker = await askerOf(request, env);
      const [, uuid] = /^\/device\/v2\/([^/]+)\/log(?:s|-stream)$/.exec(pathname) ?? [];
      if (uuid === undefined || !isUuid(uuid)) return await directoryOf(env).fetch(withAsker(request, asker));
      // Nobody wakes an object.
      if (asker.is === "nobody") return nobodysLogs(request.method);
      return await env.LOGS.getByName(uuid).fetch(withAsker(request, asker));
    } catch (error) {
      // Its message may name what the caller has no business to know.
      console.error(`${request.method} ${pathname} failed: ${error instanceof Error ? error.stack : String(error)}`);
      return refuse(503, "The cloud cannot answer right now; try again");
    }
  },
} satisfies ExportedHandler<Env>;

/** For the objects behind us: they learn who asks, and never see a key. */
function withAsker(request: Request, asker: Asker): Request {
  const url = new URL(request.url);
  url.searchParams.delete("apikey");
  const headers = new Headers(request.headers);
  headers.delete("authorization");
  headers.set(askerHeader, JSON.stringify(asker));
  return new Request(new Request(url, request), { headers });
}

async function askerOf(request: Request, env: Env): Promise<Asker> {
  const credential = credentialOf(request);
  if (!credential) return { is: "nobody" };
  const caller = await holderOf(credential, env, Date.now());
  if (caller) return { is: "person", caller };
  const { key } = credential;
  return looksLikeDeviceKey(key) ? { is: "key", digest: await digestOf(key) } : { is: "nobody" };
}

/** Recorded: without a key, reading is refused in silence, and writing in words. */
const nobodysLogs = (method: string): Response =>
  method === "GET"
    ? new Response(null, { status: 401 })
    : Response.json({ error: "API key required" }, { status: 401 });
