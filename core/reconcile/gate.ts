import { isActive } from "../model/container.ts";
import type { CurrentState } from "./current.ts";
import { isStop, isWork, type Step, type Work } from "./step.ts";

/** What is planned for an application passes two gates: update locks when it is planned, the others when it is applied. */

/** Stops need the update locks of the whole application first, unless none of its containers runs. */
export function withLocks(steps: readonly Step[], appId: number, { containers, locks }: CurrentState): Step[] {
  const stops = steps.filter(isStop);
  const own = containers.filter((container) => container.appId === appId);
  const active = new Set(own.filter(isActive).map(({ id }) => id));
  const services = [...new Set(own.map(({ service }) => service))].sort();
  const held = locks.get(appId) ?? [];
  if (!stops.some(({ id }) => active.has(id)) || services.every((service) => held.includes(service))) return [...steps];
  return [...steps.filter((step) => !isStop(step)), { action: "takeLocks", appId, services, stops }];
}

/** What decides, beside the plan, whether the steps of one application (or of the device) are applied now. */
export interface GateState {
  /** Something else has the device for itself, such as a reboot. */
  readonly paused: boolean;
  /** Another target state has been set since the plan was made. */
  readonly outdated: boolean;
  /** A step was applied since the device was observed: for these the observation may be wrong. */
  readonly stale: boolean;
  /** For the device: the same is true of an application. */
  readonly othersStale: boolean;
  /** Why the last attempt failed, as long as it is too early for another. */
  readonly failure: string | undefined;
}

export interface Gated {
  readonly go: readonly Work[];
  readonly waiting: readonly { readonly step: Work; readonly why: string }[];
}

/** Which of the planned steps are applied now, and why the others wait. */
export function gate(steps: readonly Step[], state: GateState): Gated {
  const judged = steps.filter(isWork).map((step) => ({ step, why: whyWait(step, state) }));
  return {
    go: judged.flatMap(({ step, why }) => (why === undefined ? [step] : [])),
    waiting: judged.flatMap(({ step, why }) => (why === undefined ? [] : [{ step, why }])),
  };
}

function whyWait({ action }: Work, state: GateState): string | undefined {
  if (state.outdated) return "another target state has been set";
  if (state.paused) return "the device is about to reboot or shut down";
  if (state.stale) return "steps are being applied";
  // An image may be needed by a container that is being created, and that the observation does not show yet.
  if (action === "removeImage" && state.othersStale) return "steps of other applications are being applied";
  // A download has a back-off of its own.
  return action === "fetch" ? undefined : state.failure;
}
