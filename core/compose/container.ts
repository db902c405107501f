import * as z from "zod";
import type { Container, ContainerSpec, Endpoint, RestartPolicy } from "../model/container.ts";
import type { Healthcheck, ImageConfig } from "../model/image.ts";
import { own, sameJson, type Json } from "../model/json.ts";
import { networkName, volumeName } from "../model/names.ts";
import { bareName, isSecretField } from "../model/secrets.ts";
import { show } from "../model/show.ts";
import type { App, Service, ServiceConfig } from "../model/target.ts";
import { bothPrefixes, featuresOf, type FeatureFacts } from "./features.ts";
import { EngineMounts, fromBinds, sortMounts, toBinds } from "./mounts.ts";
import { PortBindings, fromPortBindings, toPortBindings } from "./ports.ts";
import { cleanPath, splitVariable } from "./quantities.ts";
import { comparable, everySetting, settingDefaults } from "./settings.ts";

/** What a container's environment tells of the device; see the variables below. */
export interface DeviceFacts extends Omit<FeatureFacts, "hostNetwork" | "apiKey"> {
  readonly uuid: string;
  readonly name: string;
  readonly type: string;
  readonly arch: string;
  readonly osVersion: string;
  /** Where the folders with the update locks are, as the engine sees them. */
  readonly servicesFolder: string;
}

/** The host folder that a service sees as /tmp/balena and /tmp/resin. */
export const serviceFolder = (root: string, appId: number, service: string): string => `${root}/${appId}/${service}`;

/** The variables that the agent itself gives to every service. Source: recorded containers of the original. */
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

/** `service:x`, and `container:x` where x is a service of the application (the specification's own example). */
export function networkModeOf(service: Service, app: Pick<App, "services">): string {
  const mode = service.config.networkMode ?? "networks";
  const [, name] = /^container:(.+)$/.exec(mode) ?? [];
  return name && app.services.some((other) => other.name === name) ? `service:${name}` : mode;
}

/** The services whose namespaces a container lives in: it must be made anew when one of them is. */
export const sharedServices = ({ networkMode, settings }: Pick<ContainerSpec, "networkMode" | "settings">): string[] =>
  [networkMode, settings["ipc"], settings["pid"]].flatMap((mode) => {
    const [, service] = /^service:(.+)$/.exec(String(mode ?? "")) ?? [];
    return service ? [service] : [];
  });

/** The same of a service in a target state. */
export const homesOf = (service: Service, app: App): string[] =>
  sharedServices({ networkMode: networkModeOf(service, app), settings: service.config.settings });

/** What the container of a service must be on this device. */
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
  const own = Object.keys(config.networks).length > 0 ? config.networks : { default: noEndpoint };
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
      ...withoutMac({ ...image.config.labels, ...config.labels }),
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
            ...Object.fromEntries(features.networks.map((name) => [name, noEndpoint])),
          },
    settings: { ...config.settings, ...features.settings },
  };
}

/** As the engine merges them: an entrypoint of one's own drops the image's command; nothing at all falls back to it. */
function commandOf(config: ServiceConfig, image: ImageConfig): Pick<ContainerSpec, "command" | "entrypoint"> {
  const entrypoint = config.entrypoint ?? image.entrypoint;
  const command = config.command ?? (config.entrypoint?.length ? [] : image.command);
  return { entrypoint, command: entrypoint.length + command.length > 0 ? command : image.command };
}

const noEndpoint: Endpoint = { aliases: [], ipv4: "", ipv6: "", linkLocal: [] };
const bind = (source: string, target: string) => ({
  type: "bind" as const,
  source,
  target,
  readOnly: false,
  options: "",
});
const toWorkingDir = (path: string) => path && cleanPath(path);

function mergeHealthcheck(ours: Partial<Healthcheck> | undefined, image: Healthcheck | null): Healthcheck | null {
  const merged = { interval: 0, timeout: 0, startPeriod: 0, retries: 0, test: [], ...image, ...ours };
  return merged.test.length > 0 ? merged : null;
}

/** One field in which a container is not what it must be. */
export interface Difference {
  readonly field: string;
  readonly from: Json;
  readonly to: Json;
}

// A device may be renamed at any time; the name "at init" is not worth a restart.
const atInit = /^environment\.(BALENA|RESIN)_DEVICE_NAME_AT_INIT$/;

// The engine adds this when neither image nor composition say otherwise.
const engineEnvironment = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" };

/** Every field in which `current` differs from `target`, in the words of compose. Empty: nothing to do. */
export function differences(current: ContainerSpec, target: ContainerSpec): Difference[] {
  const { environment, labels, settings, hostname, ...rest } = current;
  const plain = Object.keys(rest) as (keyof typeof rest)[];
  // On the host's network, the engine shows the host's name where none was asked for.
  const hostsName = target.networkMode === "host" && target.hostname === "";
  return [
    ...plain.flatMap((field) => differ(snake(field), toJson(rest[field]), toJson(target[field]))),
    ...(hostsName ? [] : differ("hostname", hostname, target.hostname)),
    ...entries("environment.", environment, target.environment, engineEnvironment).filter(
      ({ field }) => !atInit.test(field),
    ),
    ...entries("labels.", labels, target.labels),
    ...entries("", comparable(settings), comparable(target.settings), settingDefaults),
  ];
}

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const toJson = (value: object | string | null): Json => value as Json;

export const differ = (field: string, from: Json, to: Json): Difference[] =>
  sameJson(from, to) ? [] : [{ field, from, to }];

type Entries = Readonly<Record<string, Json>>;

/** `absent`: what holds for a name that is not there. */
export const entries = (prefix: string, from: Entries, to: Entries, absent: Entries = {}): Difference[] =>
  [...new Set([...Object.keys(from), ...Object.keys(to)])].flatMap((key) => {
    const valueIn = (record: Entries) => own(record, key) ?? own(absent, key) ?? null;
    return differ(prefix + key, valueIn(from), valueIn(to));
  });

/** "mem_limit: 0 → 1024"; of fields that may hold secrets, only that they differ: "environment.MODE differs". */
export function describeDifference({ field, from, to }: Difference): string {
  const side = (value: Json) => (value === null ? "nothing" : show(value));
  if (!isSecretField(field.replace(/\..*$/s, ""))) return `${field}: ${side(from)} → ${side(to)}`;
  return `${bareName(field)} ${from === null ? "is new" : to === null ? "is gone" : "differs"}`;
}

/**
 * The MAC address that was asked for. Engines since API 1.52 show only those that are in use: they choose one where none
 * was asked for, and show none of a container that does not run.
 */
const macLabel = "io.fairlead.mac-address";

function withoutMac(labels: ContainerSpec["labels"]): ContainerSpec["labels"] {
  const { [macLabel]: _, ...rest } = labels;
  return rest;
}

/** The body with which the engine makes a container (`POST /containers/create`), and the further networks to join. */
export function toCreateOptions(spec: ContainerSpec) {
  const sections: Record<"Config" | "HostConfig", Record<string, unknown>> = { Config: {}, HostConfig: {} };
  for (const [key, { at, absent, toEngine }] of Object.entries(everySetting)) {
    const value = spec.settings[key] ?? absent;
    // What is unset on the engine's side too is better not sent: an engine refuses words that it does not know.
    if (key in spec.settings || explicit.has(key)) sections[at[0]][at[1]] = toEngine(value);
  }
  const mac = spec.settings["mac_address"];
  const hasMac = typeof mac === "string" && mac !== "";
  const [first, ...others] = Object.entries(spec.networks).sort(byOwnFirst);
  const options = {
    Image: spec.image,
    Cmd: [...spec.command],
    Entrypoint: [...spec.entrypoint],
    Env: Object.entries(spec.environment).map(([name, value]) => `${name}=${value}`),
    Labels: { ...spec.labels, ...(hasMac && { [macLabel]: mac }) },
    User: spec.user,
    WorkingDir: spec.workingDir,
    StopSignal: spec.stopSignal,
    ...(spec.hostname && { Hostname: spec.hostname }),
    Healthcheck: toEngineHealthcheck(spec.healthcheck),
    ExposedPorts: Object.fromEntries(spec.ports.map(({ target, protocol }) => [`${target}/${protocol}`, {}])),
    ...sections.Config,
    HostConfig: {
      ...toBinds(spec.mounts),
      NetworkMode: first?.[0] ?? spec.networkMode,
      PortBindings: toPortBindings(spec.ports),
      RestartPolicy: toEngineRestart(spec.restart),
      ...sections.HostConfig,
    },
    NetworkingConfig: {
      // Engines since API 1.44 look for the address here, and since 1.52 not in MacAddress any more.
      EndpointsConfig: first
        ? { [first[0]]: { ...toEndpoint(first[1]), ...(hasMac && { MacAddress: mac }) } }
        : hasMac && spec.networkMode === "bridge"
          ? { bridge: { MacAddress: mac } }
          : {},
    },
  };
  return { options, join: others.map(([network, endpoint]) => ({ network, endpoint: toEndpoint(endpoint) })) };
}

/** Settings whose default is ours rather than the engine's, which a daemon's configuration may move. */
const explicit = new Set(["tty", "ipc", "stop_grace_period", "shm_size"]);

const byOwnFirst = ([a]: [string, Endpoint], [b]: [string, Endpoint]) =>
  Number(a === "supervisor0") - Number(b === "supervisor0") || (a < b ? -1 : 1);

export const toEngineRestart = ({ name, retries }: RestartPolicy) => ({ Name: name, MaximumRetryCount: retries });

const toEngineHealthcheck = (check: Healthcheck | null) =>
  check
    ? {
        Test: [...check.test],
        Interval: check.interval,
        Timeout: check.timeout,
        StartPeriod: check.startPeriod,
        Retries: check.retries,
      }
    : { Test: ["NONE"] };

const toEndpoint = ({ aliases, ipv4, ipv6, linkLocal }: Endpoint) => ({
  Aliases: [...aliases],
  ...((ipv4 || ipv6 || linkLocal.length > 0) && {
    IPAMConfig: {
      ...(ipv4 && { IPv4Address: ipv4 }),
      ...(ipv6 && { IPv6Address: ipv6 }),
      ...(linkLocal.length > 0 && { LinkLocalIPs: [...linkLocal] }),
    },
  }),
});

export const EngineHealthcheck = z
  .looseObject({
    Test: z.array(z.string()).nullish(),
    Interval: z.number().nullish(),
    Timeout: z.number().nullish(),
    StartPeriod: z.number().nullish(),
    Retries: z.number().nullish(),
  })
  .nullish();
type EngineHealthcheck = z.output<typeof EngineHealthcheck>;

const Words = z.array(z.string()).nullish();
const EntrypointWords = z.union([z.array(z.string()), z.string()]).nullish();
const Text = z.string().nullish();

/** What the settings table does not name. */
const EngineConfig = z.looseObject({
  Env: Words,
  Cmd: Words,
  Entrypoint: EntrypointWords,
  Labels: z.record(z.string(), z.string()).nullish(),
  Healthcheck: EngineHealthcheck,
  User: Text,
  WorkingDir: Text,
  StopSignal: Text,
  Hostname: Text,
});

const EngineEndpoint = z
  .looseObject({
    Aliases: Words,
    IPAMConfig: z.looseObject({ IPv4Address: Text, IPv6Address: Text, LinkLocalIPs: Words }).nullish(),
  })
  .nullish();
type EngineEndpoint = z.output<typeof EngineEndpoint>;

/** What we read of the engine's answer to `GET /containers/:id/json`. */
export const Inspection = z.looseObject({
  Id: z.string(),
  Name: z.string(),
  Created: z.string(),
  Image: z.string(),
  State: z.looseObject({
    Status: z.string(),
    ExitCode: z.number().nullish(),
    Error: Text,
    StartedAt: Text,
    FinishedAt: Text,
    Health: z.looseObject({ Status: Text }).nullish(),
  }),
  Config: EngineConfig,
  HostConfig: z.looseObject({
    ...EngineMounts.shape,
    NetworkMode: Text,
    PortBindings: PortBindings.nullish(),
    RestartPolicy: z.looseObject({ Name: Text, MaximumRetryCount: z.number().nullish() }).nullish(),
  }),
  NetworkSettings: z.looseObject({ Networks: z.record(z.string(), EngineEndpoint).nullish() }).nullish(),
});
type Inspection = z.output<typeof Inspection>;

/** What we read of the engine's answer to `GET /images/:name/json`. */
export const ImageInspection = z.looseObject({ Config: EngineConfig.nullish() });

/** An inspected image → what it says about its containers. */
export const fromImageInspection = ({ Config }: z.output<typeof ImageInspection>): ImageConfig => ({
  command: Config?.Cmd ?? [],
  entrypoint: toWords(Config?.Entrypoint),
  environment: fromEngineEnvironment(Config?.Env),
  labels: Config?.Labels ?? {},
  user: Config?.User ?? "",
  workingDir: Config?.WorkingDir ?? "",
  stopSignal: Config?.StopSignal ?? "",
  healthcheck: fromEngineHealthcheck(Config?.Healthcheck),
});

const toWords = (words: readonly string[] | string | null | undefined): readonly string[] =>
  typeof words === "string" ? [words] : (words ?? []);

const states = ["created", "running", "paused", "restarting", "removing", "exited", "dead"] as const;
const healths = ["starting", "healthy", "unhealthy"] as const;

/** An inspected container → ours; undefined when it carries no labels of a service. */
export function fromInspection(inspection: Inspection): Container | undefined {
  const { Id, Name, Created, State, Config } = inspection;
  const labels = Config.Labels ?? {};
  const appId = Number(labels["io.balena.app-id"]);
  const service = labels["io.balena.service-name"];
  if (!service || !Number.isInteger(appId)) return undefined;
  const health = healths.find((word) => word === State.Health?.Status);
  return {
    id: Id,
    name: Name.replace(/^\//, ""),
    appId,
    appUuid: labels["io.balena.app-uuid"] ?? String(appId),
    service,
    serviceId: Number(labels["io.balena.service-id"] ?? 0),
    state: states.find((word) => word === State.Status) ?? "dead",
    ...(health && { health }),
    exitCode: State.ExitCode ?? 0,
    error: State.Error ?? "",
    createdAt: Created,
    startedAt: toMs(State.StartedAt),
    finishedAt: toMs(State.FinishedAt),
    spec: fromInspectedSpec(inspection),
  };
}

// The engine writes the year 1 for "never".
const toMs = (time: string | null | undefined): number => Math.max(0, Date.parse(time ?? "") || 0);

function fromInspectedSpec({ Id, Image, Config, HostConfig, NetworkSettings }: Inspection): ContainerSpec {
  const mode = HostConfig.NetworkMode ?? "default";
  const unnetworked = /^(host|none|bridge|container:.*)$/.test(mode);
  const { Entrypoint } = Config;
  const labels = Config.Labels ?? {};
  const mac = own(labels, macLabel);
  return {
    image: Image,
    command: Config.Cmd ?? [],
    entrypoint: toWords(Entrypoint),
    environment: fromEngineEnvironment(Config.Env),
    labels: withoutMac(labels),
    user: Config.User ?? "",
    workingDir: toWorkingDir(Config.WorkingDir ?? ""),
    stopSignal: Config.StopSignal || "SIGTERM",
    // In another container's network namespace, the engine shows the other's name.
    hostname: mode.startsWith("container:") || Config.Hostname === Id.slice(0, 12) ? "" : (Config.Hostname ?? ""),
    healthcheck: fromEngineHealthcheck(Config.Healthcheck),
    restart: {
      name: restartName(HostConfig.RestartPolicy?.Name),
      retries: HostConfig.RestartPolicy?.MaximumRetryCount ?? 0,
    },
    ports: fromPortBindings(HostConfig.PortBindings ?? {}),
    mounts: fromBinds(HostConfig),
    networkMode: unnetworked ? mode : "networks",
    networks: unnetworked
      ? {}
      : Object.fromEntries(
          Object.entries(NetworkSettings?.Networks ?? {}).map(([name, endpoint]) => [name, fromEndpoint(endpoint, Id)]),
        ),
    settings: {
      ...Object.fromEntries(
        Object.entries(everySetting).flatMap(
          ([
            key,
            {
              at: [section, property],
              absent,
              fromEngine,
            },
          ]) => {
            const value = fromEngine((section === "Config" ? Config : HostConfig)[property]);
            return sameJson(value, absent) ? [] : [[key, value]];
          },
        ),
      ),
      ...(mac !== undefined && { mac_address: mac }),
    },
  };
}

const restartName = (name: string | null | undefined): RestartPolicy["name"] =>
  name === "always" || name === "on-failure" || name === "unless-stopped" ? name : "no";

const fromEndpoint = (endpoint: EngineEndpoint, id: string): Endpoint => ({
  aliases: (endpoint?.Aliases ?? []).filter((alias) => alias !== id.slice(0, 12)).sort(),
  ipv4: endpoint?.IPAMConfig?.IPv4Address ?? "",
  ipv6: endpoint?.IPAMConfig?.IPv6Address ?? "",
  linkLocal: [...(endpoint?.IPAMConfig?.LinkLocalIPs ?? [])].sort(),
});

/** The engine's `["A=1"]` → variables. */
const fromEngineEnvironment = (variables: readonly string[] | null | undefined): Record<string, string> =>
  Object.fromEntries((variables ?? []).map(splitVariable));

const fromEngineHealthcheck = (check: EngineHealthcheck): Healthcheck | null =>
  check?.Test?.length && check.Test[0] !== "NONE"
    ? {
        test: check.Test,
        interval: check.Interval ?? 0,
        timeout: check.Timeout ?? 0,
        startPeriod: check.StartPeriod ?? 0,
        retries: check.Retries ?? 0,
      }
    : null;
