import type { EventSink } from "../events/events.ts";
import { mostProblems, type Problem } from "../model/problem.ts";
import { CrashLoops } from "./crash-loops.ts";
import { findProblems, keyOf } from "./find-problems.ts";
import type { Subject } from "./plan.ts";
import type { Failure, View } from "./view.ts";

/** What is wrong now, updated after each round. */
export class Problems {
  readonly #events: EventSink;
  readonly #loops = new CrashLoops();
  #known: ReadonlyMap<string, Problem> = new Map();

  constructor(events: EventSink) {
    this.#events = events;
  }

  list(): readonly Problem[] {
    return [...this.#known.values()];
  }

  /** Returns the time after which a problem may have ended without an event of the engine. */
  note(view: View, failuresOf: (subject: Subject) => readonly Failure[]): number | undefined {
    const { containers, now } = view.current;
    const loops = this.#loops.note(containers, now);
    const before = this.#known;
    const at = new Date(now).toISOString();
    this.#known = new Map(
      findProblems({ view, failuresOf, loops })
        .slice(0, mostProblems)
        .map((one) => [keyOf(one), { ...one, since: before.get(keyOf(one))?.since ?? at }]),
    );
    this.#report(before, now);
    return this.#loops.recheckMs(containers, now);
  }

  #report(before: ReadonlyMap<string, Problem>, now: number): void {
    for (const [key, { appId, service, kind, message }] of this.#known)
      if (!before.has(key)) this.#events.emit({ kind: "problemFound", appId, service, problem: kind, reason: message });
    for (const [key, { appId, service, kind, since }] of before)
      if (!this.#known.has(key))
        this.#events.emit({
          ...{ kind: "problemEnded", appId, service, problem: kind },
          lastedMs: now - Date.parse(since),
        });
  }
}
