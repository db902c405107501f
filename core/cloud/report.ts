import type { Measurements } from "../ports/metrics.ts";
import type { Value } from "./difference.ts";

/** What the cloud is told of the device: the fields of one device in `PATCH /device/v3/state`. */
export type Report = Readonly<Record<string, Value>>;

/** What a report says besides applications and metrics. */
export interface DeviceStatus {
  /** As the cloud can compare it; undefined: it has no such version. */
  readonly osVersion: string | undefined;
  readonly osVariant: "dev" | "prod";
  readonly supervisorVersion: string;
  readonly addresses: readonly string[];
  readonly macAddresses: readonly string[];
  readonly apiPort: number;
  /** The key with which the cloud may call the API. */
  readonly apiSecret: string;
}

/** In the words of the original's reports. No field is ever null that the cloud does not accept as null. */
export const statusReport = (device: DeviceStatus): Report => ({
  status: "Idle",
  ...(device.osVersion !== undefined && { os_version: device.osVersion }),
  os_variant: device.osVariant,
  supervisor_version: device.supervisorVersion,
  provisioning_progress: null,
  provisioning_state: "",
  ip_address: device.addresses.join(" "),
  mac_address: device.macAddresses.join(" "),
  api_port: device.apiPort,
  api_secret: device.apiSecret,
});

/** The cloud refuses a whole report for one number that is not whole. */
const whole = (value: number | undefined): number | null => (value === undefined ? null : Math.round(value));

export const metricsReport = (measured: Measurements): Report => ({
  memory_usage: whole(measured.memoryUsedMb),
  memory_total: whole(measured.memoryTotalMb),
  storage_block_device: measured.storageDevice ?? null,
  storage_usage: whole(measured.storageUsedMb),
  storage_total: whole(measured.storageTotalMb),
  cpu_temp: whole(measured.cpuCelsius),
  cpu_usage: whole(measured.cpuPercent),
  cpu_id: measured.cpuId ?? null,
  is_undervolted: measured.isUndervolted,
});

/** By how much a metric must have changed to be worth a report; those that are not here, by anything. */
const steps: Readonly<Record<string, (now: Report) => number>> = {
  cpu_usage: () => 20,
  cpu_temp: () => 5,
  memory_usage: ({ memory_total }) => Math.max(10, 0.05 * Number(memory_total ?? 0)),
  storage_usage: ({ storage_total }) => Math.max(10, 0.01 * Number(storage_total ?? 0)),
};

/** The metrics, with those left as they were last told that have not moved much since. */
export const steadyMetrics = (now: Report, told: Report): Report =>
  Object.fromEntries(
    Object.entries(now).map(([name, value]) => {
      const before = told[name];
      const step = steps[name]?.(now);
      const isNear =
        step !== undefined &&
        typeof before === "number" &&
        typeof value === "number" &&
        Math.abs(value - before) < step;
      return [name, isNear ? before : value];
    }),
  );
