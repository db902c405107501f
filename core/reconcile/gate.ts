import { isActive } from "../model/container.ts";
import type { CurrentState } from "./current.ts";
import { isStop, isWork, type Step, type Work } from "./step.ts";

/** The gates for planned steps. Update locks are checked when steps are planned, the others when they are applied. */

/** Before a running container is stopped, the agent takes the update locks of all services of the application. */
export function withLocks(
  steps: readonly Step[],
  appId: number,
  { containers, locks, isReturning = false }: CurrentState,
): Step[] {
  const stops = steps.filter(isStop);
  // A program that ends again and again may have locked itself. Nobody else could return from its release then.
  const own = containers.filter((one) => one.appId === appId && !(isReturning && one.state !== "running"));
  const active = new Set(own.filter(isActive).map(({ id }) => id));
  const services = [...new Set(own.map(({ service }) => service))].sort();
  const held = locks.get(appId) ?? [];
  if (!stops.some(({ id }) => active.has(id)) || services.every((service) => held.includes(service))) return [...steps];
  return [...steps.filter((step) => !isStop(step)), { action: "takeLocks", appId, services, stops }];
}

/** The conditions for applying the steps of one application, or of the device, now. */
export interface GateState {
  /** The loop is paused, for example for a reboot. */
  readonly paused: boolean;
  /** Another target state has been set since the plan was made. */
  readonly outdated: boolean;
  /** A step of this subject was applied since the observation began, so the observation may be outdated. */
  readonly stale: boolean;
  /** For the device: `stale` is true for at least one subject. */
  readonly othersStale: boolean;
  /** Why the last attempt failed; undefined when its back-off is over. */
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
  // A container that is being created may use the image, and the observation does not show it yet.
  if (action === "removeImage" && state.othersStale) return "steps of other applications are being applied";
  // Downloads have their own back-off.
  return action === "fetch" ? undefined : state.failure;
}
