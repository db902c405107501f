import type { Clock } from "../../core/ports/clock.ts";

/** A clock on which short pauses take no time. */
export const impatient: Pick<Clock, "sleep" | "random"> = {
  sleep: (ms, signal) =>
    ms < 30_000
      ? Promise.resolve()
      : new Promise((resolve) => signal?.addEventListener("abort", () => resolve(), { once: true })),
  random: () => 0,
};
