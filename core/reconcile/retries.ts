import { delayMs } from "../model/retry.ts";
import { failureRetry, lockRetry } from "./backoff.ts";
import type { Plan, Subject } from "./plan.ts";
import { isWork } from "./step.ts";
import type { Failure } from "./view.ts";

interface Entry {
  readonly failure: Failure;
  readonly times: number;
  readonly retryAt: number;
}

/** Which subjects have failed, how often in a row, and when they are tried again. */
export class Retries {
  readonly #entries = new Map<Subject, Entry>();
  /** Their steps began before somebody asked for another try: how these end says nothing about that. */
  readonly #superseded = new Set<Subject>();

  failureOf(subject: Subject): Failure | undefined {
    return this.#entries.get(subject)?.failure;
  }

  any(): boolean {
    return this.#entries.size > 0;
  }

  subjects(): readonly Subject[] {
    return [...this.#entries.keys()];
  }

  /** Why a subject has to wait, if so. */
  waiting(subject: Subject, now: number): Failure | undefined {
    const entry = this.#entries.get(subject);
    return entry && entry.retryAt > now ? entry.failure : undefined;
  }

  /** How long the subjects wait still; 0 or less: they are due. */
  delays(now: number, isBusy: (subject: Subject) => boolean): readonly number[] {
    return [...this.#entries].flatMap(([subject, { retryAt }]) => (isBusy(subject) ? [] : [retryAt - now]));
  }

  /** Steps of a subject begin. */
  begin(subject: Subject): void {
    this.#superseded.delete(subject);
  }

  /** They have ended. Answers whether the failure is another one than last time. */
  end(subject: Subject, failure: Failure | undefined, now: number): boolean {
    if (this.#superseded.has(subject)) return false;
    const before = this.#entries.get(subject);
    if (!failure) {
      this.#entries.delete(subject);
      return false;
    }
    const times = (before?.times ?? 0) + 1;
    const policy = failure.is === "locked" ? lockRetry : failureRetry;
    this.#entries.set(subject, { failure, times, retryAt: now + delayMs(policy, times) });
    return before?.failure.message !== failure.message;
  }

  /** Past failures, and those of steps that are under way, are no reason to wait any more. */
  reset(subject: Subject, { isBusy }: { readonly isBusy: boolean }): void {
    this.#entries.delete(subject);
    if (isBusy) this.#superseded.add(subject);
  }

  /** Forgets subjects that have no work left, and those that are gone; of stale ones it is not known. */
  retain(decided: Plan, isStale: (subject: Subject) => boolean): void {
    for (const subject of this.#entries.keys()) {
      const steps = decided.get(subject);
      if (!steps || (!isStale(subject) && !steps.some(isWork))) this.#entries.delete(subject);
    }
  }
}
