import { gauge, type Family } from "./family.ts";

const fleet = ["fleet_id", "fleet"] as const;

/** About the fleets of a cloud: `GET /metrics` of the Worker. */
export const ofCloud = {
  devices: gauge("fairlead_fleet_devices", "Devices of the fleet", ...fleet),
  online: gauge("fairlead_fleet_devices_online", "Devices that were heard in the last 30 minutes", ...fleet),
  offline: gauge("fairlead_fleet_devices_offline", "The others, also those that were never heard", ...fleet),
  updating: gauge("fairlead_fleet_devices_updating", "Devices that download or apply a release", ...fleet),
  rejected: gauge(
    "fairlead_fleet_devices_rejected",
    "Devices whose release was rejected, or its update ended",
    ...fleet,
  ),
  withProblems: gauge(
    "fairlead_fleet_devices_with_problems",
    "Devices with something wrong: docs/problems.md",
    ...fleet,
  ),
  relayed: gauge(
    "fairlead_relayed_requests_last_hour",
    "Relayed requests that change something, by how they ended",
    "result",
  ),
} as const satisfies Readonly<Record<string, Family>>;
