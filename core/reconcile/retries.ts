import { delayMs } from "../model/retry.ts";
import { failureRetry, lockRetry } from "./backoff.ts";
import type { Plan, Subject } from "./plan.ts";
import { isWork } from "./step.ts";
import type { Failure } from "./view.ts";

interface Entry {
  /** At least one; the first is the one that callers get. */
  readonly failures: readonly Failure[];
  readonly times: number;
  readonly retryAt: number;
}

/** Which subjects have failed, how many times in a row, and when they are retried. */
export class Retries {
  /** How often a subject began to wait, and was tried after that. */
  begun = 0;
  retried = 0;
  readonly #entries = new Map<Subject, Entry>();
  /** Failures that a reset has forgotten, until the steps have been tried again. */
  readonly #before = new Map<Subject, Failure>();
  /** Subjects whose steps began before a reset. The result of these steps is ignored. */
  readonly #superseded = new Set<Subject>();

  failureOf(subject: Subject): Failure | undefined {
    return this.failuresOf(subject)[0];
  }

  /** Of each step that has failed. */
  failuresOf(subject: Subject): readonly Failure[] {
    return this.#entries.get(subject)?.failures ?? [];
  }

  /** How the last try ended that has ended, of each subject that has failed then. */
  lastFailures(): ReadonlyMap<Subject, Failure> {
    const waiting = [...this.#entries].flatMap(([subject, { failures }]): [Subject, Failure][] =>
      failures[0] ? [[subject, failures[0]]] : [],
    );
    return new Map([...this.#before, ...waiting]);
  }

  any(): boolean {
    return this.#entries.size > 0;
  }

  subjects(): readonly Subject[] {
    return [...this.#entries.keys()];
  }

  /** The failure whose back-off a subject waits for; undefined when it need not wait. */
  waiting(subject: Subject, now: number): Failure | undefined {
    const entry = this.#entries.get(subject);
    return entry && entry.retryAt > now ? entry.failures[0] : undefined;
  }

  /** The remaining back-off of each failed subject in milliseconds; 0 or less: it is due. */
  delays(now: number, isBusy: (subject: Subject) => boolean): readonly number[] {
    return [...this.#entries].flatMap(([subject, { retryAt }]) => (isBusy(subject) ? [] : [retryAt - now]));
  }

  /** Called when steps of a subject begin. */
  begin(subject: Subject): void {
    this.#superseded.delete(subject);
  }

  /** Called when they have ended, with the failures of those that failed. Returns whether the first differs from the last one. */
  end(subject: Subject, failures: readonly Failure[], now: number): boolean {
    if (this.#superseded.has(subject)) return false;
    this.#before.delete(subject);
    const before = this.#entries.get(subject);
    const [failure] = failures;
    if (before) this.retried++;
    if (failure) this.begun++;
    if (!failure) {
      this.#entries.delete(subject);
      return false;
    }
    const times = (before?.times ?? 0) + 1;
    const policy = failure.is === "locked" ? lockRetry : failureRetry;
    this.#entries.set(subject, { failures, times, retryAt: now + delayMs(policy, times) });
    return before?.failures[0]?.message !== failure.message;
  }

  /** Forgets the subject's failure, and ignores a failure of steps in progress. */
  reset(subject: Subject, { isBusy }: { readonly isBusy: boolean }): void {
    const failure = this.failureOf(subject);
    if (failure) this.#before.set(subject, failure);
    this.#entries.delete(subject);
    if (isBusy) this.#superseded.add(subject);
  }

  /** Forgets subjects that are not in the plan or have no steps left. Stale subjects in the plan are kept. */
  retain(decided: Plan, isStale: (subject: Subject) => boolean): void {
    for (const known of [this.#entries, this.#before])
      for (const subject of known.keys()) {
        const steps = decided.get(subject);
        if (!steps || (!isStale(subject) && !steps.some(isWork))) known.delete(subject);
      }
  }
}
