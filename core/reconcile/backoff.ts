/** How long to wait after the n-th failure in a row (n from 1): 1, 2, 4, 8… seconds, up to a limit. */
export const backoffMs = (failures: number, limitMs: number): number => Math.min(1000 * 2 ** (failures - 1), limitMs);

/** A service may hold its lock for long; asking again costs one look at a file. */
export const lockRetryLimitMs = 30_000;
export const failureRetryLimitMs = 5 * 60_000;

/** What was done was not in vain if it is not due again for so long. People who undo it by hand are slower. */
export const lastingMs = 10_000;
