import type { endpoints as cloudEndpoints } from "./cloud/index.ts";
import type { Endpoint, Replies } from "./endpoint.ts";

/** Who may use an endpoint, in words. */

type Described = Pick<Endpoint<unknown, unknown, Replies>, "method" | "open" | "writes" | "manages"> & {
  readonly scope?: unknown;
  readonly device?: unknown;
  readonly shell?: unknown;
  readonly person?: unknown;
};

export const accessOnDevice = (endpoint: Described): string =>
  `May: ${keysOf(endpoint)}. Through the cloud: ${permissionOf(endpoint)}`;

export const accessInCloud = (name: string, endpoint: Described): string =>
  `May: ${principals[name] ?? permissionOf(endpoint)}`;

const keysOf = ({ open, manages, device, scope, shell, person }: Described): string =>
  open
    ? "everybody, without a key"
    : shell || person
      ? "the global key"
      : manages
        ? "every key"
        : device
          ? "the global key; the key of a service, unless `SUPERVISOR_API_SCOPE=application`"
          : scope
            ? "the global key; the key of a service, for its own application"
            : "every key; with that of a service, it is about the service's own application";

/** What a token needs. */
const permissionOf = ({ method, writes = method !== "GET", manages, shell }: Described): string =>
  shell ? "`--shell`" : manages ? "`--manage`" : writes ? "`--write`" : "every token";

/** Who may, at the endpoints between devices and cloud. */
const principals: Readonly<Record<string, string>> = {
  register: "a provisioning key",
  deviceState: "the device's key, the key of its services, every token",
  deviceStateV2: "as for version 3",
  fleetState: "the key of a device of the fleet, every token",
  report: "the device's key, the key of its services",
  setTags: "the device's key, the key of its services",
  sendLogStream: "the device's key",
  sendLogs: "the device's key",
  readLogs: "every token",
  supervisorProxy:
    "every token for requests that only read, else `--write`, `--manage` or `--shell` as above; the device's key, for itself",
} satisfies Record<keyof typeof cloudEndpoints, string>;
