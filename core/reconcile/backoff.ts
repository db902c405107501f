import type { RetryPolicy } from "../model/retry.ts";

/** A service may hold its lock for long. Each retry only reads one file. */
export const lockRetry: RetryPolicy = { firstMs: 1000, maxMs: 30_000 };
export const failureRetry: RetryPolicy = { firstMs: 1000, maxMs: 5 * 60_000 };
/** For retries while the engine does not answer. */
export const engineRetry: RetryPolicy = { firstMs: 1000, maxMs: 30_000 };

/** So often within this time is a service replaced for the sake of the same fields, if something changes them back later. */
export const mostReplacements = 3;
export const replacementsMs = 60 * 60_000;

/** A step whose effect lasts this long was not in vain. A person takes longer than this to undo a step. */
export const lastingMs = 10_000;
