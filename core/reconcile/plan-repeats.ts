import { repeatKey, type CurrentState } from "./current.ts";
import { aimOf, describe, isWork, type Step, type Work } from "./step.ts";

/** The wait that replaces a step that was recently in vain; undefined when the step may be applied now. */
export function waitIfInVain(step: Work, subject: number | "device", current: CurrentState): Step | undefined {
  const aim = aimOf(step);
  const retryAt = aim === undefined ? undefined : current.repeats.get(repeatKey(subject, aim));
  if (retryAt === undefined || retryAt <= current.monotonicMs) return undefined;
  const reason = `another try to ${describe(step)}, which made no difference`;
  return { action: "wait", reason, recheckMs: retryAt - current.monotonicMs, again: step };
}

/** Replaces steps that were recently in vain by waits. Replacements are skipped: they were checked with their dependants. */
export const withoutVain = (steps: readonly Step[], subject: number | "device", current: CurrentState): Step[] =>
  steps.map((step) =>
    isWork(step) && !("differences" in step) ? (waitIfInVain(step, subject, current) ?? step) : step,
  );
