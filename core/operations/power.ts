import type { EventSink } from "../events/events.ts";
import type { Power } from "../ports/power.ts";
import { isMissing, type Missing, type Ports } from "../ports/index.ts";
import type { Applier } from "../reconcile/apply.ts";
import type { Loop } from "../reconcile/loop.ts";
import type { Subject } from "../reconcile/plan.ts";
import type { Memory } from "../state/memory.ts";
import { withLocks, type LockContext } from "./locks.ts";

export interface PowerContext extends LockContext {
  readonly ports: Pick<Ports, "clock" | "locks" | "power">;
  readonly loop: Pick<Loop, "look" | "whilePaused">;
  readonly applier: Pick<Applier, "stop">;
  readonly memory: Pick<Memory, "forgetSeen">;
  readonly events: EventSink;
}

export type PowerOutcome = { readonly is: "done" } | { readonly is: "refused"; readonly reason: string } | Missing;

interface PowerOptions {
  readonly force: boolean;
  /** The subject of the step that this is, if it is one of the plan. */
  readonly by?: Subject;
}

/** Twice as long as systemd waits for a unit to stop. After it, the machine will not go down. */
const goDownLimitMs = 180_000;

/**
 * Reboot and shutdown, in the specification's order: refuse while a host update is under way or a service holds its
 * lock, stop the services with their grace, then go down. If the machine does not go down, the services start again.
 */
export async function powerDown(
  context: PowerContext,
  how: "reboot" | "shutdown",
  { force, by }: PowerOptions,
): Promise<PowerOutcome> {
  const { ports, loop, events } = context;
  const { power, clock } = ports;
  if (isMissing(power)) return power;
  if (!force && (await power.updateInProgress()))
    return { is: "refused", reason: "Waiting for Host OS update to finish" };

  return new Promise((answer, fail) => {
    const goingDown = loop.whilePaused(async (end) => {
      const { outcome, comeBack } = await stopAndGo(context, power, how, force);
      answer(outcome);
      if (outcome.is !== "done") return;
      await clock.sleep(power.startsAgainAfterMs ?? goDownLimitMs, end);
      if (end.aborted) return;
      if (power.startsAgainAfterMs === undefined)
        events.emit({ kind: how === "reboot" ? "rebootFailed" : "shutdownFailed" });
      comeBack();
    }, by);
    goingDown.catch(fail);
  });
}

async function stopAndGo(context: PowerContext, power: Power, how: "reboot" | "shutdown", force: boolean) {
  const { loop, memory, applier, events } = context;
  const { current } = await loop.look();
  const running = current.containers.filter(({ state }) => state === "running" || state === "restarting");
  const comeBack = () => memory.forgetSeen(...running.map(({ id }) => id));
  try {
    const locked = await withLocks(context, current.containers, { force }, async () => {
      const stops = await Promise.allSettled(running.map(({ id }) => applier.stop(id, current)));
      // Not before the last one has ended: what stops later would count as stopped by a user.
      for (const stop of stops) if (stop.status === "rejected") throw stop.reason;
      events.emit({ kind: how === "reboot" ? "rebooting" : "shuttingDown" });
      await power.goDown(how);
    });
    const outcome =
      locked.is === "locked" ? ({ is: "refused", reason: locked.message } as const) : ({ is: "done" } as const);
    return { outcome, comeBack };
  } catch (error) {
    comeBack();
    throw error;
  }
}
