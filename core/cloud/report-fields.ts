import type { StateReport } from "../api/cloud/report.ts";
import type { Measurements } from "../ports/metrics.ts";
import type { Fields } from "./report-difference.ts";

/** The fields of a report that are neither applications nor metrics. */
export interface DeviceStatus {
  /** Absent: the cloud cannot compare the version of this operating system. */
  readonly osVersion: string | undefined;
  readonly osVariant: "dev" | "prod";
  readonly supervisorVersion: string;
  readonly addresses: readonly string[];
  readonly macAddresses: readonly string[];
  readonly apiPort: number;
  /** The key with which the cloud may call the device's API. */
  readonly apiSecret: string;
}

/** The fields with the reference implementation's names. A field is null only if the cloud accepts null. */
export const statusReport = (device: DeviceStatus): StateReport => ({
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

/** Rounds, since the public cloud rejects a report that contains a fraction. */
const whole = (value: number | undefined): number | null => (value === undefined ? null : Math.round(value));

export const metricsReport = (measured: Measurements): StateReport => ({
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

/** The smallest change of a metric that is reported. Metrics without a row are reported on any change. */
const steps: Readonly<Record<string, (now: Fields) => number>> = {
  cpu_usage: () => 20,
  cpu_temp: () => 5,
  memory_usage: ({ memory_total }) => Math.max(10, 0.05 * Number(memory_total ?? 0)),
  storage_usage: ({ storage_total }) => Math.max(10, 0.01 * Number(storage_total ?? 0)),
};

/** The metrics to report. A metric that has changed by less than its step keeps its reported value. */
export const steadyMetrics = (now: Fields, reported: Fields): Fields =>
  Object.fromEntries(
    Object.entries(now).map(([name, value]) => {
      const before = reported[name];
      const step = steps[name]?.(now);
      const isNear =
        step !== undefined &&
        typeof before === "number" &&
        typeof value === "number" &&
        Math.abs(value - before) < step;
      return [name, isNear ? before : value];
    }),
  );
