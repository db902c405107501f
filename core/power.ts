import { withLocks } from "./locks.ts";
import { isMissing, type Missing } from "./ports/index.ts";
import type { Supervisor } from "./supervisor.ts";

export type PowerOutcome = { readonly is: "done" } | { readonly is: "refused"; readonly reason: string } | Missing;

/**
 * Reboot and shutdown, in the specification's order: refuse while a host update is under way or a service holds its
 * lock, stop the services with their grace, then go. If the machine does not go, the services come back.
 */
export async function powerDown(
  supervisor: Supervisor,
  how: "reboot" | "shutdown",
  { force }: { force: boolean },
): Promise<PowerOutcome> {
  const { ports, loop, memory, applier, logs } = supervisor;
  const { power } = ports;
  if (isMissing(power)) return power;
  if (!force && (await power.updateInProgress()))
    return { is: "refused", reason: "Waiting for Host OS update to finish" };

  return loop.whilePaused(async (): Promise<PowerOutcome> => {
    const { current } = await loop.look();
    const running = current.containers.filter(({ state }) => state === "running" || state === "restarting");
    const locked = await withLocks(supervisor, current.containers, { force }, async () => {
      try {
        await Promise.all(running.map(({ id }) => applier.stop(id, current)));
        logs.system(how === "reboot" ? "Rebooting" : "Shutting down");
        await power.goDown(how);
      } catch (error) {
        // Nobody wanted these to stop for good.
        for (const { id } of running) memory.seen.delete(id);
        throw error;
      }
    });
    return locked.is === "locked" ? { is: "refused", reason: locked.message } : { is: "done" };
  });
}
