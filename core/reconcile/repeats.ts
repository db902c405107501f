import type { Clock } from "../ports/clock.ts";
import { delayMs } from "../model/retry.ts";
import { failureRetry, lastingMs } from "./backoff.ts";
import { repeatKey, type CurrentState } from "./current.ts";
import type { Plan, Subject } from "./plan.ts";
import { aimOf, isWork, takesBack, type Work } from "./step.ts";

interface Repeat {
  readonly subject: Subject;
  readonly step: Work;
  /** How often it has succeeded without lasting. */
  times: number;
  doneAt: number;
  /** Since when its effect is there; undefined while the step is due again. */
  lastsSince: number | undefined;
  /** Whether an observation has shown its effect since it was done last. */
  wasThere: boolean;
  /** Whether it had to wait since it was due again. */
  isLoop: boolean;
}

/**
 * The steps that have succeeded. A step that is due again for the same reason was in vain: an engine that reads a value back
 * differently causes a loop. Such a step waits as long as one that has failed.
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
    const doneAt = this.#clock.now();
    this.#repeats.set(key, { subject, step, times, doneAt, lastsSince: undefined, wasThere: false, isLoop });
  }

  /** By `repeatKey`: when what was done may be done again. */
  retryAt(): ReadonlyMap<string, number> {
    const now = this.#clock.now();
    for (const [key, { lastsSince }] of this.#repeats)
      if (lastsSince !== undefined && now - lastsSince >= lastingMs) this.#repeats.delete(key);
    return new Map(
      [...this.#repeats].map(([key, { step, doneAt, times, wasThere }]) => {
        // A person may have undone it, once.
        const failures = wasThere || canBeUndone(step) ? times - 1 : times;
        return [key, failures > 0 ? doneAt + delayMs(failureRetry, failures) : now];
      }),
    );
  }

  /** Takes an observation and its plan; gives the steps that have just been found to be in vain. */
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
          record.lastsSince ??= current.now;
          record.wasThere = true;
        }
      }
    }
    for (const [key, { subject }] of this.#repeats) if (!decided.has(subject)) this.#repeats.delete(key);
    return found;
  }

  /** Whether something is tried again and again in vain. */
  any(): boolean {
    return [...this.#repeats.values()].some(({ isLoop }) => isLoop);
  }

  /** After a request or an operation, what is due is due for another reason. */
  forget(subject?: Subject): void {
    for (const [key, record] of this.#repeats)
      if (subject === undefined || record.subject === subject) this.#repeats.delete(key);
  }
}

/** Locks are taken for stops, which count as due too. */
const aimsOf = (step: Work): string[] =>
  [aimOf(step), ...(step.action === "takeLocks" ? step.stops.map(aimOf) : [])].filter((aim) => aim !== undefined);

/** Whether its effect can be undone before an observation shows it. */
const canBeUndone = ({ action }: Work): boolean =>
  action === "install" ||
  action === "start" ||
  action === "rename" ||
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
