import * as z from "zod";
import { parseImage, type ImageReference } from "../model/image.ts";
import type { NetworkSpec, VolumeSpec } from "../model/network.ts";
import type { App, Dependency, Release, Service, TargetState, UpdateStrategy } from "../model/target.ts";
import { containerName } from "../model/names.ts";
import { bareConfig, configWarnings, forbiddenPowersOf } from "../model/config.ts";
import type { Mount } from "../model/container.ts";
import { bareName, isSecretField, withoutTexts } from "../model/secrets.ts";
import { show } from "../model/show.ts";
import { namespaceServicesOf, networkModeOf } from "./namespaces.ts";
import { hasFeature } from "./features.ts";
import { NetworkDefinition, VolumeDefinition } from "./definitions.ts";
import {
  ComposeFields,
  Composition,
  Environment,
  Labels,
  SettingFields,
  parseRestart,
  restartPolicies,
  toServiceConfig,
  unknownFields,
  type Fields,
} from "./service-config.ts";
import { maskedPlaces, notShown } from "./masked.ts";
import { forbiddenOf, hostBinds, hostPartOf, powersIn } from "./powers.ts";
import { cleanPath, Text } from "./quantities.ts";
import { unmetRequirement, type Contract, type RequirementFacts } from "./requirements.ts";

/**
 * A target state as it comes over the wire → ours, or every fault with its path.
 * Version 2 is what the local mode endpoints speak (the specification's "Set a target state"), version 3 is the cloud's.
 */
export type ParsedTarget =
  | { readonly ok: true; readonly target: TargetState; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly faults: readonly string[] };

const Id = z
  .union(
    [
      z.int(),
      z
        .string()
        .regex(/^\d{1,15}$/)
        .transform(Number),
    ],
    { error: "expected a whole number of 0 or more" },
  )
  .refine((id) => id >= 0, { error: "expected a whole number of 0 or more" });
const IdKey = z
  .string()
  .regex(/^\d{1,15}$/, { error: "expected an id (digits) as key" })
  .regex(/^(0$|[^0])/, { error: "expected an id without zeros in front as key" });

const Name = z
  .string()
  .max(255, { error: "expected a name of at most 255 characters" })
  .regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/, {
    error: "expected a name: a letter or digit, then letters, digits, _, . and -",
  });

const ImageName = z.string().transform((text, context): ImageReference => {
  const image = parseImage(text);
  if (image) return image;
  context.addIssue({ code: "custom", message: 'expected an image such as "registry/name:tag"', input: text });
  return z.NEVER;
});

const Config = z.record(
  z
    .string()
    .regex(/^[A-Za-z][\w:]*$/, { error: "expected a config variable name: a letter, then letters, digits, _ and :" }),
  z.string(),
);

const DeviceName = z
  .string()
  .max(255)
  .regex(/^[^\r\n]*$/, { error: "expected a name without line breaks" });

const ContractInput = z.looseObject({}).transform((contract): Contract => contract);

const definitions = {
  networks: z.record(Name, NetworkDefinition).nullish(),
  volumes: z.record(Name, VolumeDefinition).nullish(),
};

const ServiceV2 = z.object({
  ...ComposeFields,
  ...SettingFields,
  serviceName: Name,
  imageId: Id,
  image: ImageName,
  environment: Environment,
  labels: Labels,
  running: z.boolean().default(true),
  contract: ContractInput.optional(),
});

// The original takes an empty list for no services, so there may be clients that send one.
const ServicesV2 = z.preprocess(
  (services) => (Array.isArray(services) && services.length === 0 ? {} : services),
  z.record(IdKey, ServiceV2).nullish(),
);

const TargetV2 = z.object({
  local: z.object({
    name: DeviceName.nullish(),
    config: Config.nullish(),
    apps: z.record(
      IdKey,
      z.object({
        name: z.string().max(255),
        commit: Text.nullish(),
        releaseId: Id,
        services: ServicesV2,
        ...definitions,
      }),
      { error: 'expected an object of applications; to remove all of them send "apps": {}' },
    ),
  }),
});

const ServiceV3 = z.object({
  id: Id,
  image_id: Id,
  image: ImageName,
  environment: z.record(z.string(), z.string()).default({}),
  labels: Labels.default({}),
  running: z.boolean().default(true),
  contract: ContractInput.optional(),
  composition: Composition.optional(),
});

const TargetV3 = z.record(
  z.string(),
  z.object({
    name: DeviceName,
    config: Config.default({}),
    apps: z.record(
      z.string(),
      z.object({
        id: Id,
        name: z.string().max(255),
        is_host: z.boolean().default(false),
        class: z.string().default("fleet"),
        releases: z
          .record(z.string(), z.object({ id: Id, services: z.record(Name, ServiceV3).default({}), ...definitions }))
          .default({}),
      }),
    ),
  }),
);

type Path = readonly (string | number)[];

/** Reads the body of `POST /v2/local/target-state`. `nameBefore` stays when the body gives none. */
export function parseLocalTarget(body: unknown, facts: RequirementFacts, nameBefore: string): ParsedTarget {
  const parsed = TargetV2.safeParse(body, { reportInput: true });
  if (!parsed.success) return { ok: false, faults: parsed.error.issues.map(describeIssue) };
  const { local } = parsed.data;
  const apps = Object.entries(local.apps).map(([id, app]): Draft => ({
    path: ["local", "apps", id],
    appId: Number(id),
    uuid: id,
    name: app.name,
    commit: app.commit ?? "",
    releaseId: app.releaseId,
    networks: app.networks ?? {},
    volumes: app.volumes ?? {},
    services: Object.entries(app.services ?? {}).map(([serviceId, service]) => ({
      path: ["local", "apps", id, "services", serviceId],
      composePath: ["local", "apps", id, "services", serviceId],
      name: service.serviceName,
      serviceId: Number(serviceId),
      imageId: service.imageId,
      image: service.image,
      running: service.running,
      contract: service.contract,
      fields: service,
      environment: service.environment,
      labels: service.labels,
    })),
  }));
  const path = ["local", "config"];
  return finish({ name: local.name ?? nameBefore, config: { path, values: local.config ?? {} }, apps }, body, facts);
}

/** What in a body was not shown to whoever sends it back; a new target state, or a release, cannot have it for a value. */
export const maskedFaults = (body: unknown): readonly string[] =>
  maskedPlaces(body).map((path) => `${showPath(path)}: ${notShown}`);

/** Reads the cloud's target state (`GET /device/v3/:uuid/state`). */
export function parseCloudTarget(body: unknown, facts: RequirementFacts, uuid: string): ParsedTarget {
  const parsed = TargetV3.safeParse(body, { reportInput: true });
  if (!parsed.success) return { ok: false, faults: parsed.error.issues.map(describeIssue) };
  const device = parsed.data[uuid];
  if (!device) return { ok: false, faults: [`expected the state of device ${uuid}, which is not in it`] };
  const apps = Object.entries(device.apps)
    // The host's own releases are not containers of ours; nor is the original, which the cloud would have us run as soon as
    // it knows a release of it of the version that we report.
    .filter(([, app]) => !app.is_host && app.class !== "app")
    .map(([appUuid, app]): Draft => {
      const [commit, release] = Object.entries(app.releases)[0] ?? ["", undefined];
      const path = [uuid, "apps", appUuid, "releases", commit];
      return {
        path,
        appId: app.id,
        uuid: appUuid,
        name: app.name,
        commit,
        releaseId: release?.id ?? 0,
        networks: release?.networks ?? {},
        volumes: release?.volumes ?? {},
        services: Object.entries(release?.services ?? {}).map(([name, service]) => ({
          path: [...path, "services", name],
          composePath: [...path, "services", name, "composition"],
          name,
          serviceId: service.id,
          imageId: service.image_id,
          image: service.image,
          running: service.running,
          contract: service.contract,
          fields: service.composition ?? {},
          // The cloud merges images', services' and devices' variables into the outer ones, so they win.
          environment: dropNameless({ ...service.composition?.environment, ...service.environment }),
          labels: { ...service.composition?.labels, ...service.labels },
        })),
      };
    });
  return finish({ name: device.name, config: { path: [uuid, "config"], values: device.config }, apps }, body, facts);
}

// The cloud accepts a variable without a name, and hands it down; an engine refuses it.
const dropNameless = ({ "": _, ...named }: Record<string, string>): Record<string, string> => named;

/** A target state as read, with where its parts stand in the body: for messages. */
interface DraftTarget {
  readonly name: string;
  readonly config: { readonly path: Path; readonly values: Readonly<Record<string, string>> };
  readonly apps: readonly Draft[];
}

/** An application as read, with where its parts stand in the body: for messages. */
interface Draft extends Omit<App, "services"> {
  readonly path: Path;
  readonly services: readonly DraftService[];
}

interface DraftService {
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

/** What the schemas cannot see: references between the parts of an application. */
function finish(
  { name, config: { path: configPath, values }, apps }: DraftTarget,
  body: unknown,
  facts: RequirementFacts,
): ParsedTarget {
  const tooMany = excess(apps);
  if (tooMany.length > 0) return { ok: false, faults: tooMany };
  const config = bareConfig(values);
  const faults: string[] = [];
  const warnings = Object.entries(configWarnings(config)).map(
    ([variable, warning]) => `${showPath([...configPath, variable])}: ${warning}`,
  );
  const forbidden = forbiddenPowersOf(config);
  const finished = apps.map(({ path, services: drafts, ...rest }): App => {
    const { kept, unmet } = meetRequirements(drafts, facts, warnings);
    const names = new Set(drafts.map((draft) => draft.name));
    const services = kept.map((draft) => toService(draft, names, body, warnings));
    const { networks, volumes } = withUndeclared(rest, services, path, warnings);
    const parts = { services, networks, volumes: withoutHostParts(volumes, services, path, warnings) };
    const rejected = unmet ?? forbiddenOf(powersIn(parts), forbidden)[0];
    if (rejected) warnings.push(`the release is rejected: ${rejected}`);
    const app: App = { ...rest, ...parts, ...(rejected && { rejected }) };
    faults.push(
      ...duplicates(drafts),
      ...unknownNamespaces(app, path),
      ...borrowedNetworks(app, path),
      ...dependencyCycles(app, path),
    );
    return app;
  });
  faults.push(...sameNames(finished));
  return faults.length > 0 ? { ok: false, faults } : { ok: true, target: { name, config, apps: finished }, warnings };
}

/** Of one device; far more than any device runs, and few enough to be planned within a second. */
const limits = { apps: 100, services: 1000 };

function excess(apps: readonly Draft[]): string[] {
  const services = apps.reduce((sum, app) => sum + app.services.length, 0);
  return [
    ...(apps.length > limits.apps ? [`expected at most ${limits.apps} applications, but got ${apps.length}`] : []),
    ...(services > limits.services ? [`expected at most ${limits.services} services, but got ${services}`] : []),
  ];
}

/** `names`: of all services of the application. */
function toService(draft: DraftService, names: ReadonlySet<string>, body: unknown, warnings: string[]): Service {
  const { fields, composePath, name, serviceId, imageId, image, running } = draft;
  const warn = (field: string, message: string) => warnings.push(`${showPath([...composePath, field])}: ${message}`);

  const raw = valueAt(body, composePath);
  if (typeof raw === "object" && raw !== null)
    for (const field of unknownFields(raw)) warn(field, "not supported, left out");
  if (fields.restart !== undefined && fields.restart !== null && !parseRestart(fields.restart))
    warn("restart", `${JSON.stringify(fields.restart)} is none of ${restartPolicies}; taken as always`);
  const volumes = admitBinds(fields.volumes ?? [], draft.labels, (message) => warn("volumes", message));
  const config = toServiceConfig({ ...fields, volumes }, fields, draft.environment, draft.labels);

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

  return {
    name,
    serviceId,
    imageId,
    image,
    running,
    config,
    dependsOn,
    strategy: strategyOf(config.labels["io.balena.update.strategy"]),
    handoverTimeoutMs: Number(config.labels["io.balena.update.handover-timeout"]) || 60_000,
  };
}

/** Folders of the host are mounted only for a service whose label says that it wants them, and never without a word. */
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

/** Likewise for volumes: one that shows something of the host is an ordinary one unless a service that mounts it has the label. */
function withoutHostParts(
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

const strategies = ["download-then-kill", "kill-then-download", "delete-then-download", "hand-over"] as const;
const strategyOf = (label: string | undefined): UpdateStrategy =>
  strategies.find((strategy) => strategy === label) ?? "download-then-kill";

/** A service whose contract this device does not meet is left out if it is optional; else the release is rejected. */
function meetRequirements(drafts: readonly DraftService[], facts: RequirementFacts, warnings: string[]) {
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

/** Networks and volumes that services use without a definition are made with default settings. */
function withUndeclared(
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

function duplicates(services: readonly DraftService[]): string[] {
  const names = new Set<string>();
  return services.flatMap(({ path, name }) => {
    const isRepeated = names.has(name);
    names.add(name);
    return isRepeated
      ? [`${showPath(path)}: expected each service once, but ${JSON.stringify(name)} is there twice`]
      : [];
  });
}

/** A container is named after its service and the ids of its release, not after its application. */
function sameNames(apps: readonly App[]): string[] {
  const owners = new Map<string, number>();
  return apps.flatMap(({ appId, releaseId, commit, services }) =>
    services.flatMap(({ name, imageId }) => {
      const container = containerName(name, imageId, releaseId, commit);
      const owner = owners.get(container);
      owners.set(container, appId);
      if (owner === undefined || owner === appId) return [];
      return [
        `application ${appId}: expected an imageId, releaseId or commit of its own for ${name}, but application ${owner} has a container ${container} too`,
      ];
    }),
  );
}

function unknownNamespaces(app: App, path: Path): string[] {
  const names = new Set(app.services.map(({ name }) => name));
  return app.services.flatMap((service) =>
    namespaceServicesOf(service, app)
      .filter((name) => name === service.name || !names.has(name))
      .map(
        (name) =>
          `${showPath([...path, "services"])}: ${service.name} wants to live in service ${JSON.stringify(name)}, which is not another service of this application`,
      ),
  );
}

/** Whoever lives in another's network has no name, ports or resolver of its own: no engine makes such a container. */
const borrowedNetworks = (app: App, path: Path): string[] =>
  app.services.flatMap((service) => {
    const mode = networkModeOf(service, app);
    if (!/^(service|container):/.test(mode)) return [];
    const { hostname, ports, settings } = service.config;
    const own = [
      ...(hostname ? ["hostname"] : []),
      ...(ports.length > 0 ? ["ports"] : []),
      ...["dns", "extra_hosts", "mac_address"].filter((field) => field in settings),
    ];
    return own.length > 0
      ? [`${showPath([...path, "services"])}: ${service.name} has network_mode ${mode}: expected no ${own.join(", ")}`]
      : [];
  });

/** The services that must be there before this one: what it waits for, and what it lives in. */
export const prerequisites = (service: Service, app: App): string[] => [
  ...service.dependsOn.map((one) => one.service),
  ...namespaceServicesOf(service, app),
];

function dependencyCycles(app: App, path: Path): string[] {
  const next = new Map(app.services.map((service) => [service.name, prerequisites(service, app)]));
  const seen = new Set<string>();
  return app.services.flatMap(({ name }) => {
    const cycle = findCycle(name, next, seen);
    return cycle
      ? [
          `${showPath([...path, "services"])}: expected an order to start in, but they wait for each other: ${cycle.join(" → ")}`,
        ]
      : [];
  });
}

/** A cycle that begins among what `start` waits for; `seen` is left out, and grows. Without recursion: chains are long. */
function findCycle(
  start: string,
  next: ReadonlyMap<string, readonly string[]>,
  seen: Set<string>,
): readonly string[] | undefined {
  const trail: string[] = [];
  const onTrail = new Set<string>();
  const open = [[start].values()];
  for (let last = open.at(-1); last; last = open.at(-1)) {
    const { done, value: name } = last.next();
    if (done) {
      open.pop();
      onTrail.delete(trail.pop() ?? "");
    } else if (onTrail.has(name)) {
      return [...trail.slice(trail.indexOf(name)), name];
    } else if (!seen.has(name)) {
      seen.add(name);
      trail.push(name);
      onTrail.add(name);
      open.push((next.get(name) ?? []).values());
    }
  }
  return undefined;
}

const valueAt = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>(
    (at, key) =>
      typeof at === "object" && at !== null ? Object.getOwnPropertyDescriptor(at, String(key))?.value : undefined,
    value,
  );

const showPath = (path: readonly PropertyKey[]): string =>
  path
    .map((key, n) => {
      if (typeof key === "number") return `[${key}]`;
      const name = isSecret(path.slice(0, n)) ? bareName(String(key)) : String(key);
      return n === 0 ? name : `.${name}`;
    })
    .join("");

/** Whether what stands there is, or is a part of, something that may be secret. */
const isSecret = (path: readonly PropertyKey[]): boolean => path.some((key) => isSecretField(String(key)));

/** `local.apps.1.services.1.ports[0]: expected a port such as "80", … but got "abc"`. What may be secret is not shown. */
function describeIssue(issue: z.core.$ZodIssue): string {
  const { path } = issue;
  const where = path.length > 0 ? `${showPath(path)}: ` : "";
  const inner = issue.code === "invalid_key" ? issue.issues[0]?.message : undefined;
  const message = (inner ?? issue.message).replace(/^Invalid input: /, "").split(", received ", 1)[0];
  if (inner !== undefined) return `${where}${message}, but got ${shorten(show(bareName(String(path.at(-1)))))}`;
  if (path.includes("environment")) return where + message;
  const got = isSecret(path) ? withoutTexts(issue.input) : issue.input;
  return `${where}${message}, but got ${shorten(show(got))}`;
}

const shorten = (text: string): string => (text.length > 80 ? `${text.slice(0, 79)}…` : text);
