import { repeatKey, type CurrentState } from "./current.ts";
import { aimOf, describe, isWork, type Step, type Work } from "./step.ts";

/** What to wait for instead of a step that was done in vain a moment ago; undefined when it may be done now. */
export function waitIfInVain(step: Work, subject: number | "device", current: CurrentState): Step | undefined {
  const aim = aimOf(step);
  const retryAt = aim === undefined ? undefined : current.repeats.get(repeatKey(subject, aim));
  if (retryAt === undefined || retryAt <= current.now) return undefined;
  const reason = `another try to ${describe(step)}, which made no difference`;
  return { action: "wait", reason, recheckMs: retryAt - current.now, again: step };
}

/** The steps, with those done in vain replaced by waits. Replacements have been judged before, with their dependants. */
export const withoutVain = (steps: readonly Step[], subject: number | "device", current: CurrentState): Step[] =>
  steps.map((step) =>
    isWork(step) && !("differences" in step) ? (waitIfInVain(step, subject, current) ?? step) : step,
  );
