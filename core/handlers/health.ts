import type { Input, Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/health.ts";
import type { Ports } from "../ports/index.ts";
import type { Loop } from "../reconcile/loop.ts";

export const ping = (): Reply<typeof api.ping> => ({ status: 200, body: "OK" });

/** An engine may be restarted in this time. */
const engineDownLimitMs = 60_000;

export interface HealthContext {
  readonly loop: Pick<Loop, "troubleSince">;
  readonly ports: Pick<Ports, "clock">;
}

/**
 * Whether the engine answers. An outage of the cloud does not make a device unhealthy, and neither does a step that fails
 * repeatedly: an unhealthy agent is restarted, which would only retry the step sooner.
 */
export function healthy(_: Input<typeof api.healthy>, { loop, ports }: HealthContext): Reply<typeof api.healthy> {
  const since = loop.troubleSince();
  return since !== undefined && ports.clock.now() - since > engineDownLimitMs
    ? { status: 500, body: "Unhealthy" }
    : { status: 200 };
}
