import { parseKey, wrongKey } from "../../../core/http/once.ts";
import { preferencesOf } from "../../../core/http/prefer.ts";
import { noBytes, type Bytes, type RequestHead } from "../../../core/relay/frame.ts";
import { findGrant } from "../auth/authenticate.ts";
import { credentialOf, digestOf } from "../auth/credential.ts";
import type { Grant } from "../auth/grant.ts";
import type { AuditTarget } from "../directory/audit-entry.ts";
import type { DeviceIds } from "../directory/directory-rpc.ts";
import { directoryOf, type Env } from "../env.ts";
import { audited, recordRefusal, type RelayedRequest } from "./audit-sender.ts";
import { offline, toFailure } from "./call-failure.ts";
import { callHeader, type PlainRequest, type SessionCall } from "./device-session-rpc.ts";
import { fanOut, mostDevices } from "./fan-out.ts";
import { parseProxyRequest, type ParsedProxyRequest } from "./proxy-request.ts";
import { operationOf } from "./operation.ts";
import { isUuid } from "./tunnel.ts";

type Filters = ParsedProxyRequest["filters"];

const longestMs = 50_000;

/** Errors of the proxy: a sentence as a JSON string, as the public cloud answers. */
const refuse = (status: number, message: string): Response => Response.json(message, { status });

/**
 * `POST /supervisor/<path>`: relays a request to the devices that the body selects. One device: its own answer, whole or as
 * a stream. Several: 207 with an entry for each. `Prefer: wait=<seconds>` shortens the timeout of 50 s.
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
    if (credentialOf(request) !== undefined) recordRefusal(request, env, context);
    return refuse(401, "Unauthorized");
  }
  const parsed = await parseProxyRequest(request, url);
  if (!("head" in parsed)) return refuse(parsed.status, parsed.message);
  const { filters, body, hasData, expires } = parsed;
  const key = await keyFor(request, grant);
  if (key === "invalid") return refuse(400, wrongKey);
  const head = key === undefined ? parsed.head : withHeader(parsed.head, "idempotency-key", key);

  const targets = await find(filters, grant, env);
  const [first] = targets;
  const relayed: RelayedRequest = { grant, head, request, env, context };
  if (!first) return audited(Promise.resolve(refuse(404, offline)), targetOf(filters), relayed);
  if (targets.length > mostDevices)
    return refuse(
      400,
      `App ${filters.appId} has more than the ${mostDevices} devices that one request can reach: ask each by uuid`,
    );

  if (targets.length > 1 && operationOf(head).shell)
    return refuse(400, `A shell is opened on one device, but this request selects ${targets.length}: name one by uuid`);

  if (preferencesOf(request).respondAsync) {
    const { shell, manages } = operationOf(head);
    if (targets.length > 1)
      return refuse(400, `respond-async is for one device, not ${targets.length}: name one by uuid`);
    if (shell || manages) return refuse(400, "Shells and keys are not for requests that wait: leave out respond-async");
    const call = { grant, request: { ...head, body: body ?? noBytes }, key, waitMs: waitMsOf(request) ?? 0, expires };
    return audited(queue(first.uuid, call, env), { uuid: first.uuid, about: "queued" }, relayed);
  }

  const waitMs = waitMsOf(request);
  const timeoutMs = waitMs ?? longestMs;
  const isOne = targets.length === 1;
  const answer = await audited(
    isOne
      ? callDevice(first.uuid, { grant, head, body, timeoutMs }, env)
      : fanOut(targets, { grant, request: { ...head, body: body ?? noBytes }, timeoutMs, parsed: hasData }, env),
    isOne ? { uuid: first.uuid } : { ...targetOf(filters), about: `${targets.length} devices` },
    relayed,
  );
  if (waitMs === undefined) return answer;
  const marked = new Response(answer.body, answer);
  marked.headers.set("preference-applied", `wait=${waitMs / 1000}`);
  return marked;
}

/** The key that the device gets: each token has keys of its own, though all requests come through the cloud. */
async function keyFor({ headers }: Request, { tokenId }: Grant): Promise<string | undefined> {
  const header = headers.get("idempotency-key");
  if (header === null) return undefined;
  const key = parseKey(header);
  return key === undefined ? "invalid" : digestOf(`${tokenId}\n${key}`);
}

const withHeader = (head: RequestHead, name: string, value: string): RequestHead => ({
  ...head,
  headers: [...head.headers, [name, value]],
});

const targetOf = ({ uuid, appId }: Filters): AuditTarget => ({
  uuid: uuid && isUuid(uuid) ? uuid : undefined,
  fleetId: appId ?? undefined,
});

interface DeviceCall extends Omit<SessionCall, "bodyLength"> {
  readonly body: Bytes | undefined;
}

/** Through the session's `fetch`: streams stay streams, and the client's disconnection cancels it. */
function callDevice(uuid: string, { body, ...rest }: DeviceCall, env: Env): Promise<Response> {
  const call: SessionCall = { ...rest, bodyLength: body?.length ?? 0 };
  return env.DEVICES.getByName(uuid).fetch("https://device/", {
    method: call.head.method,
    headers: { [callHeader]: JSON.stringify(call) },
    ...(body && { body }),
  });
}

interface QueuedCall {
  readonly grant: Grant;
  readonly request: PlainRequest;
  readonly key: string | undefined;
  readonly waitMs: number;
  /** Seconds. */
  readonly expires: number;
}

/** The device's answer if it comes in time; else 202, and the device is asked when it is back. */
async function queue(uuid: string, { grant, request, key, waitMs, expires }: QueuedCall, env: Env): Promise<Response> {
  const id = key?.slice(0, 32) ?? crypto.randomUUID().replaceAll("-", "");
  const options = { id, expiresAt: Date.now() + expires * 1000, waitMs };
  const outcome = await env.DEVICES.getByName(uuid).queue(grant, request, options);
  if ("is" in outcome) return toFailure(outcome);
  const { state, expiresAt, answer } = outcome;
  if (waitMs > 0 && answer?.body !== undefined) {
    const { status, contentType = "text/plain; charset=utf-8", body } = answer;
    return body === ""
      ? new Response(null, { status })
      : new Response(body, { status, headers: { "content-type": contentType } });
  }
  return Response.json(
    { id, state, expiresAt: new Date(expiresAt).toISOString() },
    {
      status: 202,
      headers: { location: `/admin/v1/devices/${uuid}/commands/${id}`, "preference-applied": "respond-async" },
    },
  );
}

/** A request for one uuid needs only that device's session, which checks the grant. */
async function find(
  { uuid, deviceId, appId }: Filters,
  grant: Grant,
  env: Env,
): Promise<readonly Pick<DeviceIds, "uuid" | "deviceId">[]> {
  if (uuid && (!isUuid(uuid) || (grant.device !== undefined && grant.device !== uuid))) return [];
  if (uuid && deviceId == null && appId == null) return [{ uuid, deviceId: 0 }];
  return directoryOf(env).find(grant, {
    ...(uuid && { uuid }),
    ...(deviceId != null && { deviceId }),
    ...(appId != null && { appId }),
  });
}

/** `Prefer: wait=<seconds>` (RFC 7240) in milliseconds; it cannot exceed the usual timeout. */
function waitMsOf(request: Request): number | undefined {
  const { waitMs } = preferencesOf(request);
  return waitMs === undefined ? undefined : Math.min(Math.max(1000, waitMs), longestMs);
}
