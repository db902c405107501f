import { authenticate, isKeyOf, rejectKey } from "../auth/authenticate.ts";
import { keyInHeader } from "../auth/credential.ts";
import type { Env } from "../env.ts";
import { wrongKey } from "./call-failure.ts";

export const isUuid = (text: string): boolean => /^([0-9a-f]{32}|[0-9a-f]{62})$/.test(text);

/** `GET /tunnel/<uuid>`: a device connects. Its session, which checks the key again, is woken only for a valid key. */
export async function tunnel(request: Request, { pathname }: URL, env: Env): Promise<Response> {
  const uuid = pathname.slice("/tunnel/".length);
  if (request.headers.get("upgrade") !== "websocket")
    return Response.json("Expected the WebSocket of a device", { status: 426 });
  if (!isUuid(uuid)) return Response.json("Expected a uuid of 32 or 62 lower case hex digits", { status: 400 });
  const key = keyInHeader(request);
  const nowMs = Date.now();
  const authentication =
    key === undefined ? undefined : await authenticate(request, env, nowMs, { key, from: "header" });
  if (authentication instanceof Response) return authentication;
  if (authentication?.is !== "key" || !(await isKeyOf(uuid, authentication.digest, request, env, nowMs)))
    return Response.json(wrongKey, { status: 401 });
  const answer = await env.DEVICES.getByName(uuid).fetch(request);
  if (answer.status === 401) await rejectKey(authentication.digest, request, env, nowMs);
  return answer;
}
