import type { Clock } from "../ports/clock.ts";

/** Engine events come in bursts. One round handles all events within this time. */
const burstMs = 50;

interface Rounds {
  readonly clock: Pick<Clock, "sleep">;
  /** Runs a round; the first is number 1. `fresh`: the round must not use cached state. May throw. */
  readonly run: (round: number, fresh: boolean) => Promise<void>;
  readonly onError: (error: unknown) => void;
}

/**
 * Decides when the next round of the loop runs. Rounds do not overlap. All requests that come during a round are answered
 * by one further round.
 */
export class Scheduler {
  readonly #rounds: Rounds;
  #begun = 0;
  #completed = 0;
  #lastFailed = false;
  #running: Promise<void> | undefined;
  #requested: { readonly fresh: boolean } | undefined;
  #burst: { fresh: boolean } | undefined;
  #timer = new AbortController();
  readonly #end = new AbortController();

  constructor(rounds: Rounds) {
    this.#rounds = rounds;
  }

  /** The number of the next round to begin. */
  nextRound(): number {
    return this.#begun + 1;
  }

  /** Whether no round runs or is about to begin. */
  isIdle(): boolean {
    return !this.#running && !this.#burst;
  }

  /** Whether another round has been requested since the current one began. */
  isRequested(): boolean {
    return this.#requested !== undefined;
  }

  request(fresh: boolean): void {
    this.#requested = { fresh: fresh || (this.#requested?.fresh ?? false) };
    if (this.#running || this.#end.signal.aborted) return;
    this.#running = this.#runRequested().finally(() => {
      this.#running = undefined;
      if (this.#requested) this.request(false);
    });
  }

  /** Requests a round for an event, after waiting for others of the same burst. */
  async requestSoon(fresh: boolean): Promise<void> {
    if (this.#burst) {
      this.#burst.fresh ||= fresh;
      return;
    }
    const burst = { fresh };
    this.#burst = burst;
    await this.#rounds.clock.sleep(burstMs);
    this.#burst = undefined;
    this.request(burst.fresh);
  }

  /** Requests a round after this time, unless another round begins earlier. */
  async requestAfter(ms: number, isFresh: () => boolean): Promise<void> {
    const { signal } = this.#timer;
    await this.#rounds.clock.sleep(ms, signal);
    if (!signal.aborted) this.request(isFresh());
  }

  /** Requests a round and resolves when a round that began after this call has ended; with false when it failed. */
  async next(fresh: boolean): Promise<boolean> {
    const before = this.#begun;
    do {
      this.request(fresh);
      await this.#running;
    } while (!this.#end.signal.aborted && this.#completed <= before && !this.#lastFailed);
    return this.#completed > before;
  }

  stop(): void {
    this.#end.abort();
    this.#timer.abort();
  }

  async #runRequested(): Promise<void> {
    // One round answers all requests of this turn of the event loop.
    await Promise.resolve();
    while (this.#requested && !this.#end.signal.aborted) {
      const { fresh } = this.#requested;
      this.#requested = undefined;
      this.#timer.abort();
      this.#timer = new AbortController();
      const round = ++this.#begun;
      try {
        await this.#rounds.run(round, fresh);
        this.#completed = round;
        this.#lastFailed = false;
      } catch (error) {
        this.#lastFailed = true;
        this.#rounds.onError(error);
      }
    }
  }
}
