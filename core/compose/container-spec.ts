import type { ContainerSpec, NetworkEndpoint } from "../model/container.ts";
import type { Healthcheck, ImageConfig } from "../model/image.ts";
import { networkName, volumeName } from "../model/names.ts";
import type { App, Service, ServiceConfig } from "../model/target.ts";
import { bothPrefixes, featuresOf, type FeatureFacts } from "./features.ts";
import { sortMounts } from "./mounts.ts";
import { networkModeOf } from "./namespaces.ts";
import { cleanPath } from "./quantities.ts";
import { withoutUpdateWords } from "./update-words.ts";

/** Facts about the device that containers get in their environment. */
export interface DeviceFacts extends Omit<FeatureFacts, "hostNetwork" | "apiKey"> {
  readonly uuid: string;
  readonly name: string;
  readonly type: string;
  readonly arch: string;
  readonly osVersion: string;
  /** The root of the services' folders, as a path on the engine's host. */
  readonly servicesFolder: string;
  /** The folder of the services' files, as a path on the engine's host. */
  readonly filesFolder: string;
}

/** The host folder that is mounted in a service at /tmp/balena and /tmp/resin. */
export const serviceFolder = (root: string, appId: number, service: string): string => `${root}/${appId}/${service}`;

/** The variables that the agent sets for every service. Source: recorded containers of the reference implementation. */
function agentEnvironment(service: Service, app: App, device: DeviceFacts): Record<string, string> {
  return {
    ...bothPrefixes({
      APP_ID: String(app.appId),
      APP_UUID: app.uuid,
      APP_NAME: app.name,
      SERVICE_NAME: service.name,
      DEVICE_UUID: device.uuid,
      DEVICE_TYPE: device.type,
      DEVICE_ARCH: device.arch,
      HOST_OS_VERSION: device.osVersion,
      APP_LOCK_PATH: "/tmp/balena/updates.lock",
      DEVICE_NAME_AT_INIT: device.name,
    }),
    BALENA: "1",
    RESIN: "1",
    USER: "root",
    BALENA_SERVICE_HANDOVER_COMPLETE_PATH: "/tmp/balena/handover-complete",
    RESIN_SERVICE_KILL_ME_PATH: "/tmp/balena/handover-complete",
  };
}

/** The definition of a service's container on this device. */
export function toContainerSpec(
  service: Service,
  app: App,
  device: DeviceFacts,
  image: { readonly id: string; readonly config: ImageConfig },
  apiKey: string,
): ContainerSpec {
  const { config } = service;
  const networkMode = networkModeOf(service, app);
  const features = featuresOf(config.labels, { ...device, hostNetwork: networkMode === "host", apiKey });
  const folder = serviceFolder(device.servicesFolder, app.appId, service.name);
  const own = Object.keys(config.networks).length > 0 ? config.networks : { default: noNetworkEndpoint };
  return {
    image: image.id,
    ...commandOf(config, image.config),
    environment: {
      ...image.config.environment,
      ...config.environment,
      ...agentEnvironment(service, app, device),
      ...features.environment,
    },
    labels: {
      ...comparedLabels({ ...image.config.labels, ...config.labels }),
      "io.balena.supervised": "true",
      "io.balena.app-id": String(app.appId),
      "io.balena.app-uuid": app.uuid,
      "io.balena.service-id": String(service.serviceId),
      "io.balena.service-name": service.name,
    },
    user: config.user ?? image.config.user,
    workingDir: toWorkingDir(config.workingDir ?? image.config.workingDir),
    stopSignal: config.stopSignal ?? (image.config.stopSignal || "SIGTERM"),
    hostname: config.hostname ?? "",
    healthcheck: config.healthcheck === "none" ? null : mergeHealthcheck(config.healthcheck, image.config.healthcheck),
    restart: config.restart,
    ports: config.ports,
    mounts: sortMounts([
      bind(folder, "/tmp/resin"),
      bind(folder, "/tmp/balena"),
      ...config.mounts.map((mount) =>
        mount.type === "volume" ? { ...mount, source: volumeName(app.appId, mount.source) } : mount,
      ),
      ...features.mounts,
      ...(config.files ?? []).map(({ id, target }) => ({
        ...bind(`${device.filesFolder}/${id}`, target),
        readOnly: true,
      })),
    ]),
    networkMode,
    networks:
      networkMode !== "networks"
        ? {}
        : {
            ...Object.fromEntries(
              Object.entries(own).map(([name, endpoint]) => [
                networkName(app.uuid, name),
                { ...endpoint, aliases: [...new Set([...endpoint.aliases, service.name])].sort() },
              ]),
            ),
            ...Object.fromEntries(features.networks.map((name) => [name, noNetworkEndpoint])),
          },
    settings: { ...config.settings, ...features.settings },
  };
}

/** Merges like the engine: an own entrypoint drops the image's command, unless both are then empty. */
function commandOf(config: ServiceConfig, image: ImageConfig): Pick<ContainerSpec, "command" | "entrypoint"> {
  const entrypoint = config.entrypoint ?? image.entrypoint;
  const command = config.command ?? (config.entrypoint?.length ? [] : image.command);
  return { entrypoint, command: entrypoint.length + command.length > 0 ? command : image.command };
}

const noNetworkEndpoint: NetworkEndpoint = { aliases: [], ipv4: "", ipv6: "", linkLocal: [] };
const bind = (source: string, target: string) => ({
  type: "bind" as const,
  source,
  target,
  readOnly: false,
  options: "",
});

function mergeHealthcheck(ours: Partial<Healthcheck> | undefined, image: Healthcheck | null): Healthcheck | null {
  const merged = { interval: 0, timeout: 0, startPeriod: 0, retries: 0, test: [], ...image, ...ours };
  return merged.test.length > 0 ? merged : null;
}

/** Normalizes like the engine. An empty path stays empty and means the engine's default. */
export const toWorkingDir = (path: string): string => path && cleanPath(path);

/**
 * The label with the requested MAC address. Since API 1.52, engines show only addresses in use: a chosen one if none was
 * requested, and none for a container that does not run.
 */
export const macLabel = "io.fairlead.mac-address";

/**
 * The labels of a container that are compared. The words of the update are not put on a container, and those that it has, for
 * example from its image, are ignored.
 */
export function comparedLabels(labels: ContainerSpec["labels"]): ContainerSpec["labels"] {
  const { [macLabel]: _, ...rest } = labels;
  return withoutUpdateWords(rest);
}
