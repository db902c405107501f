/** The delays between attempts at an action that may succeed later. */
export interface RetryPolicy {
  readonly firstMs: number;
  readonly maxMs: number;
  /** The ratio of each delay to the previous one: 2 by default; 1 for a constant delay. */
  readonly factor?: number;
  /** Each delay is multiplied by a random number in this range, so that the devices of a fleet do not retry together. */
  readonly jitter?: readonly [from: number, to: number];
  /** The maximum number of attempts. Absent: no limit. */
  readonly attempts?: number;
}

/** The reason of a failure that may be temporary, and the delay that the server has requested, if any. */
export interface TransientError {
  readonly why: string;
  readonly retryAfterMs?: number | undefined;
}

/** The delay after the n-th failure in a row (n from 1); never shorter than `retryAfterMs`. 0 ≤ `random` < 1. */
export function delayMs(
  { firstMs, maxMs, factor = 2, jitter: [from, to] = [1, 1] }: RetryPolicy,
  failures: number,
  { retryAfterMs = 0, random = 0 }: { readonly retryAfterMs?: number | undefined; readonly random?: number } = {},
): number {
  const delay = Math.max(Math.min(firstMs * factor ** (failures - 1), maxMs), retryAfterMs);
  return Math.max(Math.round(delay * (from + random * (to - from))), retryAfterMs);
}
