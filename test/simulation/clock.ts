import type { Clock } from "../../core/ports/clock.ts";

/** A random number generator that one seed determines (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Choices of one seed. */
export class Chance {
  readonly random: () => number;

  constructor(seed: number) {
    this.random = seeded(seed);
  }
  below(limit: number): number {
    return Math.floor(this.random() * limit);
  }
  happens(probability: number): boolean {
    return this.random() < probability;
  }
  pick<T>(items: readonly [T, ...T[]]): T {
    return items[this.below(items.length)] ?? items[0];
  }
  some<T>(items: readonly T[], probability = 0.5): T[] {
    return items.filter(() => this.happens(probability));
  }
}

interface Timer {
  readonly at: number;
  readonly wake: () => void;
}

/** Time that passes only when it is told to; what is due at one moment happens in the order in which it was asked for. */
export class SimClock implements Clock {
  /** On the monotonic clock. It begins at the time of the wall clock, so that without jumps both are the same. */
  #now = Date.UTC(2026, 0, 1);
  #jumpedMs = 0;
  #timers: Timer[] = [];
  readonly #chance: Chance;

  constructor(chance: Chance) {
    this.#chance = chance;
  }

  now(): number {
    return this.#now + this.#jumpedMs;
  }

  monotonic(): number {
    return this.#now;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const timer: Timer = {
        at: this.#now + ms,
        wake: () => {
          this.#timers = this.#timers.filter((one) => one !== timer);
          signal?.removeEventListener("abort", timer.wake);
          resolve();
        },
      };
      this.#timers.push(timer);
      signal?.addEventListener("abort", timer.wake);
    });
  }

  /** Somebody sets the wall clock. */
  jump(ms: number): void {
    this.#jumpedMs += ms;
  }

  random(): number {
    return this.#chance.random();
  }

  token(bytes: number): string {
    return Array.from({ length: bytes }, () => this.#chance.below(256).toString(16).padStart(2, "0")).join("");
  }

  /** Lets time pass, with everything that happens in it. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await drained();
    for (;;) {
      const next = this.#timers.reduce<Timer | undefined>(
        (first, one) => (first && first.at <= one.at ? first : one),
        undefined,
      );
      if (!next || next.at > end) break;
      this.#now = Math.max(this.#now, next.at);
      next.wake();
      await drained();
    }
    this.#now = end;
  }
}

/** Nothing here waits for anything but time and promises: one turn of the event loop ends all that can go on now. */
const drained = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
