import type { RequestHead } from "../../../core/relay/frame.ts";
import type { Grant } from "../auth/access.ts";
import type { AuditItem, AuditKind } from "../directory/audit.ts";
import type { AuditTarget } from "../directory/context.ts";
import { directoryOf, type Env } from "../env.ts";
import { operationOf } from "./operation.ts";

/**
 * The Worker's own entries for the audit log: what it has relayed, and whom it has refused. They are gathered for a moment
 * and sent after the answers, so that no caller waits for them.
 */

type Context = Pick<ExecutionContext, "waitUntil">;

const gatherMs = 1000;
/** After these, in turn, when the directory cannot be reached; then the entries are lost. */
const againMs = [1000, 5000] as const;
/** Nothing that was to be sent is under way for longer: the request that was to do it has been ended by the platform. */
const longestMs = 15_000;
const minuteMs = 60_000;
/** Addresses that are told apart in an isolate, until they are sent. */
const mostRefused = 100;

interface Waiting {
  items: AuditItem[];
  /** By minute and address. */
  readonly refused: Map<string, AuditItem & { count: number }>;
  /** Since when somebody has taken on to send them; milliseconds since the epoch. */
  takenOnAt: number;
}

const waitings = new WeakMap<Env, Waiting>();

function waitingOf(env: Env): Waiting {
  const known = waitings.get(env);
  if (known) return known;
  const made: Waiting = { items: [], refused: new Map(), takenOnAt: 0 };
  waitings.set(env, made);
  return made;
}

/** A request for devices, and where it came to us. */
export interface Asking {
  readonly grant: Grant;
  readonly head: RequestHead;
  readonly request: Request;
  readonly env: Env;
  readonly context: Context;
}

/** The answer, of which the audit log learns later, unless it was only to read. Also if who asks does not wait for it. */
export function audited(
  answer: Promise<Response>,
  target: AuditTarget,
  { grant, head, request, env, context }: Asking,
): Promise<Response> {
  const { reads, name = "unknown", path } = operationOf(head);
  if (reads) return answer;
  const tell = (status: number) => {
    waitingOf(env).items.push({
      ...{ kind: grant.device === undefined ? "relay" : "device", at: Date.now() },
      ...{ who: grant.tokenId, address: addressOf(request) },
      ...{ operation: name, method: head.method, path: path && `/supervisor${path}`, ...target, status },
    });
    // At once: as long as we wait here, the device does not learn that nobody waits for it.
    if (status === hungUp) return send(waitingOf(env), env);
    takeOn(env, context);
  };
  const left = new Promise<number>((resolve) => request.signal.addEventListener("abort", () => resolve(hungUp)));
  const answered = answer.then(
    ({ status }) => status,
    () => 503,
  );
  context.waitUntil(Promise.race([answered, left]).then(tell));
  return answer;
}

/** As nginx has it. */
const hungUp = 499;

/** Somebody has come with a key or a token that is not good. What it was is not written down. */
export function tellRefused(request: Request, env: Env, context: Context): void {
  const at = Math.floor(Date.now() / minuteMs) * minuteMs;
  const { refused } = waitingOf(env);
  const given = addressOf(request) ?? "unknown";
  const address = refused.size < mostRefused ? given : "others";
  const known = refused.get(`${at} ${address}`);
  const kind: AuditKind = "refused";
  if (known) known.count++;
  else
    refused.set(`${at} ${address}`, {
      ...{ kind, at, who: "nobody", address, operation: "authenticate", status: 401, count: 1 },
    });
  takeOn(env, context);
}

/** Only the platform sets it; where there is none, as in development, a caller can say what it likes. */
export function addressOf({ headers }: Request): string | undefined {
  const given = headers.get("cf-connecting-ip") ?? "";
  return /^[0-9a-f.:]{2,45}$/i.test(given) ? given : undefined;
}

function takeOn(env: Env, context: Context): void {
  const waiting = waitingOf(env);
  if (Date.now() - waiting.takenOnAt < longestMs) return;
  waiting.takenOnAt = Date.now();
  context.waitUntil(sendSoon(waiting, env));
}

async function sendSoon(waiting: Waiting, env: Env): Promise<void> {
  await pause(gatherMs);
  waiting.takenOnAt = 0;
  await send(waiting, env);
}

async function send(waiting: Waiting, env: Env): Promise<void> {
  const items = [...waiting.items.splice(0), ...waiting.refused.values()];
  waiting.refused.clear();
  for (const wait of [...againMs, undefined])
    try {
      return await directoryOf(env).writeAudit(items);
    } catch (error) {
      if (wait === undefined) console.error(`${items.length} entries of the audit log are lost: ${String(error)}`);
      else await pause(wait);
    }
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
