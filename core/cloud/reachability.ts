import type { Clock } from "../ports/clock.ts";
import type { Cloud, CloudAnswer } from "../ports/cloud.ts";
import { isPassing, type Setback } from "./answers.ts";

/** Sleeps until it is time to try again. */
export type RetryPause = (ms: number, after: Setback, signal: AbortSignal) => Promise<void>;

/** After the cloud's first answer, who waits for it comes within this time, not all at once. */
const spreadMs = 4_000;

/**
 * Whether the cloud answers, which each part of the conversation learns by itself. Their waits between two attempts grow;
 * when the cloud answers one of them again, the others need not wait for the rest.
 */
export class Reachability {
  readonly #clock: Clock;
  readonly #ask: Cloud;
  readonly #waiting = new Set<() => void>();
  #isAway = false;

  constructor(clock: Clock, ask: Cloud) {
    this.#clock = clock;
    this.#ask = ask;
  }

  /** Asks the cloud, and notes whether it answers. */
  readonly ask: Cloud = async (request, signal) => {
    try {
      const answer = await this.#ask(request, signal);
      this.#note(answer);
      return answer;
    } catch (error) {
      this.#isAway = true;
      throw error;
    }
  };

  /** Not before the time that the cloud has asked for, if it has. */
  readonly pause: RetryPause = async (ms, { retryAfterMs }, signal) => {
    const woken = new AbortController();
    const wake = () => woken.abort();
    signal.addEventListener("abort", wake, { once: true });
    if (retryAfterMs === undefined) this.#waiting.add(wake);
    const until = this.#clock.now() + ms;
    await this.#clock.sleep(ms, signal.aborted ? signal : woken.signal);
    signal.removeEventListener("abort", wake);
    this.#waiting.delete(wake);
    const left = Math.min(this.#clock.random() * spreadMs, until - this.#clock.now());
    if (left > 0) await this.#clock.sleep(left, signal);
  };

  /** While its database is down, the cloud answers 401 to keys that are good. */
  #note({ status }: CloudAnswer): void {
    if (status === 401 || (isPassing(status) && status !== 429)) this.#isAway = true;
    if (status >= 400 || !this.#isAway) return;
    this.#isAway = false;
    for (const wake of this.#waiting) wake();
  }
}
