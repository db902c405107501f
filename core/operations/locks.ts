import type { Container } from "../model/container.ts";
import { isOn } from "../model/config.ts";
import { lockedMessage } from "../model/names.ts";
import type { Ports } from "../ports/index.ts";
import type { Targets } from "../state/targets.ts";

export interface LockContext {
  readonly ports: Pick<Ports, "locks">;
  readonly targets: Pick<Targets, "current">;
}

export type Locked = { readonly is: "locked"; readonly message: string };

/**
 * Runs `act` while the agent holds the update locks of the applications of these containers; does not run it while a service
 * of one of them holds its lock, unless forced by the caller or by the config.
 */
export async function withLocks<T>(
  { ports: { locks }, targets }: LockContext,
  containers: readonly Container[],
  { force }: { readonly force: boolean },
  act: () => Promise<T>,
): Promise<{ readonly is: "done"; readonly value: T } | Locked> {
  const override = force || isOn(targets.current().config, "SUPERVISOR_OVERRIDE_LOCK");
  const appIds = [...new Set(containers.map(({ appId }) => appId))].sort((a, b) => a - b);
  const heldBefore = new Set(locks.held().keys());
  const taken: number[] = [];
  try {
    for (const appId of appIds) {
      const services = containers.filter((one) => one.appId === appId).map(({ service }) => service);
      const lock = await locks.take(appId, [...new Set(services)].sort(), { force: override });
      if (!lock.taken) return { is: "locked", message: lockedMessage(appId, lock) };
      // The loop releases what it holds itself.
      if (!heldBefore.has(appId)) taken.push(appId);
    }
    return { is: "done", value: await act() };
  } finally {
    await Promise.all(taken.map((appId) => locks.release(appId)));
  }
}
