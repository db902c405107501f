import * as z from "zod";
import { comparedLabels, macLabel, toWorkingDir } from "../compose/container-spec.ts";
import type { Container, ContainerSpec, NetworkEndpoint, RestartPolicy } from "../model/container.ts";
import { own } from "../model/json.ts";
import { EngineConfig, fromEngineConfig, toEngineHealthcheck } from "./config.ts";
import { EngineMounts, fromBinds, toBinds } from "./mounts.ts";
import { PortBindings, fromPortBindings, toPortBindings } from "./ports.ts";
import { fromEngineSettings, toEngineSettings } from "./settings.ts";

/** The body of `POST /containers/create`, and the networks to which the container is connected afterwards. */
export function toCreateOptions(spec: ContainerSpec) {
  const { Config, HostConfig } = toEngineSettings(spec.settings);
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
    ...Config,
    HostConfig: {
      ...toBinds(spec.mounts),
      NetworkMode: first?.[0] ?? spec.networkMode,
      PortBindings: toPortBindings(spec.ports),
      RestartPolicy: toEngineRestart(spec.restart),
      ...HostConfig,
    },
    NetworkingConfig: {
      // Since API 1.44, engines read the address here. Since 1.52, they no longer read `MacAddress`.
      EndpointsConfig: first
        ? { [first[0]]: { ...toEndpoint(first[1]), ...(hasMac && { MacAddress: mac }) } }
        : hasMac && spec.networkMode === "bridge"
          ? { bridge: { MacAddress: mac } }
          : {},
    },
  };
  return { options, join: others.map(([network, endpoint]) => ({ network, endpoint: toEndpoint(endpoint) })) };
}

const byOwnFirst = ([a]: [string, NetworkEndpoint], [b]: [string, NetworkEndpoint]) =>
  Number(a === "supervisor0") - Number(b === "supervisor0") || (a < b ? -1 : 1);

export const toEngineRestart = ({ name, retries }: RestartPolicy) => ({ Name: name, MaximumRetryCount: retries });

const toEndpoint = ({ aliases, ipv4, ipv6, linkLocal }: NetworkEndpoint) => ({
  Aliases: [...aliases],
  ...((ipv4 || ipv6 || linkLocal.length > 0) && {
    IPAMConfig: {
      ...(ipv4 && { IPv4Address: ipv4 }),
      ...(ipv6 && { IPv6Address: ipv6 }),
      ...(linkLocal.length > 0 && { LinkLocalIPs: [...linkLocal] }),
    },
  }),
});

const Text = z.string().nullish();
const Words = z.array(z.string()).nullish();

const EngineEndpoint = z
  .looseObject({
    Aliases: Words,
    IPAddress: Text,
    GlobalIPv6Address: Text,
    IPAMConfig: z.looseObject({ IPv4Address: Text, IPv6Address: Text, LinkLocalIPs: Words }).nullish(),
  })
  .nullish();
type EngineEndpoint = z.output<typeof EngineEndpoint>;

/** The fields used from the engine's answer to `GET /containers/:id/json`. */
export const Inspection = z.looseObject({
  Id: z.string(),
  Name: z.string(),
  Created: z.string(),
  Image: z.string(),
  RestartCount: z.number().nullish(),
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

const states = ["created", "running", "paused", "restarting", "removing", "exited", "dead"] as const;
const healths = ["starting", "healthy", "unhealthy"] as const;

/** Converts an inspected container to the model; undefined if it has no labels of a service. */
export function fromInspection(inspection: Inspection): Container | undefined {
  const { Id, Name, Created, State, Config, NetworkSettings, RestartCount } = inspection;
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
    restarts: RestartCount ?? 0,
    addresses: Object.fromEntries(
      Object.entries(NetworkSettings?.Networks ?? {}).flatMap(([name, endpoint]) => {
        const address = endpoint?.IPAddress || endpoint?.GlobalIPv6Address;
        return address ? [[name, address]] : [];
      }),
    ),
    spec: fromInspectedSpec(inspection),
  };
}

// The engine writes the year 1 for "never".
const toMs = (time: string | null | undefined): number => Math.max(0, Date.parse(time ?? "") || 0);

function fromInspectedSpec({ Id, Image, Config, HostConfig, NetworkSettings }: Inspection): ContainerSpec {
  const config = fromEngineConfig(Config);
  const mode = HostConfig.NetworkMode ?? "default";
  const unnetworked = /^(host|none|bridge|container:.*)$/.test(mode);
  const mac = own(config.labels, macLabel);
  return {
    image: Image,
    ...config,
    labels: comparedLabels(config.labels),
    workingDir: toWorkingDir(config.workingDir),
    stopSignal: config.stopSignal || "SIGTERM",
    // In another container's network namespace, the engine shows that container's hostname.
    hostname: mode.startsWith("container:") || Config.Hostname === Id.slice(0, 12) ? "" : (Config.Hostname ?? ""),
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
      ...fromEngineSettings({ Config, HostConfig }),
      ...(mac !== undefined && { mac_address: mac }),
    },
  };
}

const restartName = (name: string | null | undefined): RestartPolicy["name"] =>
  name === "always" || name === "on-failure" || name === "unless-stopped" ? name : "no";

const fromEndpoint = (endpoint: EngineEndpoint, id: string): NetworkEndpoint => ({
  aliases: (endpoint?.Aliases ?? []).filter((alias) => alias !== id.slice(0, 12)).sort(),
  ipv4: endpoint?.IPAMConfig?.IPv4Address ?? "",
  ipv6: endpoint?.IPAMConfig?.IPv6Address ?? "",
  linkLocal: [...(endpoint?.IPAMConfig?.LinkLocalIPs ?? [])].sort(),
});
