import type { RequestHead } from "../../../core/relay/frame.ts";
import type { Grant } from "../auth/grant.ts";
import type { AuditItem, AuditTarget } from "../directory/audit-entry.ts";
import { directoryOf, type Env } from "../env.ts";
import { operationOf } from "./operation.ts";

/**
 * The Worker's entries for the audit log: relayed requests and rejected credentials. They are collected for a moment and
 * sent after the answers, so that no client waits for them.
 */

type Context = Pick<ExecutionContext, "waitUntil">;

const gatherMs = 1000;
/** Delays of the retries when the directory cannot be reached; then the entries are lost. */
const retryMs = [1000, 5000] as const;
/** A transmission that was scheduled longer ago is lost: the platform has ended the request that was to do it. */
const longestMs = 15_000;
const minuteMs = 60_000;
/** Addresses with an entry of their own in one isolate, until they are sent. */
const mostRefused = 100;

interface Queue {
  items: AuditItem[];
  /** By minute and address. */
  readonly refused: Map<string, AuditItem & { count: number }>;
  /** When a transmission was scheduled; milliseconds since the epoch. */
  scheduledAt: number;
}

const queues = new WeakMap<Env, Queue>();

function queueOf(env: Env): Queue {
  const known = queues.get(env);
  if (known) return known;
  const made: Queue = { items: [], refused: new Map(), scheduledAt: 0 };
  queues.set(env, made);
  return made;
}

/** A request for devices, and the client's request that it comes from. */
export interface RelayedRequest {
  readonly grant: Grant;
  readonly head: RequestHead;
  readonly request: Request;
  readonly env: Env;
  readonly context: Context;
}

/**
 * Records the answer in the audit log, also if the client disconnects before it, unless the request only reads. What is typed
 * into an open shell is not recorded, only that it was opened, or refused.
 */
export function audited(
  answer: Promise<Response>,
  target: AuditTarget,
  { grant, head, request, env, context }: RelayedRequest,
): Promise<Response> {
  const { reads, shell, service, name = "unknown", path } = operationOf(head);
  if (reads && !shell) return answer;
  const record = (status: number) => {
    if (shell === "used" && status !== forbidden) return;
    queueOf(env).items.push({
      ...{ kind: grant.device === undefined ? "relay" : "device", at: Date.now() },
      ...{ who: grant.tokenId, address: addressOf(request) },
      ...{ operation: name, method: head.method, path: path && `/supervisor${path}`, ...target, status },
      // Only a name that the device knows: another may be a secret that was pasted there.
      ...(shell && status === 201 && service !== undefined && { about: `service ${decodeURIComponent(service)}` }),
    });
    // At once: the device does not learn of the disconnection before the end of `waitUntil`.
    if (status === clientClosed) return send(queueOf(env), env);
    schedule(env, context);
  };
  const left = new Promise<number>((resolve) => request.signal.addEventListener("abort", () => resolve(clientClosed)));
  const answered = answer.then(
    ({ status }) => status,
    () => 503,
  );
  context.waitUntil(Promise.race([answered, left]).then(record));
  return answer;
}

const forbidden = 403;
/** The status that nginx logs for it. */
const clientClosed = 499;

/** Records a request with an invalid key or token, without the key. */
export function recordRefusal(request: Request, env: Env, context: Context): void {
  const at = Math.floor(Date.now() / minuteMs) * minuteMs;
  const { refused } = queueOf(env);
  const given = addressOf(request) ?? "unknown";
  const address = refused.size < mostRefused ? given : "others";
  const known = refused.get(`${at} ${address}`);
  const entry = { kind: "refused", at, who: "nobody", address, operation: "authenticate", status: 401 } as const;
  if (known) known.count++;
  else refused.set(`${at} ${address}`, { ...entry, count: 1 });
  schedule(env, context);
}

/** The platform sets the header; without the platform, as in development, a client can send anything. */
export function addressOf({ headers }: Request): string | undefined {
  const given = headers.get("cf-connecting-ip") ?? "";
  return /^[0-9a-f.:]{2,45}$/i.test(given) ? given : undefined;
}

function schedule(env: Env, context: Context): void {
  const queue = queueOf(env);
  if (Date.now() - queue.scheduledAt < longestMs) return;
  queue.scheduledAt = Date.now();
  context.waitUntil(sendSoon(queue, env));
}

async function sendSoon(queue: Queue, env: Env): Promise<void> {
  await pause(gatherMs);
  queue.scheduledAt = 0;
  await send(queue, env);
}

async function send(queue: Queue, env: Env): Promise<void> {
  const items = [...queue.items.splice(0), ...queue.refused.values()];
  queue.refused.clear();
  for (const delayMs of [...retryMs, undefined])
    try {
      return await directoryOf(env).writeAudit(items);
    } catch (error) {
      if (delayMs === undefined) console.error(`${items.length} entries of the audit log are lost: ${String(error)}`);
      else await pause(delayMs);
    }
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
