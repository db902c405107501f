import { BusError, type Bus } from "./bus.ts";

const manager = {
  service: "org.freedesktop.systemd1",
  path: "/org/freedesktop/systemd1",
  interface: "org.freedesktop.systemd1.Manager",
};

/** Restarts a systemd unit if it exists and runs. Does not wait until it has started. */
export async function restartIfRunning(bus: Bus, unit: string): Promise<void> {
  try {
    await bus.call({ ...manager, member: "TryRestartUnit" }, "ss", unit, "replace");
  } catch (error) {
    if (!(error instanceof BusError && error.error === "org.freedesktop.systemd1.NoSuchUnit")) throw error;
  }
}

/** Restarts or starts a systemd unit. Throws if it does not exist. Does not wait until it has started. */
export async function restartUnit(bus: Bus, unit: string): Promise<void> {
  await bus.call({ ...manager, member: "RestartUnit" }, "ss", unit, "replace");
}
