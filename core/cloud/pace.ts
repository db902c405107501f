import type { CloudAnswer } from "../ports/cloud.ts";
import type { Clock } from "../ports/clock.ts";

/** How a cloud that would rather be left alone is left alone. */

/** Why a question was not answered, and how long the cloud wants to be left alone, if it says so. */
export interface Setback {
  readonly why: string;
  readonly retryAfterMs?: number | undefined;
}

const longestWaitMs = 24 * 3600_000;

/** `Retry-After` in seconds, the form that clouds of this kind send; a date, or anything else, says nothing. */
export function retryAfterMs({ header }: Pick<CloudAnswer, "header">): number | undefined {
  const value = header("retry-after")?.trim();
  return value && /^\d+$/.test(value) ? Math.min(Number(value) * 1000, longestWaitMs) : undefined;
}

/** An answer that is no answer to the question: it failed, or there are too many questions. */
export const setback = (answer: CloudAnswer): Setback => ({
  why: [`it answered ${answer.status}`, ...sentence(answer.text)].join(": "),
  retryAfterMs: retryAfterMs(answer),
});

/** Pages of HTML are for browsers. */
const sentence = (text: string): string[] => (/^[^<\s][^\n]{0,200}$/.test(text.trim()) ? [text.trim()] : []);

/** Statuses after which the same question may be answered another time: the cloud is not well, or has too much to do. */
export const isPassing = (status: number): boolean => status === 429 || status === 408 || status >= 500;

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
  async sleep(ms: number): Promise<void> {
    await this.#clock.sleep(ms, this.#rung.signal);
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
