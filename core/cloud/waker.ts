import type { Clock } from "../ports/clock.ts";

/** A sleep that `wake` ends. If `wake` is called before the sleep, the sleep ends at once. */
export class Waker {
  readonly #clock: Pick<Clock, "sleep">;
  #woken = new AbortController();

  constructor(clock: Pick<Clock, "sleep">) {
    this.#clock = clock;
  }

  wake(): void {
    this.#woken.abort();
  }

  /** Resolves after that time, or on `wake`; at once if `wake` was called since the last sleep. */
  async sleep(ms: number, sleep: Clock["sleep"] = (...of) => this.#clock.sleep(...of)): Promise<void> {
    await sleep(ms, this.#woken.signal);
    this.#woken = new AbortController();
  }

  /** Resolves on `wake`; at once if it was called since the last sleep. */
  async wait(): Promise<void> {
    const { signal } = this.#woken;
    if (!signal.aborted)
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    this.#woken = new AbortController();
  }
}
