import type { Clock } from "../ports/clock.ts";
import { delayMs } from "../model/retry.ts";
import { failureRetry, lastingMs } from "./backoff.ts";
import { repeatKey, type CurrentState } from "./current.ts";
import type { Plan, Subject } from "./plan.ts";
import { aimOf, isWork, takesBack, type Work } from "./step.ts";

interface Repeat {
  readonly subject: Subject;
  readonly step: Work;
  /** How many times in a row the step has succeeded without a lasting effect. */
  times: number;
  doneAt: number;
  /** Since when observations show the effect; undefined while the step is due again. */
  lastsSince: number | undefined;
  /** Whether an observation has shown the effect since the step was applied last. */
  wasThere: boolean;
  /** Whether the step was due again and had to wait, so that it has been reported. */
  isLoop: boolean;
}

/**
 * Remembers the steps that have succeeded. A step that is due again for the same reason was in vain, for example because
 * the engine returns a value in another form. Such a step gets the same back-off as a failed one.
 */
export class Repeats {
  readonly #repeats = new Map<string, Repeat>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A step has succeeded. */
  done(subject: Subject, step: Work): void {
    for (const [key, one] of this.#repeats)
      if (one.subject === subject && takesBack(step, one.step)) this.#repeats.delete(key);
    const aim = aimOf(step);
    if (aim === undefined) return;
    const key = repeatKey(subject, aim);
    const times = (this.#repeats.get(key)?.times ?? 0) + 1;
    const isLoop = this.#repeats.get(key)?.isLoop ?? false;
    const doneAt = this.#clock.monotonic();
    this.#repeats.set(key, { subject, step, times, doneAt, lastsSince: undefined, wasThere: false, isLoop });
  }

  /** By `repeatKey`: the earliest time at which a step may be applied again. */
  retryAt(): ReadonlyMap<string, number> {
    const now = this.#clock.monotonic();
    for (const [key, { lastsSince }] of this.#repeats)
      if (lastsSince !== undefined && now - lastsSince >= lastingMs) this.#repeats.delete(key);
    return new Map(
      [...this.#repeats].map(([key, { step, doneAt, times, wasThere }]) => {
        // The first repeat has no delay: a person may have undone the step.
        const failures = wasThere || canBeUndone(step) ? times - 1 : times;
        return [key, doneAt + (failures > 0 ? delayMs(failureRetry, failures) : 0)];
      }),
    );
  }

  /** Updates the records from an observation and its plan. Returns the steps that are newly found to be in vain. */
  note(decided: Plan, current: CurrentState, isTouched: (subject: Subject) => boolean): readonly Work[] {
    const found: Work[] = [];
    for (const [subject, steps] of decided) {
      if (isTouched(subject)) continue;
      const waiting = steps.flatMap((step) => (step.action === "wait" && step.again ? [step.again] : []));
      const due = new Set([...steps.filter(isWork), ...waiting].flatMap(aimsOf));
      for (const step of waiting) {
        const record = this.#repeats.get(repeatKey(subject, aimOf(step) ?? ""));
        if (!record || record.isLoop) continue;
        record.isLoop = true;
        found.push(step);
      }
      for (const [key, record] of this.#repeats) {
        if (record.subject !== subject) continue;
        if ([...due].some((aim) => repeatKey(subject, aim) === key)) record.lastsSince = undefined;
        else if (isInPlace(record, current)) {
          record.lastsSince ??= current.monotonicMs;
          record.wasThere = true;
        }
      }
    }
    for (const [key, { subject }] of this.#repeats) if (!decided.has(subject)) this.#repeats.delete(key);
    return found;
  }

  /** Whether a step is being repeated in vain. */
  any(): boolean {
    return [...this.#repeats.values()].some(({ isLoop }) => isLoop);
  }

  /** Called after a request or an operation: steps that are due again then have a new reason. */
  forget(subject?: Subject): void {
    for (const [key, record] of this.#repeats)
      if (subject === undefined || record.subject === subject) this.#repeats.delete(key);
  }
}

/** The purposes of a step. `takeLocks` includes those of the stops that need the locks. */
const aimsOf = (step: Work): string[] =>
  [aimOf(step), ...(step.action === "takeLocks" ? step.stops.map(aimOf) : [])].filter((aim) => aim !== undefined);

/** Whether the effect can be undone before an observation shows it. */
const canBeUndone = ({ action }: Work): boolean =>
  action === "install" ||
  action === "prepare" ||
  action === "start" ||
  action === "rename" ||
  action === "takeBack" ||
  action === "createNetwork" ||
  action === "createVolume";

/** Whether the effect can be observed: after a replacement, the new container must exist. */
function isInPlace({ subject, step }: Repeat, { containers }: CurrentState): boolean {
  switch (step.action) {
    case "kill":
    case "moveAside":
      return containers.some(({ appId, service }) => appId === subject && service === step.service);
    default:
      return true;
  }
}
