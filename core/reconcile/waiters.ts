import type { Reached } from "./view.ts";

interface Waiter {
  readonly appId: number;
  /** Earlier rounds observed the device before the question was asked. */
  readonly fromRound: number;
  readonly answer: (reached: Reached) => void;
}

/** Callers that wait until an application is settled, or fails. */
export class Waiters {
  readonly #waiters = new Set<Waiter>();

  add(appId: number, fromRound: number): Promise<Reached> {
    return new Promise((answer) => this.#waiters.add({ appId, fromRound, answer }));
  }

  /** A round has ended; `reached` answers undefined for applications that are still on their way. */
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
