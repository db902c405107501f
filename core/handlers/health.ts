import type { Input, Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/health.ts";
import type { Supervisor } from "../supervisor.ts";

export const ping = (): Reply<typeof api.ping> => ({ status: 200, body: "OK" });

/** An engine may be restarted; one that stays away is trouble. */
const patienceMs = 60_000;

/**
 * Whether the engine answers. An outage of the cloud is none of the device's. A step that is tried again and again does
 * not count either: who is unhealthy is started again, and that would only begin it anew, and faster.
 */
export function healthy(_: Input<typeof api.healthy>, { loop, ports }: Supervisor): Reply<typeof api.healthy> {
  const since = loop.troubleSince();
  return since !== undefined && ports.clock.now() - since > patienceMs
    ? { status: 500, body: "Unhealthy" }
    : { status: 200 };
}
