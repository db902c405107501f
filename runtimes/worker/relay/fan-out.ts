import type { ProxiedAnswer } from "../../../core/api/cloud/proxy.ts";
import { parseJson } from "../../../core/model/json.ts";
import { messageOf } from "../../../core/model/show.ts";
import type { Grant } from "../auth/grant.ts";
import type { Env } from "../env.ts";
import { failure, offline } from "./call-failure.ts";
import type { CallFailure, PlainRequest, PlainResponse } from "./device-session-rpc.ts";
import { operationOf } from "./operation.ts";

export interface Target {
  readonly uuid: string;
  readonly deviceId: number;
}

export interface FanOut {
  readonly grant: Grant;
  readonly request: PlainRequest;
  /** For all devices together; devices that are not reached by then get no request. */
  readonly timeoutMs: number;
  /** As in the public API: answers' bodies are parsed only if the request had `data`. */
  readonly parsed: boolean;
}

/** Requests in progress. Offline devices fail at once; only slow ones hold a place. */
const atOnce = 500;

/** A Worker may make 10,000 subrequests for one request (1,000 on the free plan). */
export const mostDevices = 9000;

/** Bodies that one answer holds; the whole isolate has 128 MB. */
const budgetBytes = 32 * 1024 * 1024;

/** Sends one request to many devices: 207 with an entry for each, in their order. */
export async function fanOut(
  targets: readonly Target[],
  { timeoutMs, ...fanned }: FanOut,
  env: Env,
): Promise<Response> {
  const deadline = Date.now() + timeoutMs;
  const entries: ProxiedAnswer[] = [];
  let next = 0;
  let keptBytes = 0;
  const work = async () => {
    for (let target = targets[next]; target; target = targets[next]) {
      const place = next++;
      const outcome = await callDevice(target, { ...fanned, timeoutMs: deadline - Date.now() }, env);
      const size = outcome.is === "answered" ? outcome.body.length : 0;
      keptBytes += size;
      entries[place] = toEntry(
        target,
        keptBytes > budgetBytes && size > 0
          ? failure(502, "The answers together are too large: ask this device alone", operationOf(fanned.request))
          : outcome,
        fanned.parsed,
      );
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, targets.length) }, work));
  return entries.every(isOffline) ? Response.json(offline, { status: 404 }) : Response.json(entries, { status: 207 });
}

async function callDevice(
  { uuid }: Target,
  { grant, request, timeoutMs }: FanOut,
  env: Env,
): Promise<PlainResponse | CallFailure> {
  if (timeoutMs <= 0)
    return { is: "failed", status: 504, error: "The time was over before this device was asked", mayHaveActed: false };
  try {
    return await env.DEVICES.getByName(uuid).call(grant, request, timeoutMs);
  } catch (error) {
    // The session itself failed, as during a deployment; or the limit of subrequests is reached.
    const reason = messageOf(error);
    const mayHaveActed = !operationOf(request).reads && !/subrequests/i.test(reason);
    return { is: "failed", status: 502, error: `The device's session has failed: ${reason}`, mayHaveActed };
  }
}

const isOffline = ({ statusCode, body }: ProxiedAnswer): boolean => statusCode === 404 && body === offline;

const decoder = new TextDecoder();

function toEntry({ uuid, deviceId }: Target, outcome: PlainResponse | CallFailure, parsed: boolean): ProxiedAnswer {
  if (outcome.is === "answered") {
    const text = decoder.decode(outcome.body);
    return { statusCode: outcome.status, body: parsed ? parsedOr(text) : text, uuid, deviceId };
  }
  const { status, error, mayHaveActed } = outcome;
  const body = status < 500 ? error : parsed ? { error, mayHaveActed } : JSON.stringify({ error, mayHaveActed });
  return { statusCode: status, body, uuid, deviceId };
}

function parsedOr(text: string): unknown {
  const json = parseJson(text);
  return json === undefined ? text : json;
}
