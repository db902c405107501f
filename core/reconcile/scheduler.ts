import type { Clock } from "../ports/clock.ts";

/** Engine events come in bursts; one round answers all of them. */
const burstMs = 50;

interface Rounds {
  readonly clock: Pick<Clock, "sleep">;
  /** Runs a round; the first is number 1. `fresh`: nothing that was read before may be used again. May throw. */
  readonly run: (round: number, fresh: boolean) => Promise<void>;
  readonly onError: (error: unknown) => void;
}

/**
 * Decides when the next round of the loop runs. Rounds run one after the other; all requests that come while one runs are
 * answered by one more.
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

  /** The number of the first round that begins from now on. */
  nextRound(): number {
    return this.#begun + 1;
  }

  /** Whether no round runs, nor follows at once. */
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

  /** For events: waits a moment for others of the same burst. */
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

  /** After that long, unless a round begins earlier. */
  async requestAfter(ms: number, isFresh: () => boolean): Promise<void> {
    const { signal } = this.#timer;
    await this.#rounds.clock.sleep(ms, signal);
    if (!signal.aborted) this.request(isFresh());
  }

  /** Requests a round and resolves when one that began from now on has ended: with false when it failed. */
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
    // All who ask in this turn of the event loop are answered by one round.
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
