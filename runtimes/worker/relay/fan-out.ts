import type { ProxiedAnswer } from "../../../core/api/cloud/proxy.ts";
import type { Grant } from "../auth/access.ts";
import { offline, type CallFailure, type PlainRequest, type PlainResponse } from "./device-session.ts";
import type { Env } from "../env.ts";
import { operationOf, type Operation } from "./operation.ts";
import { messageOf } from "../../../core/model/show.ts";

export interface Target {
  readonly uuid: string;
  readonly deviceId: number;
}

export interface FanOut {
  readonly grant: Grant;
  readonly request: PlainRequest;
  /** For all devices together: whose turn comes too late is not asked. */
  readonly timeoutMs: number;
  /** As in the public API: bodies stay text unless the request had `data`. */
  readonly parsed: boolean;
}

/** Requests under way at a time. Offline devices answer at once; only those that are slow hold a place. */
const atOnce = 500;

/** Devices of one request: a Worker may make 10,000 requests of its own for one of ours (1,000 where it is not paid for). */
export const mostDevices = 9000;

/** Bodies that are kept for one answer; the whole Worker has 128 MB. */
const budgetBytes = 32 * 1024 * 1024;

/** One request to many devices: 207 with an entry for each, in their order, whatever becomes of the others. */
export async function fanOut(targets: readonly Target[], { timeoutMs, ...asked }: FanOut, env: Env): Promise<Response> {
  const deadline = Date.now() + timeoutMs;
  const entries: ProxiedAnswer[] = [];
  let next = 0;
  let keptBytes = 0;
  const lane = async () => {
    for (let target = targets[next]; target; target = targets[next]) {
      const place = next++;
      const outcome = await askOne(target, { ...asked, timeoutMs: deadline - Date.now() }, env);
      const size = outcome.is === "answered" ? outcome.body.length : 0;
      keptBytes += size;
      entries[place] = toEntry(
        target,
        keptBytes > budgetBytes && size > 0 ? tooMuch(operationOf(asked.request)) : outcome,
        asked.parsed,
      );
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, targets.length) }, lane));
  return entries.every(isOffline) ? Response.json(offline, { status: 404 }) : Response.json(entries, { status: 207 });
}

async function askOne(
  { uuid }: Target,
  { grant, request, timeoutMs }: FanOut,
  env: Env,
): Promise<PlainResponse | CallFailure> {
  if (timeoutMs <= 0)
    return { is: "failed", status: 504, error: "The time was over before this device was asked", mayHaveActed: false };
  try {
    return await env.DEVICES.getByName(uuid).call(grant, request, timeoutMs);
  } catch (error) {
    // The session itself has failed, as at a deployment; or the platform lets us ask no more of them.
    const reason = messageOf(error);
    const mayHaveActed = !operationOf(request).reads && !/subrequests/i.test(reason);
    return { is: "failed", status: 502, error: `The device's session has failed: ${reason}`, mayHaveActed };
  }
}

const tooMuch = ({ reads }: Operation): CallFailure => ({
  is: "failed",
  status: 502,
  error: "The answers together are too large: ask this device alone",
  mayHaveActed: !reads,
});

const isOffline = ({ statusCode, body }: ProxiedAnswer): boolean => statusCode === 404 && body === offline;

const decoder = new TextDecoder();

function toEntry({ uuid, deviceId }: Target, outcome: PlainResponse | CallFailure, parsed: boolean): ProxiedAnswer {
  if (outcome.is === "answered") {
    const text = decoder.decode(outcome.body);
    return { statusCode: outcome.status, body: parsed ? parse(text) : text, uuid, deviceId };
  }
  const { status, error, mayHaveActed } = outcome;
  const body = status < 500 ? error : parsed ? { error, mayHaveActed } : JSON.stringify({ error, mayHaveActed });
  return { statusCode: status, body, uuid, deviceId };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
