import type { Container } from "../model/container.ts";
import { lockedMessage } from "../model/names.ts";
import { isOn } from "../model/config.ts";
import type { Supervisor } from "../supervisor.ts";

export type Locked<T> =
  { readonly is: "done"; readonly value: T } | { readonly is: "locked"; readonly message: string };

/**
 * Runs `act` while we hold the update locks of the applications to which these containers belong; not at all when a
 * service of any of them says "not now", unless forced for this time or by the config.
 */
export async function withLocks<T>(
  { ports: { locks }, targets }: Pick<Supervisor, "ports" | "targets">,
  containers: readonly Container[],
  { force }: { force: boolean },
  act: () => Promise<T>,
): Promise<Locked<T>> {
  const override = force || isOn(targets.current().config, "SUPERVISOR_OVERRIDE_LOCK");
  const appIds = [...new Set(containers.map(({ appId }) => appId))].sort((a, b) => a - b);
  const before = new Set(locks.held().keys());
  const taken: number[] = [];
  try {
    for (const appId of appIds) {
      const services = containers.filter((one) => one.appId === appId).map(({ service }) => service);
      const lock = await locks.take(appId, [...new Set(services)].sort(), { force: override });
      if (!lock.taken) return { is: "locked", message: lockedMessage(appId, lock.by) };
      // What the loop holds is for the loop to give back.
      if (!before.has(appId)) taken.push(appId);
    }
    return { is: "done", value: await act() };
  } finally {
    await Promise.all(taken.map((appId) => locks.release(appId)));
  }
}
