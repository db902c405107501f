import { ProxiedRequest } from "../../../core/api/cloud/proxy.ts";
import { readBody, type Body } from "../../../core/http/body.ts";
import { parseJson } from "../../../core/model/json.ts";
import { noBytes, type Bytes, type RequestHead } from "../../../core/relay/frame.ts";
import { credentialOf, keyInHeader, type Grant } from "../auth/access.ts";
import { audited, tellRefused, type Asking } from "./audit-sender.ts";
import { authenticate, findGrant, failed, isKeyOf } from "../auth/authenticate.ts";
import type { AuditTarget } from "../directory/context.ts";
import { callHeader, offline, wrongKey, type SessionCall } from "./device-session.ts";
import { directoryOf, type Env } from "../env.ts";
import { fanOut, mostDevices } from "./fan-out.ts";
import { limitBytes } from "../http.ts";

const encoder = new TextEncoder();

/** What stands around `data`. */
const envelopeBytes = 2 * 1024;
/** Of the one request that is as large as a whole target state. */
const targetStateBytes = 10 * 1024 * 1024;
const isTargetState = (path: string): boolean => /^\/v2\/local\/target-state\/?$/i.test(path);

const longestMs = 50_000;

/**
 * `POST /supervisor/<url>`: relays to the devices that the body names. One device: its own answer, whole or as a stream.
 * Several: 207 with an entry for each. `Prefer: wait=<seconds>` shortens the wait for the answer, 50 s.
 */
export async function supervisorProxy(
  request: Request,
  url: URL,
  env: Env,
  context: Pick<ExecutionContext, "waitUntil">,
): Promise<Response> {
  const grant = await findGrant(request, env, Date.now());
  if (grant instanceof Response) return grant;
  if (!grant) {
    if (credentialOf(request) !== undefined) tellRefused(request, env, context);
    return Response.json("Unauthorized", { status: 401 });
  }
  const path = url.pathname.slice("/supervisor".length);
  if (path === "" || path === "/") return refuse("Supervisor API url must be specified");
  const sent = await readAsked(request, isTargetState(path) ? targetStateBytes : limitBytes + envelopeBytes);
  if (!sent.ok) return Response.json(sent.message, { status: sent.status });
  const asked = parse(sent.value);
  if (typeof asked === "string") return refuse(asked);

  const data = toText(asked.data);
  if (data === undefined) return refuse("data: expected fewer levels in each other");
  const hasNoBody = asked.method === "GET" || asked.method === "HEAD";
  const body = asked.data && !hasNoBody ? new Uint8Array(encoder.encode(data)) : undefined;
  const head: RequestHead = {
    method: asked.method,
    path: path + queryOf(url, hasNoBody ? asked.data : undefined),
    headers: [
      ...(body === undefined ? [] : [["content-type", "application/json"] as [string, string]]),
      ...forwarded.flatMap((name): [string, string][] => {
        const value = request.headers.get(name);
        return value === null ? [] : [[name, value]];
      }),
    ],
  };
  const targets = await find(asked, grant, env);
  const [first] = targets;
  const asking: Asking = { grant, head, request, env, context };
  if (!first) return audited(Promise.resolve(Response.json(offline, { status: 404 })), targetOf(asked), asking);
  if (targets.length > mostDevices)
    return refuse(
      `App ${asked.appId} has more than the ${mostDevices} devices that one request can reach: ask each by uuid`,
    );

  const wait = waitOf(request);
  const timeoutMs = wait ?? longestMs;
  const isOne = targets.length === 1;
  const answer = await audited(
    isOne
      ? callOne(first.uuid, { grant, head, body, timeoutMs }, env)
      : fanOut(
          targets,
          { grant, request: { ...head, body: body ?? noBytes }, timeoutMs, parsed: asked.data !== undefined },
          env,
        ),
    isOne ? { uuid: first.uuid } : { ...targetOf(asked), about: `${targets.length} devices` },
    asking,
  );
  if (wait === undefined) return answer;
  const told = new Response(answer.body, answer);
  told.headers.set("preference-applied", `wait=${wait / 1000}`);
  return told;
}

const targetOf = ({ uuid, appId }: ProxiedRequest): AuditTarget => ({
  uuid: uuid && isUuid(uuid) ? uuid : undefined,
  fleetId: appId ?? undefined,
});

/** `GET /tunnel/<uuid>`: a device dials in. Its session, which looks at the key again, is not woken for another one. */
export async function tunnel(request: Request, { pathname }: URL, env: Env): Promise<Response> {
  const uuid = pathname.slice("/tunnel/".length);
  if (request.headers.get("upgrade") !== "websocket")
    return Response.json("Expected the WebSocket of a device", { status: 426 });
  if (!isUuid(uuid)) return refuse("Expected a uuid of 32 or 62 lower case hex digits");
  const key = keyInHeader(request);
  const nowMs = Date.now();
  const authentication =
    key === undefined ? undefined : await authenticate(request, env, nowMs, { key, from: "header" });
  if (authentication instanceof Response) return authentication;
  if (authentication?.is !== "key" || !(await isKeyOf(uuid, authentication.digest, request, env, nowMs)))
    return Response.json(wrongKey, { status: 401 });
  const answer = await env.DEVICES.getByName(uuid).fetch(request);
  if (answer.status === 401) await failed(request, authentication.digest, env, nowMs);
  return answer;
}

interface OneCall extends Omit<SessionCall, "bodyLength"> {
  readonly body: Bytes | undefined;
}

/** Through the session's fetch: a stream stays one, and who hangs up is heard, since that ends this fetch with ours. */
function callOne(uuid: string, { body, ...asked }: OneCall, env: Env): Promise<Response> {
  const call: SessionCall = { ...asked, bodyLength: body?.length ?? 0 };
  return env.DEVICES.getByName(uuid).fetch("https://device/", {
    method: call.head.method,
    headers: { [callHeader]: JSON.stringify(call) },
    ...(body && { body }),
  });
}

/** A command for one uuid touches that device's session alone. */
async function find({ uuid, deviceId, appId }: ProxiedRequest, grant: Grant, env: Env) {
  if (uuid && (!isUuid(uuid) || (grant.device !== undefined && grant.device !== uuid))) return [];
  if (uuid && deviceId == null && appId == null) return [{ uuid, deviceId: 0 }];
  return directoryOf(env).find(grant, {
    ...(uuid && { uuid }),
    ...(deviceId != null && { deviceId }),
    ...(appId != null && { appId }),
  });
}

export const isUuid = (text: string): boolean => /^([0-9a-f]{32}|[0-9a-f]{62})$/.test(text);

const noJson = "Expected a JSON object with uuid, deviceId or appId";

/**
 * The body as JSON, whatever type it says to be of. Most are small and say how long they are: those are read at once.
 */
async function readAsked(
  request: Request,
  limit: number,
): Promise<Body | { readonly ok: true; readonly value: unknown }> {
  const { headers } = request;
  const length = headers.get("content-length");
  if (length !== null && Number(length) <= limitBytes && !headers.has("content-encoding"))
    return { ok: true, value: parseJson(await request.text()) };
  const asJson = new Headers(headers);
  asJson.set("content-type", "application/json");
  return readBody(new Request(request, { headers: asJson }), { limitBytes: limit });
}

/** As JSON; undefined when its levels are too many to be written down. */
function toText(data: ProxiedRequest["data"]): string | undefined {
  try {
    return JSON.stringify(data ?? {});
  } catch {
    return undefined;
  }
}

/** What was asked, or the sentence that says what is wrong with it. */
function parse(json: unknown): ProxiedRequest | string {
  if (json === undefined) return noJson;
  const parsed = ProxiedRequest.safeParse(json);
  if (!parsed.success)
    return parsed.error.issues
      .map(({ path, message }) =>
        /^Invalid method|if specified$/.test(message) ? message : `${path.join(".") || "body"}: ${message}`,
      )
      .join("; ");
  const { uuid, deviceId, appId } = parsed.data;
  return uuid == null && deviceId == null && appId == null ? "At least one filter must be specified" : parsed.data;
}

const refuse = (message: string): Response => Response.json(message, { status: 400 });

/** Headers of the caller that the device sees; never keys or cookies. */
const forwarded = ["accept", "if-none-match"];

const isKey = (name: string): boolean => /^(api[-_]?key|(access[-_]?)?token|authorization)$/i.test(name);

/** The caller's query without keys, and what a request that has no body says in `data`. */
function queryOf(url: URL, data: ProxiedRequest["data"]): string {
  if (url.search === "" && data === undefined) return "";
  const { search, searchParams } = url;
  const kept = [...searchParams].filter(([name]) => !isKey(name));
  const more = Object.entries(data ?? {}).map(([name, value]): [string, string] => [name, wordOf(value)]);
  if (more.length === 0 && kept.length === searchParams.size) return search;
  const query = new URLSearchParams([...kept, ...more]).toString();
  return query && `?${query}`;
}

const wordOf = (value: unknown): string =>
  typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);

/** Milliseconds by `Prefer: wait=<seconds>` (RFC 7240): shorter than ours, never longer. */
function waitOf({ headers }: Request): number | undefined {
  const seconds = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,5})"?/i.exec(headers.get("prefer") ?? "")?.[1];
  return seconds === undefined ? undefined : Math.min(Math.max(1, Number(seconds)) * 1000, longestMs);
}
