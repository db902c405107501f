import type { Clock } from "../ports/clock.ts";
import type { Setback } from "./answers.ts";

/** How a cloud that would rather be left alone is left alone. */

/** How long the first wait is, and the longest. */
export interface Patience {
  readonly firstMs: number;
  readonly limitMs: number;
}

/**
 * How long to wait after the n-th setback in a row (n from 1): each time twice as long up to a limit, but never shorter
 * than the cloud asks for. A fleet that has lost its cloud at one moment must not come back at one moment: up to half as
 * much again, by chance (0 ≤ x < 1).
 */
export function waitMs(failures: number, setback: Setback, { firstMs, limitMs }: Patience, chance: number): number {
  const wait = Math.max(Math.min(firstMs * 2 ** Math.min(failures - 1, 20), limitMs), setback.retryAfterMs ?? 0);
  return Math.round(wait * (1 + chance / 2));
}

/** A sleep from which somebody may be woken, also before it begins. */
export class Alarm {
  readonly #clock: Clock;
  #rung = new AbortController();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  ring(): void {
    this.#rung.abort();
  }

  /** Resolves after that long, or when somebody rings; at once when somebody has rung since the last time. */
  async sleep(ms: number, pause: Clock["sleep"] = (...of) => this.#clock.sleep(...of)): Promise<void> {
    await pause(ms, this.#rung.signal);
    this.#rung = new AbortController();
  }

  /** Until somebody rings. */
  async wait(): Promise<void> {
    const { signal } = this.#rung;
    if (!signal.aborted)
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    this.#rung = new AbortController();
  }
}
