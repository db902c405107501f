import type { CloudSettings } from "../../../core/cloud/cloud-session.ts";
import { cloudRegistry } from "../../../core/cloud/registry.ts";
import { isOn } from "../../../core/model/config.ts";
import { systemClock } from "../../../core/ports/clock.ts";
import type { Ports } from "../../../core/ports/index.ts";
import type { Log } from "../../../core/ports/log.ts";
import type { LogRing } from "../../../core/ports/log-ring.ts";
import type { Assembly } from "../../../core/supervisor.ts";
import type { Settings } from "../settings.ts";
import { httpCloud } from "./http-cloud.ts";
import { startTunnel, type RunningTunnel } from "./tunnel.ts";

export interface CloudConnection {
  readonly ports: Pick<Ports, "cloud" | "tunnel">;
  /** Opens the tunnel once the device has a key. */
  readonly start: (supervisor: Pick<Assembly, "cloud" | "fetch" | "identity" | "targets">) => void;
  readonly stop: () => void;
}

export const noCloud: CloudConnection = {
  ports: { tunnel: { missing: "This device has joined no cloud: its config.json has no apiEndpoint" } },
  start: () => {},
  stop: () => {},
};

export function cloudConnection(url: string, userAgent: string, ring: LogRing, log: Log): CloudConnection {
  let running: RunningTunnel | undefined;
  let stopped = false;
  return {
    ports: {
      cloud: { ask: httpCloud(url, userAgent), ring },
      tunnel: { state: () => running?.state() ?? { is: "disconnected" } },
    },
    start: ({ cloud, fetch, identity: { uuid }, targets }) =>
      void cloud?.registration.registered().then((key) => {
        const isWanted = () => isOn(targets.current().config, "SUPERVISOR_VPN_CONTROL");
        // While the tunnel was down, the cloud could not announce a new target state.
        const opened = () => cloud.update({ force: false });
        if (stopped) return;
        running = startTunnel({ url, uuid, key, userAgent, fetch, clock: systemClock, log, isWanted, opened });
      }),
    stop: () => {
      stopped = true;
      running?.stop();
    },
  };
}

export function cloudSettingsOf({ config }: Pick<Settings, "config">): CloudSettings {
  const { apiKey: key, applicationId, userId, appUpdatePollInterval: pollIntervalMs, initialDeviceName } = config;
  return {
    ...(key &&
      applicationId !== undefined && { provisioning: { key, applicationId, ...(userId !== undefined && { userId }) } }),
    registry: cloudRegistry(config),
    ...(pollIntervalMs !== undefined && { pollIntervalMs }),
    ...(initialDeviceName && { initialName: initialDeviceName }),
  };
}
