import { delayMs, type RetryPolicy } from "../model/retry.ts";
import { fillPath } from "../api/path.ts";
import type { Clock } from "../ports/clock.ts";

/** Sends requests of operations. It knows nothing of their meaning. */

/** A request, before it is a `Request`: the global fetch would copy that, which takes longer than the rest of this. */
export interface Outgoing {
  readonly url: string;
  readonly method: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal;
}

/** An endpoint, as far as a request needs it. */
export interface Wire {
  readonly method: string;
  /** Segments that begin with a colon are parameters. */
  readonly path: string;
  /** It changes something, although its method is GET. */
  readonly writes?: true;
  /** A repetition changes nothing more, although its method is not GET. */
  readonly repeats?: true;
  /** Parameters that are headers, in lower case. */
  readonly headers?: readonly string[];
}

export interface Sent {
  /** Those of the path, of the query and of the headers. */
  readonly params?: Readonly<Record<string, unknown>> | undefined;
  readonly prefer?: string | undefined;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Ends the request, and pauses before a repetition. */
  readonly signal?: AbortSignal | undefined;
}

export interface Answer {
  readonly status: number;
  /** JSON as a value, text as a string, a `ReadableStream` for any other type; undefined for none. */
  readonly body: unknown;
}

export interface TransportOptions {
  /** "http://10.0.0.7:48484", or the address of a cloud. A path in front of the API's own may follow. */
  readonly baseUrl: string;
  readonly send: (request: Outgoing) => Promise<Response>;
  /** Sent as `Authorization: Bearer <key>`. */
  readonly key?: string | undefined;
  /** How often a request is repeated after a failure, if that changes nothing more. */
  readonly retries: number;
  /** Sees each answer before its reader does. Throws for one that the reader should not get. */
  readonly check?: ((wire: Wire, answer: Answer) => void) | undefined;
  readonly clock: Pick<Clock, "sleep" | "random">;
  /** Whether the server acts once for all requests with the same `Idempotency-Key`; absent: ask it. */
  knowsKeys?: Promise<boolean> | undefined;
}

/** A device that restarts its agent answers again within a few seconds. */
const retryPolicy: RetryPolicy = { firstMs: 250, maxMs: 4000, jitter: [1, 1.5] };

/** The request may not have arrived, or its answer did not. */
export const transientStatuses: ReadonlySet<number> = new Set([429, 502, 503, 504]);

const keyHeader = "idempotency-key";

/**
 * A request that changes something has a key, and is repeated only if the server says that it acts once for each key.
 *
 * Resolves with any answer. Rejects if there is none, also after repetitions, and when `signal` aborts.
 */
export async function sendTo(options: TransportOptions, wire: Wire, sent: Sent): Promise<Answer> {
  const { signal } = sent;
  const isRead = wire.method === "GET" && !wire.writes;
  const key = wire.method === "GET" || wire.repeats ? undefined : newKey();
  const mayRepeat = async () => isRead || (key !== undefined && !signal?.aborted && (await knowsKeys(options)));
  for (let left = isRead || key !== undefined ? options.retries : 0, failures = 1; ; left--, failures++) {
    let answer: Answer | undefined;
    try {
      const response = await options.send(requestOf(options, wire, sent, key));
      if (left <= 0 || !isTransient(response, isRead) || !(await mayRepeat())) answer = await answerOf(response);
      else await response.body?.cancel();
    } catch (error) {
      if (left <= 0 || signal?.aborted || !(await mayRepeat())) throw error;
    }
    if (answer) {
      options.check?.(wire, answer);
      return answer;
    }
    await pause(options, failures, retryPolicy, signal);
  }
}

/** What a device itself has answered to a request with a key is its answer to every repetition. */
const isTransient = ({ status, headers }: Response, isRead: boolean): boolean =>
  transientStatuses.has(status) && (isRead || status === 502 || status === 504 || headers.has("retry-after"));

/** `crypto.randomUUID` is for pages with TLS only. */
const newKey = (): string =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** Asked only after a failure: an older server, or one in between, would act twice. */
async function knowsKeys(options: TransportOptions): Promise<boolean> {
  options.knowsKeys ??= (async () => {
    for (let failures = 1; ; failures++)
      try {
        const response = await options.send(requestOf(options, { method: "GET", path: "/ping" }, {}));
        await response.body?.cancel();
        return response.headers.has("accept-idempotency-key");
      } catch (error) {
        if (failures > options.retries) throw error;
        await pause(options, failures, retryPolicy);
      }
  })();
  try {
    return await options.knowsKeys;
  } catch {
    options.knowsKeys = undefined;
    return false;
  }
}

function requestOf(
  { baseUrl, key }: TransportOptions,
  { method, path, headers = [] }: Wire,
  sent: Sent,
  onceKey?: string,
): Outgoing {
  const named = Object.entries(sent.params ?? {}).filter(([, value]) => value !== undefined);
  const isHeader = ([name]: readonly [string, unknown]) => headers.includes(name);
  const url = withoutSlash(baseUrl) + fillPath(path, Object.fromEntries(named.filter((one) => !isHeader(one))));
  const carries = sent.body !== undefined;
  return {
    ...{ url, method },
    headers: {
      ...Object.fromEntries(named.filter(isHeader).map(([name, value]) => [name, String(value)])),
      ...(key !== undefined && { authorization: `Bearer ${key}` }),
      ...(onceKey !== undefined && { [keyHeader]: `"${onceKey}"` }),
      ...(sent.prefer !== undefined && { prefer: sent.prefer }),
      ...(carries && { "content-type": "application/json" }),
    },
    ...(carries && { body: JSON.stringify(sent.body) }),
    ...(sent.signal && { signal: sent.signal }),
  };
}

export const withoutSlash = (url: string): string => (url.endsWith("/") ? url.slice(0, -1) : url);

async function answerOf(response: Response): Promise<Answer> {
  const { status } = response;
  const type = response.headers.get("content-type") ?? "";
  if (/^application\/(problem\+)?json\b/.test(type)) return { status, body: await response.json() };
  if (/^text\/(plain|html)\b/.test(type)) return { status, body: await response.text() };
  return { status, body: type === "" ? undefined : (response.body ?? undefined) };
}

/** Rejects when the signal aborts. */
export async function pause(
  { clock }: Pick<TransportOptions, "clock">,
  failures: number,
  retry: RetryPolicy,
  signal?: AbortSignal,
): Promise<void> {
  await clock.sleep(delayMs(retry, failures, { random: clock.random() }), signal);
  signal?.throwIfAborted();
}
