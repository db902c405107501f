import type { Reached } from "./view.ts";

interface Waiter {
  readonly appId: number;
  /** The first round that may answer. Earlier rounds began before the call. */
  readonly fromRound: number;
  readonly answer: (reached: Reached) => void;
}

/** Callers that wait until an application is settled or has failed. */
export class Waiters {
  readonly #waiters = new Set<Waiter>();

  add(appId: number, fromRound: number): Promise<Reached> {
    return new Promise((answer) => this.#waiters.add({ appId, fromRound, answer }));
  }

  /** Called when a round has ended. `reached` returns undefined for applications that are not settled yet. */
  answer(round: number, reached: (appId: number) => Reached | undefined): void {
    for (const waiter of this.#waiters) {
      const result = waiter.fromRound <= round ? reached(waiter.appId) : undefined;
      if (!result) continue;
      this.#waiters.delete(waiter);
      waiter.answer(result);
    }
  }

  failAll(message: string): void {
    for (const { answer } of this.#waiters) answer({ is: "failed", message });
    this.#waiters.clear();
  }
}
