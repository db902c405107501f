import type { Mount } from "../model/container.ts";
import type { ImageReference } from "../model/image.ts";
import type { NetworkSpec, VolumeSpec } from "../model/network.ts";
import type { App, Dependency, Release, Service, UpdateStrategy } from "../model/target.ts";
import { NetworkDefinition, VolumeDefinition } from "./definitions.ts";
import { hasFeature } from "./features.ts";
import { filesOf, type FileDefinitions, type Identify } from "./files.ts";
import { hostBinds, hostPartOf } from "./powers.ts";
import { cleanPath } from "./quantities.ts";
import { unmetRequirement, type Contract, type RequirementFacts } from "./requirements.ts";
import { parseRestart, restartPolicies, toServiceConfig, unknownFields, type Fields } from "./service-config.ts";
import { showPath, valueAt, type Path } from "./target-paths.ts";
import { deployFieldsWithoutEffect, strategyOfOrder, whyUnused, type ServiceWords } from "./update-words.ts";

/** Converts a parsed application to its target on this device. Adds a warning for everything that is left out or changed. */

/** A parsed application, with the paths of its parts for messages. */
export interface Draft extends Omit<App, "services" | "files"> {
  readonly path: Path;
  readonly fileDefinitions: FileDefinitions;
  readonly services: readonly DraftService[];
}

export interface DraftService {
  readonly path: Path;
  readonly composePath: Path;
  readonly name: string;
  readonly serviceId: number;
  readonly imageId: number;
  readonly image: ImageReference;
  readonly running: boolean;
  readonly contract: Contract | undefined;
  readonly fields: Fields & Readonly<Record<string, unknown>>;
  readonly environment: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

interface Context {
  /** The names of all services of the application. */
  readonly names: ReadonlySet<string>;
  readonly fileDefinitions: FileDefinitions;
  readonly identify: Identify;
}

/** A service, and the contents of its files by id. */
export function toService(
  draft: DraftService,
  { names, fileDefinitions, identify }: Context,
  body: unknown,
  warnings: string[],
): { readonly service: Service; readonly contents: NonNullable<App["files"]> } {
  const { fields, composePath, name, serviceId, imageId, image, running } = draft;
  const warn = (field: string, message: string) => warnings.push(`${showPath([...composePath, field])}: ${message}`);

  const raw = valueAt(body, composePath);
  if (typeof raw === "object" && raw !== null)
    for (const field of unknownFields(raw)) warn(field, "not supported, left out");
  const { unused, unknown } = deployFieldsWithoutEffect(fields.deploy);
  for (const field of unused) warn(`deploy.${field}`, whyUnused);
  for (const { field } of unknown) warn(`deploy.${field}`, "not supported, left out");
  if (fields.restart !== undefined && fields.restart !== null && !parseRestart(fields.restart))
    warn("restart", `${JSON.stringify(fields.restart)} is none of ${restartPolicies}; taken as always`);
  const volumes = admitBinds(fields.volumes ?? [], draft.labels, (message) => warn("volumes", message));
  const { files, contents } = filesOf(fields, fileDefinitions, identify, warn);
  const config = {
    ...toServiceConfig({ ...fields, volumes }, fields, draft.environment, draft.labels),
    ...(files.length > 0 && { files }),
  };

  const wanted = fields.depends_on ?? [];
  const named = Array.isArray(wanted)
    ? wanted.map((service): Dependency => ({ service, condition: "service_started" }))
    : Object.entries(wanted).map(([service, rule]): Dependency => ({
        service,
        condition: rule?.condition ?? "service_started",
      }));
  const dependsOn = named.filter(({ service }) => {
    const known = names.has(service);
    if (!known) warn("depends_on", `there is no service ${JSON.stringify(service)} in this application, left out`);
    return known;
  });

  const service = {
    name,
    serviceId,
    imageId,
    image,
    running,
    config,
    dependsOn,
    strategy: strategyOf(config.labels["io.balena.update.strategy"] ?? strategyOfOrder(fields.deploy)),
    handoverTimeoutMs: Number(config.labels["io.balena.update.handover-timeout"]) || 60_000,
  };
  return { service, contents };
}

/** The words about updates of a service, and the paths where they are written. */
export const wordsOf = ({ name, labels, fields, path, composePath }: DraftService, body: unknown): ServiceWords => ({
  name,
  labels,
  deploy: fields.deploy,
  composePath: showPath(composePath),
  pathOf: (label) => {
    // The cloud sends labels beside the composition, too. Those have priority.
    const outer = valueAt(body, [...path, "labels", label]) !== undefined;
    return showPath([...(outer ? path : composePath), "labels", label]);
  },
});

/** Host folders are mounted only for a service with the label `host-binds`, and always with a warning. */
const admitBinds = (
  mounts: readonly Mount[],
  labels: Readonly<Record<string, string>>,
  warn: (message: string) => void,
): Mount[] =>
  mounts.flatMap((mount) => {
    const { type, source } = mount;
    if (type !== "bind") return [mount];
    if (!hasFeature(labels, hostBinds)) {
      warn(`host folders are not mounted (${source}), left out; use a volume or a feature label`);
      return [];
    }
    if (!source.startsWith("/")) {
      warn(`expected a folder of the host that begins with "/", but got ${source}, left out`);
      return [];
    }
    const path = cleanPath(source);
    warn(`${path} of the host is mounted, as the label io.balena.features.${hostBinds} asks for it`);
    return [{ ...mount, source: path }];
  });

/** Replaces volumes that show a part of the host by ordinary ones, unless a service that mounts them has the label. */
export function withoutHostParts(
  volumes: Release["volumes"],
  services: readonly Service[],
  path: Path,
  warnings: string[],
): Release["volumes"] {
  const owners = new Map(
    services
      .filter(({ config }) => hasFeature(config.labels, hostBinds))
      .flatMap(({ name, config }) =>
        config.mounts.flatMap(({ type, source }) => (type === "volume" ? [[source, name] as const] : [])),
      )
      .toReversed(),
  );
  return Object.fromEntries(
    Object.entries(volumes).map(([name, volume]) => {
      const part = hostPartOf(volume);
      if (part === undefined) return [name, volume];
      const owner = owners.get(name);
      warnings.push(
        `${showPath([...path, "volumes", name, "driver_opts"])}: ${
          owner !== undefined
            ? `${part} of the host is mounted, as the label io.balena.features.${hostBinds} of ${owner} asks for it`
            : `folders and devices of the host are not mounted (${part}), left out; a service that mounts the volume may ask for it by the label io.balena.features.${hostBinds}`
        }`,
      );
      return [name, owner !== undefined ? volume : { ...volume, driverOptions: {} }];
    }),
  );
}

/** A volume is copied while no container has it, so a service that mounts a volume with a snapshot is not handed over. */
export const withoutTwoWriters = (
  services: readonly Service[],
  volumes: Release["volumes"],
  path: Path,
  warnings: string[],
): readonly Service[] =>
  services.map((service) => {
    const mounted = service.config.mounts.find(({ type, source }) => type === "volume" && volumes[source]?.snapshot);
    if (service.strategy !== "hand-over" || !mounted) return service;
    warnings.push(
      `${showPath([...path, "services"])}: ${service.name} is stopped before its update, since its volume ${mounted.source} has a snapshot; hand-over is left out`,
    );
    return { ...service, strategy: "download-then-kill" };
  });

const strategies = ["download-then-kill", "kill-then-download", "delete-then-download", "hand-over"] as const;
const strategyOf = (label: string | undefined): UpdateStrategy =>
  strategies.find((strategy) => strategy === label) ?? "download-then-kill";

/** If this device does not meet a service's contract, an optional service is left out; otherwise the release is rejected. */
export function meetRequirements(drafts: readonly DraftService[], facts: RequirementFacts, warnings: string[]) {
  const kept: DraftService[] = [];
  let rejection: string | undefined;
  for (const draft of drafts) {
    const unmet = draft.contract && unmetRequirement(draft.contract, facts);
    if (!unmet) kept.push(draft);
    else if (hasFeature(draft.labels, "optional"))
      warnings.push(`${showPath([...draft.path, "contract"])}: ${unmet}; optional, so left out`);
    else rejection ??= `${draft.name}: ${unmet}`;
  }
  return { kept, unmet: rejection };
}

/** Adds default definitions for networks and volumes that services use without one. */
export function withUndeclared(
  { networks, volumes }: Pick<Release, "networks" | "volumes">,
  services: readonly Service[],
  path: Path,
  warnings: string[],
): Pick<Release, "networks" | "volumes"> {
  const used = services.flatMap(({ config }) => (config.networkMode ? [] : networkNames(config.networks)));
  const mounted = services.flatMap(({ config }) =>
    config.mounts.filter(({ type }) => type === "volume").map(({ source }) => source),
  );
  const missing = (kind: string, names: readonly string[], known: object) =>
    [...new Set(names)].filter((name) => {
      if (Object.hasOwn(known, name)) return false;
      if (name !== "default")
        warnings.push(
          `${showPath([...path, kind])}: ${JSON.stringify(name)} is used but not defined; made with default settings`,
        );
      return true;
    });
  const fill = <T>(names: readonly string[], value: T) => Object.fromEntries(names.map((name) => [name, value]));
  return {
    networks: { ...fill<NetworkSpec>(missing("networks", used, networks), NetworkDefinition.parse({})), ...networks },
    volumes: { ...fill<VolumeSpec>(missing("volumes", mounted, volumes), VolumeDefinition.parse({})), ...volumes },
  };
}

const networkNames = (networks: object): string[] =>
  Object.keys(networks).length > 0 ? Object.keys(networks) : ["default"];
