import type { Event, EventKind } from "../model/event.ts";
import type { Work } from "../reconcile/step.ts";

export const outcomes = ["done", "locked", "failed"] as const;
type Outcome = (typeof outcomes)[number];

/** Counts of what the agent does, since its start. */
export class Counters {
  readonly events = new Map<EventKind, number>();
  readonly steps = new Map<Work["action"], Record<Outcome, number>>();
  passes = 0;
  passFailures = 0;

  /** Called with each event. */
  event({ kind }: Event): void {
    this.events.set(kind, (this.events.get(kind) ?? 0) + 1);
  }

  /** Called with each round's observation. */
  pass<T>(observed: Promise<T>): Promise<T> {
    this.passes++;
    observed.catch(() => this.passFailures++);
    return observed;
  }

  /** Called with each step, and how it ends. */
  step<T extends { readonly is: "done" | "locked" }>(action: Work["action"], applied: Promise<T>): Promise<T> {
    applied.then(
      ({ is }) => this.#ended(action, is),
      () => this.#ended(action, "failed"),
    );
    return applied;
  }

  #ended(action: Work["action"], outcome: Outcome): void {
    const counts = this.steps.get(action) ?? { done: 0, locked: 0, failed: 0 };
    counts[outcome]++;
    this.steps.set(action, counts);
  }
}
