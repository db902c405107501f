import { describeDifference, differences, type Difference } from "../compose/differences.ts";
import { namespaceServices, namespaceServicesOf, toServiceNamespaces } from "../compose/namespaces.ts";
import { toContainerSpec } from "../compose/container-spec.ts";
import { toNetworkSpec, toVolumeSpec } from "../compose/definitions.ts";
import { networkDifferences } from "../compose/network-differences.ts";
import { fixedHostPorts } from "../compose/ports.ts";
import { hostPartOf } from "../compose/powers.ts";
import { isActive, type Container, type ContainerSpec } from "../model/container.ts";
import { findImage } from "../model/image.ts";
import { sameJson } from "../model/json.ts";
import { containerName, handOverName, isHandingOver, networkName, volumeName, serviceKey } from "../model/names.ts";
import type { Network, Volume, VolumeSpec } from "../model/network.ts";
import type { App, Dependency, Service } from "../model/target.ts";
import { isImageInUse, type CurrentState } from "./current.ts";
import { withLocks } from "./gate.ts";
import { waitIfInVain, withoutVain } from "./plan-repeats.ts";
import type { Step, Stop, Work } from "./step.ts";

/** How the container of a service stands to what the service must be. */
type Verdict =
  | { readonly is: "absent"; readonly spec: ContainerSpec }
  /** Its image is not here, so what it must be is not known; a container that is there is out of date. */
  | { readonly is: "imageless"; readonly container: Container | undefined }
  | { readonly is: "stale"; readonly container: Container; readonly spec: ContainerSpec; readonly reason: Reason }
  | { readonly is: "ready"; readonly container: Container };

/** Why something must go: what the log says, and in which fields it is to be another. */
interface Reason {
  readonly why: string;
  readonly differences?: readonly Difference[];
}

interface Wanted {
  readonly service: Service;
  readonly verdict: Verdict;
}

/**
 * The next steps for one application. The ladder: fetch images; take the locks and stop what must stop; networks and
 * volumes; give the locks back and start what must start, in the order of its dependencies. A rung is reached when the one
 * above has nothing left to do.
 */
export function planApplication(
  appId: number,
  app: App | undefined,
  current: CurrentState,
  wantedImages: ReadonlySet<string>,
): Step[] {
  return withoutVain(withLocks(planNow(appId, app, current, wantedImages), appId, current), appId, current);
}

function planNow(
  appId: number,
  app: App | undefined,
  current: CurrentState,
  wantedImages: ReadonlySet<string>,
): Step[] {
  // A rejected release is as good as none: what runs, goes on.
  if (app?.rejected) return releaseLocks(appId, current);

  const containers = current.containers.filter((container) => container.appId === appId);
  const leaving = containers.filter(isHandingOver);
  const present = containers.filter((container) => !isHandingOver(container));
  const judged = app && !app.temporary ? app.services.map((service) => judge(service, app, present, current)) : [];
  const kept = keepInVain(judged, appId, current);
  const { wanted } = kept;

  const fetches = wanted.flatMap((one) => planFetch(one, appId, current, wantedImages));
  // Whatever is downloaded before its predecessor is killed holds up the whole release: services work in unison.
  const awaited = wanted.filter(({ service, verdict }) => verdict.is === "imageless" && !killsFirst(service));
  const networks = judgeNetworks(appId, app, current);
  const volumes = judgeVolumes(appId, app, current);

  const whyRemove = app?.temporary ? temporaryReasons[app.temporary] : "no longer in the target state";
  const imagesComplete = awaited.length === 0;
  const again = app?.temporary !== undefined;
  const stops = planStops({
    ...{ appId, wanted, present, leaving, current, imagesComplete, whyRemove, again },
    ...{ networks, volumes: volumes.outdated },
    inVain: kept.differencesOf,
  });
  const waits = [...kept.waits, ...networks.waits, ...volumes.waits];
  const creations = app ? planCreations(app, networks.missing, volumes.judged, current) : [];
  if (stops.length > 0) return [...fetches, ...creations, ...waits, ...stops];

  const removals = [
    ...networks.outdated.flatMap((network) =>
      containers.some((container) => network.name in container.spec.networks) ? [] : [toRemoval(network)],
    ),
    ...volumes.outdated.flatMap((volume) =>
      containers.some((container) => mountsVolume(container, volume)) ? [] : [toVolumeRemoval(volume)],
    ),
    ...(app?.temporary === "purged" ? planPurge(appId, current) : []),
  ];
  if (removals.length > 0) return [...fetches, ...waits, ...removals];

  const starts = app ? wanted.flatMap((one) => planStart(one, app, wanted, current)) : [];
  const revivals = app ? wanted.flatMap((one) => planRevival(one, app, present, current)) : [];
  const handOvers = wanted.flatMap((one) => waitForHandOver(one, leaving));
  return [
    ...fetches,
    ...creations,
    // What is made already may start while the rest of the release is on its way.
    ...starts.filter(({ action }) => awaited.length === 0 || action === "start"),
    ...revivals,
    ...waits,
    ...handOvers,
    // Starting needs no lock, and may take its time; the end of a hand-over does.
    ...(handOvers.some(isNear) ? [] : releaseLocks(appId, current)),
  ];
}

const temporaryReasons = { stopped: "the application is restarted", purged: "the application is purged" };

const releaseLocks = (appId: number, current: CurrentState): Step[] =>
  current.locks.has(appId) ? [{ action: "releaseLocks", appId }] : [];

const killsFirst = ({ strategy }: Service): boolean =>
  strategy === "kill-then-download" || strategy === "delete-then-download";

// ── What is there, against what must be ──────────────────────────────────────────────────────────────────────────────

function judge(service: Service, app: App, present: readonly Container[], current: CurrentState): Wanted {
  const own = present.filter((container) => container.service === service.name);
  const image = findImage(current.images, service.image.name);
  const config = image && current.imageConfigs.get(image.id);
  if (!image || !config) return { service, verdict: { is: "imageless", container: own[0] } };

  const apiKey = current.apiKeys.get(serviceKey(app.appId, service.name)) ?? "";
  const spec = toContainerSpec(service, app, current.device, { id: image.id, config }, apiKey);
  const judged = own.map((container) => ({ container, reason: whyReplace(container, spec, present, current) }));
  const best = judged.find(({ reason }) => reason === undefined) ?? judged[0];
  if (!best) return { service, verdict: { is: "absent", spec } };
  const { container, reason } = best;
  return { service, verdict: reason ? { is: "stale", container, spec, reason } : { is: "ready", container } };
}

/**
 * A container that was replaced in vain a moment ago does as it is for now: others need not wait for it, nor give up
 * what they share with it.
 */
function keepInVain(judged: readonly Wanted[], appId: number, current: CurrentState) {
  const waits: Step[] = [];
  const differencesOf = new Map<Container, readonly Difference[]>();
  const wanted = judged.map((one): Wanted => {
    const { verdict } = one;
    const wait = verdict.is === "stale" && waitIfInVain(toKill(verdict.container, verdict.reason), appId, current);
    if (!wait) return one;
    waits.push(wait);
    differencesOf.set(verdict.container, verdict.reason.differences ?? []);
    return { ...one, verdict: { is: "ready", container: verdict.container } };
  });
  return { wanted, waits, differencesOf };
}

const toKill = ({ id, service }: Container, reason: Reason): Stop => ({ action: "kill", id, service, ...reason });

/** Which fields differ, from what to what; undefined when the container can stay. */
function whyReplace(
  container: Container,
  spec: ContainerSpec,
  present: readonly Container[],
  current: CurrentState,
): Reason | undefined {
  if (container.state === "dead") return { why: "the engine could not remove it" };
  const tolerated = current.tolerated.get(container.id) ?? [];
  return toReason(
    differences(toServiceNamespaces(container.spec, present), spec).filter(
      (difference) => !tolerated.some((one) => sameJson(one, difference)),
    ),
  );
}

const toReason = (found: readonly Difference[]): Reason | undefined =>
  found.length > 0 ? { why: found.map(describeDifference).join("; "), differences: found } : undefined;

interface OutdatedNetwork extends Network {
  /** Why it must go. */
  readonly reason: Reason;
}

const toRemoval = ({ id, name, reason }: OutdatedNetwork): Work => ({ action: "removeNetwork", id, name, ...reason });

/** Of an application's networks on the engine: those that must go, and those that must come. */
function judgeNetworks(appId: number, app: App | undefined, current: CurrentState) {
  const definitions = new Map(
    app
      ? Object.entries(app.networks).map(([name, definition]) => [
          networkName(app.uuid, name),
          toNetworkSpec(definition, appId),
        ])
      : [],
  );
  const ours = current.networks.filter(
    ({ spec: { labels } }) => labels["io.balena.supervised"] && labels["io.balena.app-id"] === String(appId),
  );
  const judged = ours.flatMap((network): OutdatedNetwork[] => {
    const definition = definitions.get(network.name);
    const reason = definition
      ? toReason(networkDifferences(network.spec, definition))
      : { why: "no longer in the target state" };
    // What is taken down for a moment only comes back to the networks that it knows.
    return reason && !app?.temporary ? [{ ...network, reason }] : [];
  });
  const waits = judged.flatMap((network) => waitIfInVain(toRemoval(network), appId, current) ?? []);
  const outdated = judged.filter((network) => !waitIfInVain(toRemoval(network), appId, current));
  const missing = [...definitions].filter(([name]) => !ours.some((network) => network.name === name));
  return { outdated, missing, waits };
}

/**
 * Volumes on the engine that show a part of the host, and should show none any more: that power was taken away. There is no
 * data in them, since that is on the host. Other volumes stay as they are.
 */
function judgeVolumes(appId: number, app: App | undefined, current: CurrentState) {
  if (!app || app.temporary) return { judged: [], outdated: [], waits: [] };
  const plain = Object.entries(app.volumes).flatMap(([name, definition]) =>
    hostPartOf(definition) === undefined ? [volumeName(appId, name)] : [],
  );
  const judged = current.volumes.filter(
    ({ name, spec }) => plain.includes(name) && spec.labels["io.balena.supervised"] && hostPartOf(spec) !== undefined,
  );
  return {
    judged,
    outdated: judged.filter((volume) => !waitIfInVain(toVolumeRemoval(volume), appId, current)),
    waits: judged.flatMap((volume) => waitIfInVain(toVolumeRemoval(volume), appId, current) ?? []),
  };
}

const toVolumeRemoval = ({ name }: Volume): Work => ({ action: "removeVolume", name });

const mountsVolume = ({ spec: { mounts } }: Pick<Container, "spec">, { name }: Volume): boolean =>
  mounts.some(({ type, source }) => type === "volume" && source === name);

// ── Fetch ────────────────────────────────────────────────────────────────────────────────────────────────────────────

function planFetch(
  { service, verdict }: Wanted,
  appId: number,
  current: CurrentState,
  wantedImages: ReadonlySet<string>,
): Step[] {
  if (verdict.is !== "imageless") return [];
  if (killsFirst(service) && verdict.container) return [];
  const predecessor = current.imageRecords.find(
    (record) =>
      record.appId === appId &&
      record.serviceName === service.name &&
      !wantedImages.has(record.name) &&
      !current.keptImages.has(record.name) &&
      findImage(current.images, record.name) &&
      !isImageInUse(record.name, current),
  );
  if (service.strategy === "delete-then-download" && predecessor)
    return [{ action: "removeImage", name: predecessor.name }];

  const download = current.downloads.get(service.image.name);
  const { image, name, imageId } = service;
  const fetch: Step = { action: "fetch", image, appId, service: name, imageId };
  if (!download) return [fetch];
  switch (download.is) {
    case "running":
      return [{ action: "wait", reason: `image ${image.name}`, isSaid: true }];
    case "failed": {
      const wait = download.retryAt - current.now;
      return wait > 0
        ? [
            {
              action: "wait",
              reason: `another try to fetch ${image.name} (${download.reason})`,
              recheckMs: wait,
              isSaid: true,
            },
          ]
        : [fetch];
    }
  }
}

// ── Stop ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Scene {
  readonly appId: number;
  readonly wanted: readonly Wanted[];
  readonly present: readonly Container[];
  readonly leaving: readonly Container[];
  readonly networks: { readonly outdated: readonly OutdatedNetwork[] };
  /** Those that must be made anew. */
  readonly volumes: readonly Volume[];
  /** What was replaced in vain, and stays for now: in which fields it is not what it must be. */
  readonly inVain: ReadonlyMap<Container, readonly Difference[]>;
  readonly current: CurrentState;
  readonly imagesComplete: boolean;
  /** Why a container goes for which there is no service. */
  readonly whyRemove: string;
  /** Whether whatever goes comes back. */
  readonly again: boolean;
}

/** Everything that must stop now, and why. */
function planStops(scene: Scene): Stop[] {
  const { appId, wanted, present, leaving, networks, volumes, current, imagesComplete } = scene;
  const kills = new Map<Container, Stop>();
  const kill = (container: Container, reason: Reason) => {
    const hasSuccessor = leaving.includes(container) && present.some(({ service }) => service === container.service);
    const again = scene.again && !hasSuccessor;
    if (!kills.has(container)) kills.set(container, { ...toKill(container, reason), ...(again && { again }) });
  };
  /** It goes because something else does. If it was replaced in vain, this is another try. */
  const follow = (container: Container, why: string) => {
    const differences = scene.inVain.get(container);
    kill(container, { why, ...(differences && { differences }) });
  };

  for (const { service, verdict } of wanted) {
    if (verdict.is === "imageless" && verdict.container && killsFirst(service))
      kill(verdict.container, { why: `image: ${service.image.name} will be downloaded` });
    if (verdict.is === "stale" && (imagesComplete || killsFirst(service)) && !canHandOver(service, verdict, scene))
      kill(verdict.container, verdict.reason);
  }
  if (imagesComplete) {
    const kept = new Set(
      wanted.flatMap(({ verdict }) => ("container" in verdict && verdict.container ? [verdict.container] : [])),
    );
    for (const container of present) if (!kept.has(container)) kill(container, { why: scene.whyRemove });
    for (const network of networks.outdated)
      for (const container of [...present, ...leaving])
        if (network.name in container.spec.networks)
          follow(container, `network ${network.name} goes (${network.reason.why})`);
    for (const volume of volumes)
      for (const container of [...present, ...leaving])
        if (mountsVolume(container, volume)) follow(container, `volume ${volume.name} changes`);
    for (const container of leaving) {
      const why = whyLeave(container, wanted, current, scene.appId);
      if (why) kill(container, { why });
    }
  }
  // Whoever lives in a namespace of a container that goes has lost it.
  for (let found = true; found;) {
    found = false;
    for (const container of present) {
      const lost = namespaceServices(toServiceNamespaces(container.spec, present)).find((name) =>
        [...kills.keys()].some((other) => other.service === name && !leaving.includes(other)),
      );
      if (lost && !kills.has(container)) {
        follow(container, `it lives in ${lost}, which is replaced`);
        found = true;
      }
    }
  }
  return [
    ...kills.values(),
    ...wanted.flatMap(({ service, verdict }): Stop[] =>
      verdict.is === "stale" && imagesComplete && !kills.has(verdict.container)
        ? [moveAside(appId, verdict)]
        : verdict.is === "ready" &&
            !service.running &&
            isActive(verdict.container) &&
            (imagesComplete || killsFirst(service))
          ? [{ action: "stop", id: verdict.container.id, service: service.name }]
          : [],
    ),
  ];
}

type Stale = Extract<Verdict, { readonly is: "stale" }>;

const moveAside = (appId: number, { container: { id, name, service }, reason }: Stale): Stop => ({
  action: "moveAside",
  appId,
  id,
  service,
  name: handOverName(name),
  ...reason,
});

/** Whether a successor can run beside it: it runs, nobody is leaving already, and there is nothing both would need. */
function canHandOver(
  service: Service,
  { container, spec }: Stale,
  { leaving, networks, volumes, present }: Scene,
): boolean {
  return (
    service.strategy === "hand-over" &&
    service.running &&
    container.state === "running" &&
    !leaving.some((other) => other.service === service.name) &&
    !networks.outdated.some(({ name }) => name in container.spec.networks) &&
    !volumes.some((volume) => mountsVolume(container, volume)) &&
    !present.some((other) => namespaceServices(toServiceNamespaces(other.spec, present)).includes(service.name)) &&
    !areInConflict(container.spec, spec)
  );
}

/** Whether two containers need the same port of the host, or the same address. */
function areInConflict(one: ContainerSpec, other: ContainerSpec): boolean {
  const both = (a: readonly string[], b: readonly string[]) => a.some((need) => need !== "" && b.includes(need));
  const addresses = (of: ContainerSpec) => Object.values(of.networks).flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]);
  return both(fixedHostPorts(one.ports), fixedHostPorts(other.ports)) || both(addresses(one), addresses(other));
}

/** Why a container that moved aside may go now; undefined as long as its successor has not taken over. */
function whyLeave(
  container: Container,
  wanted: readonly Wanted[],
  current: CurrentState,
  appId: number,
): string | undefined {
  const successor = wanted.find(({ service }) => service.name === container.service);
  if (!successor) return "no longer in the target state";
  if (!isActive(container)) return "it has ended by itself";
  const { verdict, service } = successor;
  if (!service.running) return "the target state says `running: false`";
  // A target state that came after the hand-over began.
  if (verdict.is !== "imageless" && areInConflict(container.spec, specOf(verdict)))
    return "its successor needs its port or address";
  if (verdict.is !== "ready" || verdict.container.state !== "running" || verdict.container.health === "unhealthy")
    return undefined;
  if (current.takenOver.has(serviceKey(appId, service.name))) return "its successor has taken over";
  return current.now - verdict.container.startedAt >= service.handoverTimeoutMs
    ? "the time to hand over is up"
    : undefined;
}

/** What the service's container is, or is to be. */
const specOf = (verdict: Exclude<Verdict, { is: "imageless" }>): ContainerSpec =>
  verdict.is === "ready" ? verdict.container.spec : verdict.spec;

const handOverPollMs = 100;

/** Only a successor that runs can say that it has taken over, so only then is it worth asking. */
function waitForHandOver({ service, verdict }: Wanted, leaving: readonly Container[]): Step[] {
  if (!leaving.some((container) => container.service === service.name)) return [];
  const ask = verdict.is === "ready" && verdict.container.state === "running";
  return [{ action: "wait", reason: `${service.name} to take over`, ...(ask && { recheckMs: handOverPollMs }) }];
}

const isNear = (step: Step): boolean => step.action === "wait" && step.recheckMs !== undefined;

// ── Networks and volumes ─────────────────────────────────────────────────────────────────────────────────────────────

function planCreations(
  app: App,
  missingNetworks: readonly (readonly [string, Network["spec"]])[],
  leaving: readonly Volume[],
  current: CurrentState,
): Step[] {
  const volumes = app.temporary === "purged" ? [] : Object.entries(app.volumes);
  return [
    ...missingNetworks.map(([name, spec]): Step => ({ action: "createNetwork", name, spec })),
    ...volumes.flatMap(([key, definition]): Step[] => {
      const name = volumeName(app.appId, key);
      const spec = toVolumeSpec(definition, app.uuid);
      const existing = current.volumes.find((volume) => volume.name === name);
      if (!existing) return [{ action: "createVolume", name, spec }];
      // Of another program's volume nothing is changed, by a purge neither.
      if (leaving.includes(existing) || !existing.spec.labels["io.balena.supervised"]) return [];
      // One that is there stays as it is, whatever its definition says now: there may be data in it.
      const fields = differingFields(existing.spec, spec);
      return fields.length > 0 ? [{ action: "keepVolume", appId: app.appId, name, fields }] : [];
    }),
  ];
}

/** In what two volumes differ, by the composition's names; not the values, among which are passwords of network shares. */
function differingFields(one: VolumeSpec, other: VolumeSpec): string[] {
  const differing = (a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>) =>
    [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((key) => a[key] !== b[key]);
  return [
    ...(one.driver === other.driver ? [] : ["driver"]),
    ...differing(one.driverOptions, other.driverOptions).map((key) => `driver_opts.${key}`),
    ...differing(one.labels, other.labels)
      // Those by which we know a volume as ours, which the original or an earlier release of ours made otherwise.
      .filter((key) => !/^io\.(balena|resin)\./.test(key))
      .map((key) => `labels.${key}`),
  ];
}

const planPurge = (appId: number, current: CurrentState): Step[] =>
  current.volumes
    .filter(({ name, spec }) => name.startsWith(volumeName(appId, "")) && spec.labels["io.balena.supervised"])
    .map(({ name }) => ({ action: "removeVolume", name }));

// ── Start ────────────────────────────────────────────────────────────────────────────────────────────────────────────

function planStart({ service, verdict }: Wanted, app: App, wanted: readonly Wanted[], current: CurrentState): Step[] {
  const name = containerName(service.name, service.imageId, app.releaseId, app.commit);
  switch (verdict.is) {
    case "imageless":
    case "stale":
      return [];
    case "ready": {
      const { container } = verdict;
      if (service.running && mustStart(container, current)) {
        const obstacle = whatToWaitFor(service, app, wanted);
        return obstacle ? [obstacle] : [{ action: "start", id: container.id, service: service.name }];
      }
      return container.name === name ? [] : [{ action: "rename", id: container.id, service: service.name, name }];
    }
    case "absent": {
      const { spec } = verdict;
      const obstacle = whatIsNotMade(spec, current, app) ?? whatToWaitFor(service, app, wanted);
      if (obstacle) return [obstacle];
      return [{ action: "install", appId: app.appId, service: service.name, name, spec, start: service.running }];
    }
  }
}

/** The first network or volume that a container needs and that is still to be made, as a step. */
function whatIsNotMade({ networks, mounts }: ContainerSpec, current: CurrentState, app: App): Step | undefined {
  const network = Object.keys(networks).find((one) => !current.networks.some((other) => other.name === one));
  if (network) return { action: "wait", reason: `network ${network}` };
  const volume = Object.keys(app.volumes)
    .map((name) => volumeName(app.appId, name))
    .find(
      (name) =>
        mounts.some(({ type, source }) => type === "volume" && source === name) &&
        !current.volumes.some((other) => other.name === name),
    );
  return volume ? { action: "wait", reason: `volume ${volume}` } : undefined;
}

/** What a restart has taken down while an update is on its way comes back as it was: it goes on serving until then. */
function planRevival(
  { service, verdict }: Wanted,
  app: App,
  present: readonly Container[],
  current: CurrentState,
): Step[] {
  const before = current.interrupted.get(serviceKey(app.appId, service.name));
  if (verdict.is !== "imageless" || verdict.container || killsFirst(service) || !before) return [];
  if (!current.images.some(({ id }) => id === before.spec.image)) return [];
  // It was stopped, and could not be removed.
  if (current.containers.some(({ name }) => name === before.name)) return [];
  const homes = namespaceServices(before.spec);
  const home = homes.find((name) => !present.some((other) => other.service === name && other.state === "running"));
  const obstacle: Step | undefined = home
    ? { action: "wait", reason: `${home} to run, in which ${service.name} lives` }
    : whatIsNotMade(before.spec, current, app);
  const { name, spec } = before;
  return [
    obstacle ?? { action: "install", appId: app.appId, service: service.name, name, spec, start: service.running },
  ];
}

/** An engine goes on stopping what an agent that was killed had told it to stop; longer than that, hardly. */
const aftermathMs = 30_000;

/**
 * Whether a container that does not run is ours to start: it was never started, or it stopped before this run of the
 * agent (or in the aftermath of the last one) and did not simply finish. What stops under our eyes was stopped on
 * purpose, or is the engine's to restart.
 */
function mustStart(container: Container, current: CurrentState): boolean {
  const { id, state, startedAt, finishedAt, exitCode } = container;
  if (state === "created") return true;
  if (state !== "exited") return false;
  const key = serviceKey(container.appId, container.service);
  const interrupted =
    startedAt < current.runningSince && finishedAt < current.runningSince + aftermathMs && !current.stoppedNow.has(key);
  if (current.seen.has(id) && !interrupted) return false;
  const { restart } = container.spec;
  // One that was told to stop has not finished, whatever its policy.
  const wasStopped = exitCode === 128 + 15 || exitCode === 128 + 9;
  const finished = (restart.name === "no" && !wasStopped) || (restart.name === "on-failure" && exitCode === 0);
  return !finished || startedAt < current.bootedAt || current.stoppedBefore.has(key);
}

/** The first thing that must be there before, as a step. */
function whatToWaitFor(service: Service, app: App, wanted: readonly Wanted[]): Step | undefined {
  const find = (name: string) => {
    const verdict = wanted.find((one) => one.service.name === name)?.verdict;
    return verdict?.is === "ready" ? verdict.container : undefined;
  };
  for (const name of namespaceServicesOf(service, app))
    if (find(name)?.state !== "running")
      return { action: "wait", reason: `${name} to run, in which ${service.name} lives` };
  for (const { service: name, condition } of service.dependsOn) {
    const container = find(name);
    const reason = container ? unfulfilled(container, condition) : `${name} to start`;
    if (reason) return { action: "wait", reason: `${reason}, on which ${service.name} depends` };
  }
  return undefined;
}

function unfulfilled(container: Container, condition: Dependency["condition"]): string | undefined {
  const { service, state, startedAt, health, exitCode } = container;
  switch (condition) {
    case "service_started":
      return startedAt > 0 && state !== "created" ? undefined : `${service} to start`;
    case "service_healthy":
      // Without a healthcheck there is nothing to wait for but its start.
      if (container.spec.healthcheck === null) return startedAt > 0 ? undefined : `${service} to start`;
      return health === "healthy" ? undefined : `${service} to become healthy (now ${health ?? state})`;
    case "service_completed_successfully":
      if (state === "exited" && startedAt > 0 && exitCode === 0) return undefined;
      return `${service} to complete successfully${state === "exited" ? ` (it exited with ${exitCode})` : ""}`;
  }
}
