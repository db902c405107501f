/** How long to wait between the attempts at something that may succeed later. */
export interface RetryPolicy {
  readonly firstMs: number;
  readonly maxMs: number;
  /** By how much each delay is longer than the one before: 2 unless given; 1 for a constant delay. */
  readonly factor?: number;
  /** Each delay is multiplied by a random number between these two, so that a fleet does not retry in one moment. */
  readonly jitter?: readonly [from: number, to: number];
  /** After so many attempts the last failure is final. Absent: never. */
  readonly attempts?: number;
}

/** Why an attempt failed that may succeed later, and how long the other side asks us to wait, if it does. */
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
