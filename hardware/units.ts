import { BusError, type Bus } from "./bus.ts";

const manager = {
  service: "org.freedesktop.systemd1",
  path: "/org/freedesktop/systemd1",
  interface: "org.freedesktop.systemd1.Manager",
};

/** Restarts a unit of systemd; one that does not run, or is not there, is left alone. Does not wait until it is up. */
export async function restartIfRunning(bus: Bus, unit: string): Promise<void> {
  try {
    await bus.call({ ...manager, member: "TryRestartUnit" }, "ss", unit, "replace");
  } catch (error) {
    if (!(error instanceof BusError && error.error === "org.freedesktop.systemd1.NoSuchUnit")) throw error;
  }
}

/** Restarts a unit, or starts one that does not run. Throws when there is none of that name. Does not wait until it is up. */
export async function restartUnit(bus: Bus, unit: string): Promise<void> {
  await bus.call({ ...manager, member: "RestartUnit" }, "ss", unit, "replace");
}
