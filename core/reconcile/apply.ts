import { lockedMessage, serviceKey, parseContainerName } from "../model/names.ts";
import { describeDifference, differences, type Difference } from "../compose/differences.ts";
import type { EventSink } from "../events/events.ts";
import type { Cause, Event } from "../model/event.ts";
import type { Container, ContainerSpec } from "../model/container.ts";
import { whyShort } from "../model/disk.ts";
import { fingerprintOf } from "../model/fingerprint.ts";
import { findImage, keptImageName, type Credentials } from "../model/image.ts";
import type { App } from "../model/target.ts";
import { describeFailure, type Snapshots } from "../model/update.ts";
import type { FileContent } from "../model/service-file.ts";
import { snapshotName, toSnapshot } from "../model/snapshot.ts";
import { bareName, redact } from "../model/secrets.ts";
import { messageOf } from "../model/show.ts";
import { isTruthy } from "../model/truthy.ts";
import { EngineError } from "../ports/engine.ts";
import { isMissing, type Missing, type Ports } from "../ports/index.ts";
import type { CurrentState } from "./current.ts";
import type { Downloads } from "./downloads.ts";
import type { Memory } from "../state/memory.ts";
import type { Updates } from "../state/updates.ts";
import { toContainerNamespaces, toServiceNamespaces } from "../compose/namespaces.ts";
import type { Work } from "./step.ts";

/** The result of a step. An update lock of a service is not an error. */
export type Outcome =
  | { readonly is: "done" }
  /** `service`: the service that holds its lock, if it is known; `reason`: the lease, in words. */
  | { readonly is: "locked"; readonly message: string; readonly service?: string; readonly reason?: string };

const done: Outcome = { is: "done" };

/** A copy is not ended by another target: what has begun is undone in order. */
const never = new AbortController().signal;

type ApplierPorts = Pick<
  Ports,
  "engine" | "engineHost" | "folders" | "files" | "locks" | "handover" | "gateway" | "firewall" | "bootConfig" | "power"
>;

interface Parts {
  readonly memory: Memory;
  readonly downloads: Downloads;
  readonly events: EventSink;
  /** The application in the target state. */
  readonly targetOf: (appId: number) => App | undefined;
  readonly updates: Pick<Updates, "setRecord" | "setSnapshot" | "commit" | "forget">;
  /** The device's credentials for the image's registry, if it has any. */
  readonly credentialsFor: (image: string) => Credentials | undefined;
  /** The content of a file that the target state has. */
  readonly contentOf: (id: string) => FileContent | undefined;
  /** Called for an application that the device has left, when all its objects have been removed. */
  readonly forgetApplication: (appId: number) => Promise<void>;
  /** Stops the services and reboots, as the API does. */
  readonly reboot: () => Promise<Outcome | Missing>;
}

/** Applies steps. Only this class changes the device. Throws when the engine or the machine refuses. */
export class Applier {
  readonly #ports: ApplierPorts;
  readonly #parts: Parts;
  /** By `serviceKey`: why this run removed the service's container, until the service has a new one. */
  readonly #removed = new Map<string, Cause | undefined>();

  constructor(ports: ApplierPorts, parts: Parts) {
    this.#ports = ports;
    this.#parts = parts;
  }

  async apply(step: Work, current: CurrentState, force: boolean): Promise<Outcome> {
    const { engine, files, locks, handover, gateway, firewall, bootConfig } = this.#ports;
    const emit = (event: Event) => this.#parts.events.emit(event);
    switch (step.action) {
      case "fetch": {
        const { name } = step.image;
        const { appId, service: serviceName, imageId } = step;
        // Recorded before the download starts: if the target changes meanwhile, only an image with a record is removed.
        await this.#parts.memory.recordImages([{ name, appId, serviceName, imageId, dockerImageId: "" }]);
        const about = { name, appId, service: serviceName, commit: this.#parts.targetOf(appId)?.commit };
        emit({ kind: "imageDownloading", ...about });
        this.#parts.downloads.start({ ...step.image, fallback: this.#parts.credentialsFor(name) }, (failure) =>
          failure === undefined
            ? emit({ kind: "imageDownloaded", ...about })
            : emit({ kind: "imageDownloadFailed", ...about, reason: failure }),
        );
        return done;
      }
      case "removeImage":
        emit({ kind: "imageRemoving", name: step.name });
        if (await engine.removeImage(step.name)) await this.#parts.memory.forgetImage(step.name);
        else {
          this.#parts.memory.recordKeptImage(step.name);
          emit({ kind: "imageKept", name: step.name });
        }
        return done;
      case "createNetwork":
        emit({ kind: "networkCreating", name: bare(step.name), appId: appIdOf(step.spec.labels) });
        await engine.createNetwork(step.name, step.spec);
        return done;
      case "removeNetwork":
        emit({ kind: "networkRemoving", name: bare(step.name), reason: step.why, fields: fieldsOf(step.differences) });
        await engine.removeNetwork(step.id);
        return done;
      case "openGateway":
        if (!isMissing(gateway)) await gateway.open(step.address);
        return done;
      case "setBootConfig":
        if (isMissing(bootConfig)) return done;
        emit({ kind: "bootConfigApplying" });
        // Recorded before the write: a power failure in between then causes an extra reboot, not a missing one.
        await this.#requireReboot("the boot configuration");
        await bootConfig.write(step.settings);
        return done;
      case "refuseConfig": {
        const known = this.#parts.memory.refusedConfig;
        for (const sentence of step.refused)
          if (!known.includes(sentence)) emit({ kind: "configRefused", reason: sentence });
        this.#parts.memory.refusedConfig = step.refused;
        return done;
      }
      case "setFirewall":
        if (!isMissing(firewall)) await firewall.set(step.policy);
        return done;
      case "removeFile":
        // The target may have changed since the plan.
        if (!isMissing(files) && !this.#parts.contentOf(step.id)) await files.remove(step.id);
        return done;
      case "createVolume":
        emit({ kind: "volumeCreating", name: bare(step.name), appId: appIdOf(step.spec.labels) });
        await withoutValues({ environment: step.spec.driverOptions }, () => engine.createVolume(step.name, step.spec));
        return done;
      case "removeVolume":
        emit({ kind: "volumeRemoving", name: bare(step.name) });
        await engine.removeVolume(step.name);
        return done;
      case "announceRemoval":
        this.#parts.memory.recordAnnounced(step.volumes);
        emit({
          ...{ kind: "volumeRemovalAnnounced", appId: step.appId, name: step.name },
          volumes: step.volumes.map(bare),
        });
        return done;
      case "forgetApplication":
        await this.#parts.forgetApplication(step.appId);
        return done;
      case "takeLocks": {
        emit({ kind: "locksTaking", appId: step.appId });
        const { appId } = step;
        const lock = await locks.take(appId, step.services, { force });
        if (lock.taken) return done;
        const { by: service, why: reason } = lock;
        return { is: "locked", message: lockedMessage(appId, lock), service, ...(reason !== undefined && { reason }) };
      }
      case "releaseLocks":
        emit({ kind: "locksReleasing", appId: step.appId });
        await locks.release(step.appId);
        return done;
      case "kill":
        await this.kill(step.id, current, step.why, step);
        return done;
      case "stop":
        await this.stop(step.id, current, "target");
        // If the target says `running: true` again, the container must start again.
        this.#parts.memory.forgetSeen(step.id);
        return done;
      case "start":
        if (step.as) await this.#startPrepared(step, step.as, current);
        else await this.start(step.id, current, "exit");
        return done;
      case "install":
        await this.#install(step, current);
        return done;
      case "prepare":
        await this.#prepare(step, current);
        return done;
      case "discard":
        emit({ kind: "serviceDiscarding", ...refer(step.id, current) });
        await engine.removeContainer(step.id);
        return done;
      case "rename":
        await engine.renameContainer(step.id, step.name);
        return done;
      case "moveAside":
        emit({
          ...{ kind: "serviceHandingOver", ...refer(step.id, current), reason: step.why },
          ...{ cause: this.#causeOf(step, current), fields: fieldsOf(step.differences) },
        });
        await handover.clearTakeOver(step.appId, step.service);
        // If the machine restarts now, the engine must start only the successor.
        await engine.setRestartPolicy(step.id, { name: "no", retries: 0 });
        await engine.renameContainer(step.id, step.name);
        return done;
      case "takeBack":
        emit({ kind: "serviceTakenBack", ...refer(step.id, current) });
        // Renamed last: under its own name and without its restart policy, it would be replaced.
        await engine.setRestartPolicy(step.id, step.restart);
        await engine.renameContainer(step.id, step.name);
        this.#removed.delete(serviceKey(step.appId, step.service));
        return done;
      case "recordUpdate":
        await this.#recordUpdate(step);
        return done;
      case "commitUpdate":
        await this.#commitUpdate(step, current);
        return done;
      case "forgetUpdate":
        await this.#parts.updates.forget(step.appId);
        return done;
      case "snapshotVolume": {
        const { appId, volume, image } = step;
        emit({ kind: "snapshotMaking", name: bare(volume), appId });
        await engine.copyVolume(volume, toSnapshot(volume), image, never);
        await this.#parts.updates.setSnapshot(appId, volume, "made");
        return done;
      }
      case "restoreVolume": {
        const { appId, volume, spec, image } = step;
        emit({ kind: "snapshotRestoring", name: bare(volume), appId });
        await engine.copyVolume(snapshotName(volume), { name: volume, spec }, image, never);
        await this.#parts.updates.setSnapshot(appId, volume, undefined);
        return done;
      }
      case "dropSnapshot": {
        const { appId, volume, why: reason } = step;
        emit({ kind: "snapshotDropped", name: bare(volume), appId, reason });
        await this.#parts.updates.setSnapshot(appId, volume, undefined);
        return done;
      }
      case "removeSnapshot":
        emit({ kind: "snapshotRemoving", name: step.name });
        await engine.removeVolume(step.name);
        return done;
      case "reboot": {
        const outcome = await this.#parts.reboot();
        if (isMissing(outcome)) throw new Error(outcome.missing);
        return outcome;
      }
    }
  }

  async #recordUpdate({ appId, record }: Extract<Work, { readonly action: "recordUpdate" }>): Promise<void> {
    const { updates, events, targetOf } = this.#parts;
    if (record?.phase === "trying" && record.attempts === 1) {
      await this.#requireSpace(appId, record.snapshots);
      // What a service confirms from now on is about this update.
      for (const { name, gates } of targetOf(appId)?.services ?? [])
        if (gates?.confirm) await this.#ports.handover.clearConfirmation(appId, name);
    }
    await updates.setRecord(appId, record);
    if (!record || record.phase === "waiting") return;
    const { phase, commit } = record;
    if (phase === "trying") return events.emit({ kind: "updateBegun", appId, commit });
    const { service } = record.failure;
    const kinds = { paused: "updatePaused", back: "updateFailed", rejected: "updateRejected" } as const;
    events.emit({ kind: kinds[phase], appId, commit, service, reason: describeFailure(record.failure) });
  }

  /** Nothing is stopped for an update whose copies of volumes do not fit. A volume of an unknown size does not count. */
  async #requireSpace(appId: number, snapshots: Snapshots = {}): Promise<void> {
    const { engine, engineHost, locks } = this.#ports;
    const volumes = Object.keys(snapshots);
    const space = volumes.length === 0 || isMissing(engineHost) ? undefined : await engineHost.space();
    if (!space) return;
    const sizes = await Promise.all(volumes.map((name) => engine.volumeSize(name)));
    const why = whyShort(
      space,
      sizes.reduce<number>((sum, size = 0) => sum + size, 0),
    );
    if (why === undefined) return;
    // The services go on meanwhile.
    await locks.release(appId);
    throw new Error(`the copies of volumes before the update do not fit on the disk: ${why}`);
  }

  async #commitUpdate(
    { appId, commit, fingerprint, failure }: Extract<Work, { readonly action: "commitUpdate" }>,
    { images }: CurrentState,
  ): Promise<void> {
    const { updates, memory, events, targetOf } = this.#parts;
    const app = targetOf(appId);
    if (!app || fingerprintOf(app) !== fingerprint) return;
    const used = app.services.flatMap((service) => {
      const image = findImage(images, service.image.name);
      return image ? [{ service, id: image.id }] : [];
    });
    for (const { service, id } of used) {
      const { name: serviceName, image, imageId } = service;
      // A digest is always of the same image.
      if (image.name.includes("@") || images.find((one) => one.id === id)?.tags.includes(keptImageName(id))) continue;
      const record = {
        name: keptImageName(id),
        appId,
        serviceName,
        imageId,
        dockerImageId: id,
        releaseId: app.releaseId,
      };
      await memory.recordImages([record]);
      await this.#ports.engine.tagImage(id, record.name);
    }
    const ids = Object.fromEntries(used.map(({ service, id }) => [service.name, id]));
    await updates.commit(appId, { commit, fingerprint, images: ids });
    if (failure)
      events.emit({ kind: "updateKept", appId, commit, service: failure.service, reason: describeFailure(failure) });
    // A fleet without a release has no commit.
    else if (commit !== "") events.emit({ kind: "updateCommitted", appId, commit });
  }

  /** Stops and removes a container. `again`: this is a restart, so the container's spec is kept in memory. */
  async kill(id: string, current: CurrentState, why: string, options: KillOptions = {}): Promise<void> {
    const container = current.containers.find((one) => one.id === id);
    const cause = this.#causeOf({ ...options, id }, current);
    if (container && options.again) {
      const siblings = current.containers.filter(({ appId }) => appId === container.appId);
      this.#parts.memory.recordInterrupted(serviceKey(container.appId, container.service), {
        id,
        name: container.name,
        spec: toServiceNamespaces(container.spec, siblings),
      });
    }
    // If the removal fails after the stop, the container must not count as stopped on purpose.
    this.#parts.memory.forgetSeen(id);
    await this.#during("Stopping", id, current, async (about) => {
      const fields = fieldsOf(options.differences);
      this.#parts.events.emit({ kind: "serviceKilling", ...about, reason: why, cause, fields });
      await this.#ports.engine.stopContainer(id);
      this.#parts.events.emit({ kind: "serviceExited", ...about, cause });
      await this.#ports.engine.removeContainer(id);
      this.#parts.events.emit({ kind: "serviceKilled", ...about, cause });
    });
    if (container && cause !== "target") this.#removed.set(serviceKey(container.appId, container.service), cause);
  }

  async stop(id: string, current: CurrentState, cause: Cause = "request"): Promise<void> {
    await this.#during("Stopping", id, current, async (about) => {
      this.#parts.events.emit({ kind: "serviceStopping", ...about, cause });
      await this.#ports.engine.stopContainer(id);
      this.#parts.events.emit({ kind: "serviceExited", ...about, cause });
    });
  }

  async start(id: string, current: CurrentState, cause: Cause = "request"): Promise<void> {
    const container = find(id, current);
    await this.#during("Starting", id, current, async (about) => {
      this.#parts.events.emit({ kind: "serviceStarting", ...about, cause });
      // If a boot has emptied `/tmp`, the engine would create the folder itself, writable only for root.
      if (container) await this.#ports.folders.prepare(container.appId, container.service);
      await withoutValues(container?.spec, () => this.#ports.engine.startContainer(id));
      this.#parts.memory.markSeen(id);
      this.#parts.events.emit({ kind: "serviceStarted", ...about, cause });
    });
    if (container) await this.#parts.memory.setStopped(serviceKey(container.appId, container.service), false);
  }

  /** The log and the history tell of its installation when its predecessor is gone. */
  async #prepare(step: Extract<Work, { readonly action: "prepare" }>, current: CurrentState): Promise<void> {
    const { appId, service, name, spec } = step;
    const commit = parseContainerName(name, service)?.commit;
    this.#parts.events.emit({ kind: "servicePreparing", appId, service, commit, image: spec.image });
    const { id, wish } = await this.#create(step, current);
    await this.#compareWithWish(id, wish);
  }

  async #startPrepared(
    { id, service }: Pick<Start, "id" | "service">,
    { appId, name }: NonNullable<Start["as"]>,
    current: CurrentState,
  ): Promise<void> {
    await this.#ports.engine.renameContainer(id, name);
    const about = { ...refer(id, current), cause: this.#causeOfNew(appId, service, name) };
    this.#removed.delete(serviceKey(appId, service));
    this.#parts.events.emit({ kind: "serviceInstalling", ...about });
    this.#parts.events.emit({ kind: "serviceInstalled", ...about });
    await this.start(id, current, about.cause);
  }

  /** Why a service gets a new container. */
  #causeOfNew(appId: number, service: string, name: string): Cause {
    const commit = parseContainerName(name, service)?.commit;
    const isOfRelease = commit !== undefined && commit !== this.#parts.memory.commitOf(appId);
    return this.#removed.get(serviceKey(appId, service)) ?? (isOfRelease ? "release" : "missing");
  }

  async #create(
    { appId, service, name, spec }: Omit<Extract<Work, { readonly action: "prepare" }>, "action">,
    current: CurrentState,
  ): Promise<{ readonly id: string; readonly wish: ContainerSpec }> {
    const { engine, folders } = this.#ports;
    await folders.prepare(appId, service);
    await this.#writeFiles(spec);
    // Recorded before the container is created, so that a crash in between cannot lose it.
    if (isTruthy(spec.labels[rebootLabel])) await this.#requireReboot(`service '${service} ${spec.image}'`);
    const wish = toContainerNamespaces(spec, appId, current.containers);
    return { id: await withoutValues(wish, () => engine.createContainer(name, wish)), wish };
  }

  async #install(step: Extract<Work, { readonly action: "install" }>, current: CurrentState): Promise<void> {
    const { engine } = this.#ports;
    const { appId, service, name, spec } = step;
    const key = serviceKey(appId, service);
    const commit = parseContainerName(name, service)?.commit;
    const cause = this.#causeOfNew(appId, service, name);
    const about = { appId, service, commit, image: spec.image, cause };
    try {
      this.#parts.memory.setActivity(key, "Installing");
      this.#parts.events.emit({ kind: "serviceInstalling", ...about });
      const { id, wish } = await this.#create(step, current);
      this.#removed.delete(key);
      this.#parts.events.emit({ kind: "serviceInstalled", ...about });
      const compared = this.#compareWithWish(id, wish);
      try {
        if (!step.start) return;
        this.#parts.memory.setActivity(key, "Starting");
        this.#parts.events.emit({ kind: "serviceStarting", ...about });
        await withoutValues(wish, () => engine.startContainer(id));
        this.#parts.memory.markSeen(id);
        await this.#parts.memory.setStopped(key, false);
        this.#parts.events.emit({ kind: "serviceStarted", ...about });
      } finally {
        await compared;
      }
    } finally {
      this.#parts.memory.setActivity(key, undefined);
    }
  }

  /** Writes the configs and secrets that the container will mount. */
  async #writeFiles({ mounts }: ContainerSpec): Promise<void> {
    const { files } = this.#ports;
    for (const { source } of mounts) {
      const id = source.slice(source.lastIndexOf("/") + 1);
      const content = this.#parts.contentOf(id);
      if (!content) continue;
      if (isMissing(files)) throw new Error(files.missing);
      await files.write(id, content);
    }
  }

  async #requireReboot(what: string): Promise<void> {
    const { power } = this.#ports;
    if (isMissing(power)) return this.#parts.events.emit({ kind: "rebootImpossible", reason: what });
    await power.requireReboot();
    this.#parts.events.emit({ kind: "rebootRequired", reason: what });
  }

  /**
   * An engine may create a container that differs from the request, for example on a kernel without swap accounting or
   * with other daemon defaults. A new container would differ again, so the difference is logged once and tolerated.
   */
  async #compareWithWish(id: string, wish: ContainerSpec): Promise<void> {
    // If the engine does not answer now, the next round finds the difference and replaces the container once.
    const { containers } = await this.#ports.engine.look({ fresh: false }).catch(() => ({ containers: [] }));
    const made = containers.find((container) => container.id === id);
    if (!made) return;
    const found = differences(made.spec, wish);
    for (const difference of found)
      this.#parts.events.emit({
        ...{ kind: "containerAltered", appId: made.appId, service: made.service },
        ...{ reason: describeDifference(difference), fields: fieldsOf([difference]) },
      });
    await this.#parts.memory.tolerate(id, found, new Set(containers.map((container) => container.id)));
  }

  async #during(word: string, id: string, current: CurrentState, act: (about: About) => Promise<void>): Promise<void> {
    const container = find(id, current);
    const key = container && serviceKey(container.appId, container.service);
    try {
      if (key) this.#parts.memory.setActivity(key, word);
      await act(refer(id, current));
    } finally {
      if (key) this.#parts.memory.setActivity(key, undefined);
    }
  }

  /** Why a container is removed. */
  #causeOf({ id, again, differences: found }: KillOptions & { readonly id: string }, current: CurrentState) {
    const { appId, commit } = refer(id, current);
    if (again) return "request";
    const wanted = appId === undefined ? undefined : this.#parts.targetOf(appId)?.commit;
    if (commit && wanted && commit !== wanted) return "release";
    if (!found) return "target";
    return found.every(({ field }) => field.startsWith("environment.")) ? "variables" : "definition";
  }
}

interface KillOptions {
  /** The container is restarted: it is created again. */
  readonly again?: boolean;
  readonly differences?: readonly Difference[];
}

type Start = Extract<Work, { readonly action: "start" }>;

type About = ReturnType<typeof refer>;

const find = (id: string, { containers, prepared }: CurrentState): Container | undefined =>
  [...containers, ...prepared].find((one) => one.id === id);

/** The service and release of a container; only the id if the container is not known. */
function refer(id: string, current: CurrentState) {
  const container = find(id, current);
  if (!container) return { container: id };
  const { appId, service, name, spec } = container;
  return { appId, service, image: spec.image, commit: parseContainerName(name, service)?.commit };
}

/** The names of the fields that differ, shortened: some users write a variable's value into its name. */
const fieldsOf = (found: readonly Difference[] | undefined) => found?.map(({ field }) => bareName(field));

function appIdOf(labels: Readonly<Record<string, string>>): number | undefined {
  const appId = Number(labels["io.balena.app-id"]);
  return Number.isSafeInteger(appId) ? appId : undefined;
}

/**
 * Rethrows errors of `act` without the values of the container's variables. An engine quotes what it refuses: "invalid
 * environment variable: TOKEN=…". The engine's error is not set as `cause`, since a logger would print its values.
 */
async function withoutValues<T>(
  spec: Pick<ContainerSpec, "environment"> | undefined,
  act: () => Promise<T>,
): Promise<T> {
  try {
    return await act();
  } catch (error) {
    const message = redact(messageOf(error), spec);
    throw error instanceof EngineError ? new EngineError(message, error.status) : new Error(message);
  }
}

/** An update with this label is complete only after a reboot. Source: the labels' documentation. */
const rebootLabel = "io.balena.update.requires-reboot";

/** The composition's name of a network or volume: the engine's name without the application's prefix. */
const bare = (name: string): string => name.replace(/^[^_]+_/, "");
