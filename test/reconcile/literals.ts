import { toContainerSpec } from "../../core/compose/container-spec.ts";
import { NetworkDefinition, toNetworkSpec, toVolumeSpec, VolumeDefinition } from "../../core/compose/definitions.ts";
import { parseLocalTarget } from "../../core/compose/target-state.ts";
import type { Container } from "../../core/model/container.ts";
import type { Image } from "../../core/model/image.ts";
import { containerName, handOverName, networkName, preparedName, volumeName } from "../../core/model/names.ts";
import type { Network, Volume } from "../../core/model/network.ts";
import type { App, TargetState } from "../../core/model/target.ts";
import { repeatKey, unseen, type CurrentState, type Download } from "../../core/reconcile/current.ts";
import { plan } from "../../core/reconcile/plan.ts";
import { aimOf, describe, isWork, type Step } from "../../core/reconcile/step.ts";
import { plainImage } from "../compose/specs.ts";
import { device as facts, facts as requirements } from "../support/specs.ts";

/** Literals for tests of the planner: current states, target states, and the plan as sentences. */

/** The machine started, then this run of the agent, then the containers; later some have stopped. */
export const times = { boot: 1_000, agent: 100_000, started: 200_000, stopped: 300_000, now: 1_000_000 };

interface AppFields extends Partial<Pick<App, "temporary" | "rejected">> {
  readonly appId?: number;
  readonly commit?: string;
  readonly releaseId?: number;
  readonly networks?: object;
  readonly volumes?: object;
  readonly configs?: object;
  readonly secrets?: object;
}

/** An application of the target state: its services as a composition writes them, or only their images. */
export function app(services: Readonly<Record<string, string | object>>, release: AppFields = {}): App {
  const { appId = 1, temporary, rejected, ...fields } = release;
  const entries = Object.entries(services).map(([name, service]) => [
    idOf(name),
    {
      ...{ serviceName: name, imageId: 1, environment: {}, labels: {} },
      ...(typeof service === "string" ? { image: service } : service),
    },
  ]);
  const body = { name: "fleet", commit: "c1", releaseId: 10 * appId, ...fields, services: Object.fromEntries(entries) };
  const parsed = parseLocalTarget(
    { local: { apps: { [appId]: body } } },
    requirements,
    "device",
    ({ content }) => `file-${content}`,
  );
  const [first] = parsed.ok ? parsed.target.apps : [];
  if (!parsed.ok || !first) throw new Error(parsed.ok ? "no application" : parsed.faults.join("\n"));
  // In the order in which they are written here.
  const ordered = Object.keys(services).flatMap((name) => first.services.filter((one) => one.name === name));
  return { ...first, services: ordered, ...(temporary && { temporary }), ...(rejected !== undefined && { rejected }) };
}

/** The same for a service in every release. */
const idOf = (service: string): number => Number.parseInt(service, 36);

export const target = (apps: readonly App[], more: Partial<TargetState> = {}): TargetState => ({
  name: "device",
  config: {},
  apps,
  ...more,
});

/** Labels of a service. */
export const strategy = (name: string) => ({ labels: { "io.balena.update.strategy": name } });

/**
 * The container of a service, as release c1 made it with these compose fields. Its id is the name of the service, so that
 * `network_mode: "container:vpn"` is how the engine shows that it lives in the container of the service vpn.
 */
export function running(service: string, image: string, fields: object = {}, release: AppFields = {}): Container {
  const made = app({ [service]: { image, ...fields } }, release);
  const [first] = made.services;
  if (!first) throw new Error("no service");
  return {
    id: service,
    name: containerName(service, first.imageId, made.releaseId, made.commit),
    appId: made.appId,
    appUuid: made.uuid,
    service,
    serviceId: first.serviceId,
    state: "running",
    exitCode: 0,
    error: "",
    createdAt: "2026-01-01T00:00:00.000Z",
    startedAt: times.started,
    finishedAt: 0,
    restarts: 0,
    addresses: {},
    spec: toContainerSpec(first, made, facts, { id: image, config: plainImage }, ""),
  };
}

export const exited = (...of: Parameters<typeof running>): Container => ({
  ...running(...of),
  state: "exited",
  finishedAt: times.stopped,
});

/** It never ran. */
export const created = (...of: Parameters<typeof running>): Container => ({
  ...running(...of),
  state: "created",
  startedAt: 0,
});

/** The same container after it has been moved aside, to hand over to its successor. */
export const aside = (container: Container): Container => ({
  ...container,
  id: `old_${container.id}`,
  name: handOverName(container.name),
});

/** The next container of a service, created while the old one runs. */
export function prepared(...of: Parameters<typeof running>): Container {
  const container = created(...of);
  return { ...container, id: `next_${container.id}`, name: preparedName(container.name) };
}

/** An image whose id is its name, or another one. */
export const image = (name: string, id = name): Image =>
  name.includes("@") ? { id, tags: [], digests: [name] } : { id, tags: [name], digests: [] };

/** A network as the agent makes it for an application. */
export const network = (name: string, definition: object = {}, appId = 1): Network => ({
  id: `id of ${name}`,
  name: networkName(String(appId), name),
  spec: toNetworkSpec(NetworkDefinition.parse(definition), appId),
});

/** A volume, likewise. */
export const volume = (name: string, definition: object = {}, appId = 1): Volume => ({
  name: volumeName(appId, name),
  spec: toVolumeSpec(VolumeDefinition.parse(definition), String(appId)),
});

/** What is not ours: a network or a volume without the labels of the agent. */
export const foreign = <T extends Network | Volume>(one: T): T => ({ ...one, spec: { ...one.spec, labels: {} } });

interface Beside extends Partial<Omit<CurrentState, "images">> {
  /** Beside those of the containers. */
  readonly images?: readonly (string | Image)[];
}

/** A device with these containers, their images, and the default network of application 1. */
export function device(containers: readonly Container[], { images = [], ...more }: Beside = {}): CurrentState {
  const others = images.map((one) => (typeof one === "string" ? image(one) : one));
  const names = [...new Set(containers.map(({ spec }) => spec.image))];
  const all = [...others, ...names.filter((id) => !others.some((one) => one.id === id)).map((name) => image(name))];
  return {
    ...unseen(times.now, facts, false),
    bootedAt: times.boot,
    runningSince: times.agent,
    networks: [network("default")],
    containers,
    images: all,
    imageConfigs: new Map(all.map(({ id }) => [id, plainImage])),
    ...more,
  };
}

/** Downloads that are under way. */
export const downloading = (...names: readonly string[]): ReadonlyMap<string, Download> =>
  new Map(names.map((name) => [name, { is: "running", percent: 50 }]));

/** The update locks of these services of application 1 are ours. */
export const held = (...services: readonly string[]): CurrentState["locks"] => new Map([[1, services]]);

/** The images that were fetched for a service of application 1. */
export const fetched = (service: string, ...names: readonly string[]): CurrentState["imageRecords"] =>
  names.map((name) => ({ name, appId: 1, serviceName: service, imageId: 1, dockerImageId: name }));

/** The plan as sentences; what the locks are taken for follows them. */
export const sentences = (current: CurrentState, ...apps: readonly App[]): string[] =>
  sentencesFor(current, target(apps));

export const sentencesFor = (current: CurrentState, wanted: TargetState): string[] =>
  [...plan(current, wanted).values()].flat().flatMap(withStops);

const withStops = (step: Step): string[] => [
  describe(step),
  ...(step.action === "takeLocks" ? step.stops.map((stop) => `… to ${describe(stop)}`) : []),
];

/** All that is planned now has succeeded, and is due again all the same; until `retryAt`, it is not tried again. */
export function inVain(current: CurrentState, wanted: TargetState, retryAt = times.now + 5_000): CurrentState {
  const repeats = [...plan(current, wanted)].flatMap(([subject, steps]) =>
    steps
      .filter(isWork)
      .flatMap((step) => [step, ...(step.action === "takeLocks" ? step.stops : [])])
      .flatMap((step) => aimOf(step) ?? [])
      .map((aim): [string, number] => [repeatKey(subject, aim), retryAt]),
  );
  return { ...current, repeats: new Map([...current.repeats, ...repeats]) };
}
