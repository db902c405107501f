import { delayMs, type RetryPolicy, type TransientError } from "./model/retry.ts";
import type { Clock } from "./ports/clock.ts";

export type Attempt<T> = { readonly ok: true; readonly value: T } | ({ readonly ok: false } & TransientError);

/** How `keepTrying` ended. */
export type Tried<T> =
  | { readonly is: "done"; readonly value: T }
  /** The policy's last attempt has failed too. */
  | ({ readonly is: "failed" } & TransientError)
  | { readonly is: "aborted" };

interface Retrying {
  readonly clock: Pick<Clock, "sleep" | "random">;
  readonly signal: AbortSignal;
  /** Waits between two attempts; may end early. By default it sleeps on the clock. */
  readonly pause?: (ms: number, after: TransientError, signal: AbortSignal) => Promise<void>;
  /** Called after each failed attempt, with the number of failures so far. */
  readonly onFailure?: (error: TransientError, failures: number) => void;
}

/** Calls `act` until it succeeds, the policy's attempts are used up, or the signal fires. What `act` throws is not retried. */
export async function keepTrying<T>(
  policy: RetryPolicy,
  act: (signal: AbortSignal) => Promise<Attempt<T>>,
  { clock, signal, pause = (ms) => clock.sleep(ms, signal), onFailure }: Retrying,
): Promise<Tried<T>> {
  for (let failures = 1; !signal.aborted; failures++) {
    const attempt = await act(signal);
    if (attempt.ok) return { is: "done", value: attempt.value };
    const { why, retryAfterMs } = attempt;
    const error = { why, retryAfterMs };
    onFailure?.(error, failures);
    if (failures === policy.attempts) return { is: "failed", ...error };
    await pause(delayMs(policy, failures, { retryAfterMs, random: clock.random() }), error, signal);
  }
  return { is: "aborted" };
}
