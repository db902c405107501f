import type { EventSink } from "../events/events.ts";
import { appIdOf, isSettled, type Subject } from "./plan.ts";
import { describe, isNote, isWork, type Step } from "./step.ts";

/** Logs the waits and notes of an application. Each is logged once until it changes. */
export class Notices {
  readonly #events: EventSink;
  readonly #waits = new Map<Subject, string>();
  readonly #notes = new Map<Subject, readonly string[]>();

  constructor(events: EventSink) {
    this.#events = events;
  }

  report(subject: Subject, steps: readonly Step[]): void {
    if (!steps.some(isWork)) this.#reportWaits(subject, steps);
    const noted = this.#notes.get(subject) ?? [];
    const notes = steps.filter(isNote).map(describe);
    for (const reason of notes)
      if (!noted.includes(reason))
        this.#events.emit({ kind: "volumeChangeIgnored", subject, appId: appIdOf(subject), reason });
    // A plan that still has steps may not contain all notes.
    this.#notes.set(subject, isSettled(steps) ? notes : [...new Set([...noted, ...notes])]);
  }

  #reportWaits(subject: Subject, steps: readonly Step[]): void {
    // The log already has a warning about a step that was in vain. Two services may wait for the same image.
    const reasons = steps.flatMap((step) =>
      step.action === "wait" && !step.again && !step.isSaid ? [step.reason] : [],
    );
    const waits = [...new Set(reasons)].join(", ");
    if (waits === (this.#waits.get(subject) ?? "")) return;
    this.#waits.set(subject, waits);
    if (waits) this.#events.emit({ kind: "waiting", subject, appId: appIdOf(subject), reason: waits });
  }
}
