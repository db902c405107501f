import type { Logs } from "../events/logs.ts";
import { isSettled, type Subject } from "./plan.ts";
import { describe, isNote, isWork, type Step } from "./step.ts";

/** Logs what an application waits for, and its notes: each once, for as long as it stays so. */
export class Notices {
  readonly #logs: Pick<Logs, "system" | "warning">;
  readonly #waits = new Map<Subject, string>();
  readonly #notes = new Map<Subject, readonly string[]>();

  constructor(logs: Pick<Logs, "system" | "warning">) {
    this.#logs = logs;
  }

  report(subject: Subject, steps: readonly Step[]): void {
    if (!steps.some(isWork)) this.#reportWaits(subject, steps);
    const noted = this.#notes.get(subject) ?? [];
    const notes = steps.filter(isNote).map(describe);
    for (const note of notes) if (!noted.includes(note)) this.#logs.warning(`App ${subject}: ${note}`);
    // A plan with steps to do first does not show all notes.
    this.#notes.set(subject, isSettled(steps) ? notes : [...new Set([...noted, ...notes])]);
  }

  #reportWaits(subject: Subject, steps: readonly Step[]): void {
    const waits = steps
      // A step that was done in vain has been logged as a warning.
      .flatMap((step) => (step.action === "wait" && !step.again && !step.isSaid ? [step.reason] : []))
      .join(", ");
    if (waits === (this.#waits.get(subject) ?? "")) return;
    this.#waits.set(subject, waits);
    if (waits) this.#logs.system(`App ${subject} waits for ${waits}`);
  }
}
