import { fillPath } from "../api/client.ts";
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
  /** Sent as it is; `json` is sent as JSON. */
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

/** Devices that lost their cloud at the same moment must not return at the same moment. */
export const jitter = [1, 1.5] as const;

/** When the cloud answers again, pending retries run within this time, not all at once. */
const spreadMs = 4_000;

/** The cloud's device API. When it answers again after an outage, pauses between retries end early. */
export class DeviceApiClient {
  readonly #clock: Clock;
  readonly #cloud: Cloud;
  readonly #paused = new Set<() => void>();
  #isAway = false;

  constructor(clock: Clock, cloud: Cloud) {
    this.#clock = clock;
    this.#cloud = withoutKeys(cloud);
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

  /** The same; without any answer it is an attempt that failed. */
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

  /** Never shorter than the cloud's `Retry-After`. */
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

/** An answer after which to try again. */
export const transientError = (answer: CloudAnswer): TransientError => ({
  why: [`it answered ${answer.status}`, ...sentence(answer.text)].join(": "),
  retryAfterMs: retryAfterMs(answer),
});

export const retry = (answer: CloudAnswer): { readonly ok: false } & TransientError => ({
  ok: false,
  ...transientError(answer),
});

/** HTML pages are not repeated in logs. */
const sentence = (text: string): string[] => (/^[^<\s][^\n]{0,200}$/.test(text.trim()) ? [text.trim()] : []);

/** Whether the same request may succeed later. */
export const isTransient = (status: number): boolean => status === 429 || status === 408 || status >= 500;

/**
 * The same cloud, without the keys of the request in the text of its refusals and failures: those texts are logged. Answers
 * of success are left as they are, since new keys come in them.
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
