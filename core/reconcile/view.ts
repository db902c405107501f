import type { TargetState } from "../model/target.ts";
import type { CurrentState } from "./current.ts";
import type { Plan } from "./plan.ts";

/** What the last round observed and planned. The API answers from it. */
export interface View {
  readonly current: CurrentState;
  /** A release whose update has failed on this device is marked as rejected. */
  readonly target: TargetState;
  readonly plan: Plan;
  /** Applications that a restart or a purge is stopping. Their plan does not lead to the target state yet. */
  readonly temporary: ReadonlySet<number>;
}

/** Why the last steps of an application, or of the device, did not succeed. */
export interface Failure {
  readonly is: "locked" | "failed";
  readonly message: string;
  /** The service of the step that failed, or the service that holds its update lock. */
  readonly service?: string | undefined;
  /** What the engine or the machine said, without the step; of a lock: the lease, in words. */
  readonly reason?: string | undefined;
}

/** How an attempt to reach a state ended. */
export type Reached = { readonly is: "settled" } | Failure;
