import { withLocks } from "./locks.ts";
import { isMissing, type Missing } from "../ports/index.ts";
import type { Power } from "../ports/power.ts";
import type { Subject } from "../reconcile/plan.ts";
import type { Supervisor } from "../supervisor.ts";

export type PowerOutcome = { readonly is: "done" } | { readonly is: "refused"; readonly reason: string } | Missing;

interface PowerOptions {
  readonly force: boolean;
  /** Whose step this is, when it is one of the plan. */
  readonly by?: Subject;
}

/** Longer than systemd waits for a unit to stop, twice over. Who is still here then will stay. */
const patienceMs = 180_000;

/**
 * Reboot and shutdown, in the specification's order: refuse while a host update is under way or a service holds its
 * lock, stop the services with their grace, then go. If the machine does not go, the services come back.
 */
export async function powerDown(
  supervisor: Supervisor,
  how: "reboot" | "shutdown",
  { force, by }: PowerOptions,
): Promise<PowerOutcome> {
  const { ports, loop, events } = supervisor;
  const { power, clock } = ports;
  if (isMissing(power)) return power;
  if (!force && (await power.updateInProgress()))
    return { is: "refused", reason: "Waiting for Host OS update to finish" };

  return new Promise((answer, fail) => {
    const goingDown = loop.whilePaused(async (end) => {
      const { outcome, comeBack } = await stopAndGo(supervisor, power, how, force);
      answer(outcome);
      if (outcome.is !== "done") return;
      await clock.sleep(power.startsAgainAfterMs ?? patienceMs, end);
      if (end.aborted) return;
      if (power.startsAgainAfterMs === undefined)
        events.emit({ kind: how === "reboot" ? "rebootFailed" : "shutdownFailed" });
      comeBack();
    }, by);
    goingDown.catch(fail);
  });
}

async function stopAndGo(supervisor: Supervisor, power: Power, how: "reboot" | "shutdown", force: boolean) {
  const { loop, memory, applier, events } = supervisor;
  const { current } = await loop.look();
  const running = current.containers.filter(({ state }) => state === "running" || state === "restarting");
  /** Nobody wanted these to stop for good. */
  const comeBack = () => {
    for (const { id } of running) memory.seen.delete(id);
  };
  try {
    const locked = await withLocks(supervisor, current.containers, { force }, async () => {
      const stops = await Promise.allSettled(running.map(({ id }) => applier.stop(id, current)));
      // Not before the last one has ended: what stops later would seem to have been stopped by somebody.
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
