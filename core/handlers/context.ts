import type { View } from "../reconcile/view.ts";
import type { Memory } from "../state/memory.ts";
import type { Targets } from "../state/targets.ts";

/** From which handlers answer what is on the device, and what is wanted. */
export interface StateContext {
  /** What the last observation has found; before the first one, a device with nothing on it. */
  readonly view: () => View;
  readonly memory: Pick<Memory, "activity" | "commitOf">;
  readonly targets: Pick<Targets, "current">;
}
