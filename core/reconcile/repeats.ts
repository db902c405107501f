import type { Clock } from "../ports/clock.ts";
import { delayMs } from "../model/retry.ts";
import { failureRetry, lastingMs, mostReplacements, replacementsMs } from "./backoff.ts";
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

/** Replacements of a service for the sake of the same values, each of which had an effect for some time. */
interface Replacements {
  readonly subject: Subject;
  /** The `repeatKey` of the next one. */
  readonly key: string;
  /** The differences, as JSON. */
  readonly grounds: string;
  readonly at: readonly number[];
  /** Whether it has been reported that there were too many of them. */
  isReported: boolean;
}

/**
 * Remembers the steps that have succeeded. A step that is due again for the same reason was in vain, for example because
 * the engine returns a value in another form. Such a step gets the same back-off as a failed one.
 */
export class Repeats {
  readonly #repeats = new Map<string, Repeat>();
  /** By subject and service. */
  readonly #replacements = new Map<string, Replacements>();
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
    for (const [key, repeat] of this.#repeats)
      if (repeat.lastsSince !== undefined && now - repeat.lastsSince >= lastingMs) {
        this.#repeats.delete(key);
        this.#noteReplacement(key, repeat);
      }
    const due = new Map(
      [...this.#repeats].map(([key, { step, doneAt, times, wasThere }]) => {
        // The first repeat has no delay: a person may have undone the step.
        const failures = wasThere || canBeUndone(step) ? times - 1 : times;
        return [key, doneAt + (failures > 0 ? delayMs(failureRetry, failures) : 0)];
      }),
    );
    for (const [service, { key, at }] of this.#replacements) {
      const [earliest, last = 0] = [at.at(-mostReplacements), at.at(-1)];
      if (now - last >= replacementsMs) this.#replacements.delete(service);
      else if (earliest !== undefined) due.set(key, earliest + replacementsMs);
    }
    return due;
  }

  /** A replacement lasts. If it is due again later, something else on the machine has changed the container. */
  #noteReplacement(key: string, { subject, step, doneAt }: Repeat): void {
    if ((step.action !== "kill" && step.action !== "moveAside") || !step.differences) return;
    const service = serviceOf(subject, step);
    const grounds = JSON.stringify(step.differences);
    // Other values are those of another target, or of a service whose network it uses.
    const known = this.#replacements.get(service);
    const before = known?.key === key && known.grounds === grounds ? known : undefined;
    const at = [...(before?.at ?? []).filter((one) => doneAt - one < replacementsMs), doneAt];
    this.#replacements.set(service, { subject, key, grounds, at, isReported: before?.isReported ?? false });
  }

  /** Updates the records from an observation and its plan. Returns the steps that are newly found to be in vain. */
  note(decided: Plan, current: CurrentState, isTouched: (subject: Subject) => boolean): readonly Work[] {
    const found: Work[] = [];
    for (const [subject, steps] of decided) {
      if (isTouched(subject)) continue;
      const waiting = steps.flatMap((step) => (step.action === "wait" && step.again ? [step.again] : []));
      const due = new Set([...steps.filter(isWork), ...waiting].flatMap(aimsOf));
      for (const step of waiting) {
        const key = repeatKey(subject, aimOf(step) ?? "");
        const [record, replacements] = [this.#repeats.get(key), this.#replacements.get(serviceOf(subject, step))];
        if (record?.isLoop ?? replacements?.isReported ?? true) continue;
        if (record) record.isLoop = true;
        if (replacements) replacements.isReported = true;
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
    for (const records of [this.#repeats, this.#replacements])
      for (const [key, { subject }] of records) if (!decided.has(subject)) records.delete(key);
    return found;
  }

  /** Whether a step is being repeated in vain. */
  any(): boolean {
    return [...this.#repeats.values()].some(({ isLoop }) => isLoop);
  }

  /** Called after a request or an operation: steps that are due again then have a new reason. */
  forget(subject?: Subject): void {
    for (const records of [this.#repeats, this.#replacements])
      for (const [key, record] of records) if (subject === undefined || record.subject === subject) records.delete(key);
  }
}

const serviceOf = (subject: Subject, step: Work): string => `${subject} ${"service" in step ? step.service : ""}`;

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
