import type { ParsedTarget } from "../compose/target-state.ts";
import type { EventSink } from "../events/events.ts";
import { firstOf } from "../model/show.ts";
import type { Loop } from "../reconcile/loop.ts";
import type { Targets } from "../state/targets.ts";

export interface UpdateContext {
  readonly loop: Pick<Loop, "retry">;
  /** Absent: the device has no cloud. */
  readonly cloud: { update(options: { readonly force: boolean }): void } | undefined;
}

/** Retries the known target state at once, and asks the cloud for a new one. */
export function updateNow(
  { loop, cloud }: UpdateContext,
  options: { readonly force: boolean; readonly cancel: boolean },
): void {
  loop.retry(options);
  cloud?.update(options);
}

export interface LocalTargetContext {
  readonly targets: Pick<Targets, "setLocal">;
  readonly loop: Pick<Loop, "retry">;
  readonly events: EventSink;
}

/** Accepts a developer's target state; it is applied after this has returned. */
export async function setLocalTarget(
  { targets, loop, events }: LocalTargetContext,
  body: unknown,
  { force }: { readonly force: boolean },
): Promise<ParsedTarget> {
  const parsed = await targets.setLocal(body);
  if (!parsed.ok) return { ok: false, faults: firstOf(parsed.faults) };
  const warnings = firstOf(parsed.warnings);
  for (const warning of warnings) events.emit({ kind: "targetWarning", reason: warning });
  loop.retry({ force });
  return { ...parsed, warnings };
}
