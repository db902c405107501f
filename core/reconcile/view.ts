import type { TargetState } from "../model/target.ts";
import type { CurrentState } from "./current.ts";
import type { Plan } from "./plan.ts";

/** What the last look showed, and what was decided on it: all that the API answers from. */
export interface View {
  readonly current: CurrentState;
  readonly target: TargetState;
  readonly plan: Plan;
  /** Applications that a restart or a purge takes down: what is planned for them is not yet for the target. */
  readonly temporary: ReadonlySet<number>;
}

/** Why an application does not get on. */
export type Failure =
  { readonly is: "locked"; readonly message: string } | { readonly is: "failed"; readonly message: string };

/** How an attempt to reach a state ended. */
export type Reached = { readonly is: "settled" } | Failure;
