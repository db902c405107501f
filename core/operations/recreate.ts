import type { EventSink } from "../events/events.ts";
import type { Turn } from "../model/turn.ts";
import { findApp } from "../model/target.ts";
import type { Loop } from "../reconcile/loop.ts";
import type { Reached } from "../reconcile/view.ts";
import type { Targets } from "../state/targets.ts";

export interface RecreateContext {
  readonly loop: Pick<Loop, "recreate">;
  readonly targets: Pick<Targets, "current">;
  readonly events: EventSink;
}

/** Removes the containers of an application, with "purged" its volumes too, and creates them again. */
export async function recreateApplication(
  { loop, targets, events }: RecreateContext,
  appId: number,
  kind: "stopped" | "purged",
  { force, turn }: { readonly force: boolean; readonly turn?: Turn | undefined },
): Promise<Reached | { readonly is: "unknown" }> {
  if (!findApp(targets.current(), appId)) return { is: "unknown" };
  const begin = () => {
    turn?.take();
    if (kind === "purged") events.emit({ kind: "purging", appId, cause: "request" });
  };
  const reached = await loop.recreate(appId, kind, { force, begin });
  if (kind === "purged" && reached.is === "settled") events.emit({ kind: "purged", appId });
  return reached;
}
