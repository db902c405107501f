import { fillPath } from "../api/path.ts";
import type { RetryPolicy, TransientError } from "../model/retry.ts";
import { redact } from "../model/secrets.ts";
import { messageOf } from "../model/show.ts";
import type { Clock } from "../ports/clock.ts";
import type { Cloud, CloudAnswer, CloudRequest } from "../ports/cloud.ts";
import { keepTrying, type Attempt, type Tried } from "../retry.ts";

interface Call {
  readonly key: string;
  readonly params?: Readonly<Record<string, string>>;
  readonly headers?: CloudRequest["headers"];
  /** Sent unchanged; `json` is sent as JSON. */
  readonly body?: string;
  readonly json?: object;
  readonly timeoutMs?: number;
}

interface RetryOptions {
  readonly signal: AbortSignal;
  readonly onFailure?: (error: TransientError, failures: number) => void;
  readonly pause?: RetryPause;
}

type RetryPause = (ms: number, after: TransientError, signal: AbortSignal) => Promise<void>;

const usualTimeoutMs = 59_000;

/** Spreads retries: devices that lose the cloud at the same time must not all connect again at the same time. */
export const jitter = [1, 1.5] as const;

/** When the cloud answers again, pending retries run within this time, not all at once. */
const spreadMs = 4_000;

/** The cloud's device API. When it answers again after an outage, pauses between retries end early. */
export class DeviceApiClient {
  readonly #clock: Clock;
  readonly #cloud: Cloud;
  readonly #paused = new Set<() => void>();
  #isAway = false;
  #answeredAt: number | undefined;

  constructor(clock: Clock, cloud: Cloud) {
    this.#clock = clock;
    this.#cloud = withoutKeys(cloud);
  }

  /** When the cloud accepted a request last, on the monotonic clock; undefined: never. */
  answeredAt(): number | undefined {
    return this.#answeredAt;
  }

  readonly request: Cloud = async (request, signal) => {
    try {
      const answer = await this.#cloud(request, signal);
      this.#note(answer);
      return answer;
    } catch (error) {
      this.#isAway = true;
      throw error;
    }
  };

  call(
    { method, path }: Pick<CloudRequest, "method" | "path">,
    { params, json, headers, timeoutMs = usualTimeoutMs, ...call }: Call,
    signal: AbortSignal,
  ): Promise<CloudAnswer> {
    const body = json && { headers: { "content-type": "application/json" }, body: JSON.stringify(json) };
    const request = { method, path: fillPath(path, params), timeoutMs, ...(headers && { headers }), ...call, ...body };
    return this.request(request, signal);
  }

  /** Like `call`; if there is no answer, the attempt has failed. */
  async attempt<T>(
    endpoint: Pick<CloudRequest, "method" | "path">,
    call: Call,
    signal: AbortSignal,
    outcomeOf: (answer: CloudAnswer) => Attempt<T>,
  ): Promise<Attempt<T>> {
    try {
      return outcomeOf(await this.call(endpoint, call, signal));
    } catch (error) {
      return { ok: false, why: messageOf(error) };
    }
  }

  /** Like `keepTrying`, with pauses that end early when the cloud answers again. */
  keepTrying<T>(
    policy: RetryPolicy,
    act: (signal: AbortSignal) => Promise<Attempt<T>>,
    { signal, onFailure, pause = this.pause }: RetryOptions,
  ): Promise<Tried<T>> {
    return keepTrying({ jitter, ...policy }, act, {
      clock: this.#clock,
      signal,
      pause,
      onFailure: (error, failures) => {
        if (!signal.aborted) onFailure?.(error, failures);
      },
    });
  }

  /** A pause between retries. If the cloud sent `Retry-After`, it does not end early. */
  readonly pause: RetryPause = async (ms, { retryAfterMs }, signal) => {
    const woken = new AbortController();
    const wake = () => woken.abort();
    signal.addEventListener("abort", wake, { once: true });
    if (retryAfterMs === undefined) this.#paused.add(wake);
    const until = this.#clock.now() + ms;
    await this.#clock.sleep(ms, signal.aborted ? signal : woken.signal);
    signal.removeEventListener("abort", wake);
    this.#paused.delete(wake);
    const remaining = Math.min(this.#clock.random() * spreadMs, until - this.#clock.now());
    if (remaining > 0) await this.#clock.sleep(remaining, signal);
  };

  /** While its database is down, the cloud answers 401 to valid keys. */
  #note({ status }: CloudAnswer): void {
    if (status === 401 || (isTransient(status) && status !== 429)) this.#isAway = true;
    if (status < 400) this.#answeredAt = this.#clock.monotonic();
    if (status >= 400 || !this.#isAway) return;
    this.#isAway = false;
    for (const wake of this.#paused) wake();
  }
}

const longestWaitMs = 24 * 3600_000;

/** `Retry-After` in seconds, the form that these clouds send; any other form is ignored. */
export function retryAfterMs({ header }: Pick<CloudAnswer, "header">): number | undefined {
  const value = header("retry-after")?.trim();
  return value && /^\d+$/.test(value) ? Math.min(Number(value) * 1000, longestWaitMs) : undefined;
}

/** The error of an answer after which the request is retried. */
export const transientError = (answer: CloudAnswer): TransientError => ({
  why: [`it answered ${answer.status}`, ...sentence(answer.text)].join(": "),
  retryAfterMs: retryAfterMs(answer),
});

export const retry = (answer: CloudAnswer): { readonly ok: false } & TransientError => ({
  ok: false,
  ...transientError(answer),
});

/** The text of an answer, if it is one line and not an HTML page. */
const sentence = (text: string): string[] => (/^[^<\s][^\n]{0,200}$/.test(text.trim()) ? [text.trim()] : []);

/** Whether the same request may succeed later. */
export const isTransient = (status: number): boolean => status === 429 || status === 408 || status >= 500;

/**
 * Removes the request's keys from the text of refusals and errors, since these texts are logged. Successful answers are not
 * changed, since they may contain new keys.
 */
export const withoutKeys =
  (cloud: Cloud): Cloud =>
  async (request, signal) => {
    const inBody = [...(request.body ?? "").matchAll(/"api_(?:key|secret)":"([^"]+)"/g)];
    const secrets = [request.key, ...inBody.map(([, key = ""]) => key)];
    try {
      const answer = await cloud(request, signal);
      return answer.status < 300 ? answer : { ...answer, text: redact(answer.text, { secrets }) };
    } catch (error) {
      throw new Error(redact(messageOf(error), { secrets }));
    }
  };
