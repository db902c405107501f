import { differences } from "../../core/compose/differences.ts";
import { toContainerSpec } from "../../core/compose/container-spec.ts";
import { EmbeddedEngine } from "../../core/embedded/engine.ts";
import { memoryIdentity } from "../../core/embedded/device.ts";
import { MemoryRequestJournal } from "../../core/embedded/request-journal.ts";
import {
  MemoryEventJournal,
  MemoryFiles,
  MemoryFirewall,
  MemoryFolders,
  MemoryGateway,
  MemoryLog,
  MemoryPower,
  MemoryStore,
  memoryMetrics,
  memorySystem,
} from "../../core/embedded/ports.ts";
import { rejectionOf } from "../../core/model/fingerprint.ts";
import { findImage, isKeptImageName, keptImageName, type Layer } from "../../core/model/image.ts";
import { isHandingOver, isPrepared, networkName, volumeName } from "../../core/model/names.ts";
import { prerequisites } from "../../core/compose/target-checks.ts";
import type { App, Service, TargetState } from "../../core/model/target.ts";
import { isSettled } from "../../core/reconcile/plan.ts";
import { toServiceNamespaces } from "../../core/compose/namespaces.ts";
import type { Engine } from "../../core/ports/engine.ts";
import type { Registry } from "../../core/ports/registry.ts";
import type { View } from "../../core/reconcile/view.ts";
import { boundEngine } from "../support/bound-engine.ts";
import { createSupervisor, type Assembly } from "../../core/supervisor.ts";
import { Chance, SimClock } from "./clock.ts";
import { Hostile, type Hostility } from "./hostile.ts";
import { Programs } from "./programs.ts";
import { UpdatePromises } from "./promises.ts";
import { quirky, type Quirk } from "./quirks.ts";
import { toCloudBody, toLocalBody, type Wish } from "./wishes.ts";

/** A lease, as its owner knows it. */
interface Given {
  readonly appId: number;
  /** Until then it holds, unless somebody forces. After a crash of the agent it may hold longer. */
  readonly until: number;
}

const megabyte = 1_000_000;

/** Versions of an image have one layer in common, and another one of their own. */
const layersOf = (name: string): readonly Layer[] =>
  [name.replace(/:.*/, ""), name].map((diffId) => ({ diffId, bytes: 40 * megabyte }));

const missing = { missing: "not in a simulation" };
const uuid = memoryIdentity.uuid ?? "";

/** A device in a hostile world: what survives a crash is here, and every promise is watched. */
export class World {
  readonly chance: Chance;
  readonly clock: SimClock;
  readonly engine: EmbeddedEngine;
  /** Large enough for what runs, but not for every update beside it. A device without a cloud has as much as it needs. */
  readonly disk: { bytes: number };
  folders = new MemoryFolders();
  readonly log = new MemoryLog();
  readonly power = new MemoryPower();
  readonly managed: boolean;
  /** Releases are committed: the device has a cloud, or its target asks for it. */
  readonly isSafe: boolean;
  readonly promises: UpdatePromises;
  /** Counts the runs of the agent. */
  run = 0;
  /** Whether programs fail, releases have words about their updates, and people decide about them. */
  readonly troubled: boolean;
  readonly programs: Programs;
  /** What happened, in words; one seed makes one story. */
  readonly story: string[] = [];
  /** Promises that were broken. */
  readonly broken: string[] = [];
  supervisor: Assembly | undefined;
  hostile: Hostile | undefined;
  /** Applications for which somebody has overridden the locks. */
  readonly forced = new Set<number>();
  /** The same, since the agent started: something of it may still be under way. */
  readonly forcedInThisRun = new Set<number>();
  /** Applications whose update somebody has forced, until it is reached: no lock holds it up. */
  readonly forcedUpdates = new Set<number>();
  /** Restarts and purges under way, by application: they have a force of their own. */
  readonly recreations: number[] = [];
  /** Applications that somebody restarts, purges, or takes down with the machine. */
  readonly disturbed = new Set<number>();
  readonly purging = new Set<number>();
  /** Containers that people have stopped, and that stay so. */
  readonly leftAlone = new Set<string>();
  /** Leases that somebody was given, by id. */
  readonly leases = new Map<string, Given>();
  readonly #eventJournal = new MemoryEventJournal();
  readonly #files = new MemoryFiles();
  /** Names of images that the agent has fetched. */
  readonly fetched = new Set<string>();
  readonly #startedAt: number;
  #targetSince = 0;
  #viewed: View | undefined;
  #kindSince = -Infinity;
  /** What the engine reads back in another way than it was told. */
  readonly #quirks: readonly Quirk[];
  /** When what was done to what, since anybody last asked for anything, or did something himself. */
  readonly #acts = new Map<string, number[]>();

  constructor(seed: number, quirks: readonly Quirk[] = [], troubled = false) {
    this.troubled = troubled;
    this.#quirks = quirks;
    this.chance = new Chance(seed);
    this.clock = new SimClock(this.chance);
    this.managed = this.chance.happens(0.5);
    this.isSafe = this.managed || this.chance.happens(0.4);
    this.#startedAt = this.clock.monotonic();
    // In local mode, nothing comes back from a release that does not work.
    this.programs = new Programs(new Chance(seed), troubled && this.isSafe);
    this.disk = { bytes: 700 * megabyte + this.chance.below(2_000 * megabyte) };
    this.engine = new EmbeddedEngine({
      clock: this.clock,
      ...(this.managed && { disk: Object.assign(this.disk, { layers: layersOf }) }),
      pullMs: 2000,
      stopMs: 300,
      restartMs: 30_000,
      program: (container, volume) => {
        this.promises.starts(container);
        return this.programs.of(container, () => this.engine, this.clock, volume);
      },
    });
    this.promises = new UpdatePromises(this, new MemoryStore());
  }

  /** Starts a run of the agent; one that cannot start is started again, as a service manager would. */
  async boot(hostility: Hostility): Promise<void> {
    const hostile = new Hostile(this.clock, this.chance, hostility);
    this.run++;
    this.promises.restarted();
    this.hostile = hostile;
    this.supervisor = undefined;
    this.folders = this.folders.restarted();
    const ports = {
      clock: hostile.clock(),
      engineHost: this.engine.host,
      registry: this.#slow(this.engine.registry),
      engine: hostile.engine(quirky(this.#watched(this.engine), this.#quirks, () => this.clock.monotonic())),
      ...hostile.folders(this.folders),
      store: hostile.store(this.promises.store()),
      eventJournal: this.#eventJournal,
      requestJournal: new MemoryRequestJournal(),
      files: this.#files,
      log: this.log,
      system: { ...memorySystem, bootedAt: () => this.#startedAt },
      metrics: memoryMetrics,
      gateway: new MemoryGateway(),
      power: this.power,
      hostname: missing,
      proxy: missing,
      firewall: new MemoryFirewall(),
      bootConfig: missing,
      journal: missing,
      probe: this.engine.probe,
      led: missing,
      tunnel: missing,
    };
    const identity = { ...memoryIdentity, cloudUrl: this.managed ? "https://cloud.example" : "" };
    for (let tries = 0; this.supervisor === undefined && tries < 100; tries++) {
      const made = await createSupervisor(ports, identity).catch((error: unknown) =>
        this.tell(`no start: ${String(error)}`),
      );
      if (hostile.dead) return;
      if (made) this.supervisor = made;
      else await this.clock.sleep(1000);
    }
    this.supervisor?.start();
  }

  /** Lets time pass until something has ended, but not for ever: some things never do. */
  async elapse(something: Promise<unknown> | unknown, limitMs = 5000): Promise<void> {
    let ended = false;
    const end = () => void (ended = true);
    Promise.resolve(something).then(end, end);
    const until = this.clock.monotonic() + limitMs;
    do await this.#advance(50);
    while (!ended && this.clock.monotonic() < until);
  }

  /** Lets time pass, with an eye on what must hold at any time. */
  async watch(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 50) await this.#advance(Math.min(left, 50));
  }

  async #advance(ms: number): Promise<void> {
    await this.clock.advance(ms);
    const { loop, targets } = this.supervisor ?? {};
    if (loop?.view && loop.view !== this.#viewed) {
      this.#viewed = loop.view;
      this.promises.viewed(loop.view);
    }
    for (const appId of this.forcedUpdates) {
      if (this.recreations.includes(appId)) continue;
      const failure = loop?.failureOf(appId);
      if (failure?.is === "locked") this.breaks(`Obeys force: the forced update of ${appId} waits: ${failure.message}`);
      const view = loop?.view;
      const isReached =
        view?.target === targets?.current() && !view?.temporary.has(appId) && isSettled(view?.plan.get(appId));
      if (failure?.is === "locked" || isReached) this.forcedUpdates.delete(appId);
    }
  }

  crash(): void {
    this.tell("crash");
    if (this.hostile) this.hostile.dead = true;
    this.supervisor?.stop();
    this.forcedUpdates.clear();
    this.forcedInThisRun.clear();
    this.recreations.length = 0;
    this.disturbed.clear();
    this.purging.clear();
  }

  /** Something happens that the agent did not begin. */
  deed(): void {
    this.#acts.clear();
  }

  /** The same again and again is in vain, and is to be slowed down: 1, 2, 4, 8 seconds make 4 times in 10 seconds. */
  #act(what: string): void {
    const now = this.clock.monotonic();
    const times = [...(this.#acts.get(what) ?? []), now].filter((at) => now - at < 10_000);
    this.#acts.set(what, times);
    if (times.length === 8) this.breaks(`Slows down what is in vain: ${what} 8 times in 10 seconds`);
  }

  readonly breaks = (what: string): void => {
    this.tell(`BROKEN ${what}`);
    this.broken.push(what);
  };

  tell(what: string): void {
    this.story.push(`${this.clock.monotonic() - this.#startedAt} ${what}`);
  }

  get target(): TargetState {
    return this.supervisor?.targets.current() ?? { name: "", config: {}, apps: [] };
  }

  /** What the device is to be brought to: of an application whose update has failed, or waits, the committed release. */
  get wanted(): TargetState {
    const { target, supervisor } = this;
    const updates = supervisor?.view().current.updates;
    const apps = target.apps.map((app) => {
      const { committed, record } = updates?.get(app.appId) ?? {};
      const isHeld = record?.phase === "back" || record?.phase === "waiting" || rejectionOf(app, record);
      return committed && isHeld ? committed.app : app;
    });
    return { ...target, apps };
  }

  async setTarget(wish: Wish, force: boolean): Promise<void> {
    const { supervisor } = this;
    if (!supervisor) return;
    const before = new Set([...this.forced]);
    this.tell(`target ${JSON.stringify(wish)}${force ? " forced" : ""}`);
    // The forced update may have been reached since the last look, or is until the target is stored.
    this.forcedUpdates.clear();
    if (force) for (const { appId } of [...wish.apps, ...this.target.apps]) this.force(appId);
    try {
      const parsed = this.managed
        ? await supervisor.targets.setCloud(toCloudBody(wish, uuid))
        : await supervisor.targets.setLocal(toLocalBody(wish, this.isSafe));
      if (!parsed.ok) throw new Error(parsed.faults.join("\n"));
    } catch (error) {
      // The disk refused: the old target stands.
      for (const appId of this.forced) if (!before.has(appId)) this.forced.delete(appId);
      this.tell(`target refused: ${String(error)}`);
      return;
    }
    this.#targetSince = this.clock.monotonic();
    this.promises.wanted(this.target);
    this.retry({ force });
  }

  /** Other programs come and go. They never use up what is kept in reserve. */
  useDisk(): void {
    this.engine.otherBytes = this.chance.below(150 * megabyte);
    this.tell(`others use ${this.engine.otherBytes} bytes of the disk`);
  }

  /** The time of the machine jumps. */
  setClock(ms: number): void {
    this.tell(`the clock is set ${ms < 0 ? "back" : "forward"} by ten years`);
    this.clock.jump(ms);
  }

  #slow(registry: Registry): Registry {
    return {
      manifest: async (...asked) => {
        await this.clock.sleep(this.chance.below(4_000));
        return registry.manifest(...asked);
      },
    };
  }

  force(appId: number): void {
    this.forced.add(appId);
    this.forcedInThisRun.add(appId);
    // Its leases end with it, sooner or later.
    for (const [id, lease] of this.leases) if (lease.appId === appId) this.leases.delete(id);
  }

  /** Also the applications that have left the target, and whose containers wait for a lease. */
  forceAll(): void {
    for (const { appId } of [...this.target.apps, ...this.leases.values()]) this.force(appId);
  }

  /** What was decided for the target before may be on its way to the engine still. */
  get isSettledOn(): boolean {
    return this.clock.monotonic() - this.#targetSince > 1000;
  }

  get isHonest(): boolean {
    return this.#quirks.length === 0;
  }

  /** How old an observation may be that the agent acts upon. */
  get slackMs(): number {
    const isDelayed = this.hostile?.hostility.delays || this.clock.monotonic() - this.#kindSince < 10_000;
    return isDelayed ? 4000 : 0;
  }

  /** Nothing fails any more, and no call takes its time but those that are under way. */
  becomeKind(): void {
    if (this.hostile) Object.assign(this.hostile.hostility, { faults: 0, delays: 0 });
    this.#kindSince = this.clock.monotonic();
  }

  /** Somebody wants what is wanted to be tried again at once. */
  retry(options: { force: boolean; cancel?: boolean }): void {
    if (options.force) this.forceAll();
    for (const { appId } of this.target.apps)
      if (options.force) this.forcedUpdates.add(appId);
      else this.forcedUpdates.delete(appId);
    this.supervisor?.loop.retry(options);
  }

  /** What the agent does to the engine, with the promises that it must keep. */
  #watched(engine: Engine): Engine {
    const find = async (id: string) => (await engine.look({ fresh: true })).containers.find((one) => one.id === id);
    const breaks = (what: string) => this.breaks(what);
    return {
      ...boundEngine(engine),
      look: async (options) => {
        const state = await engine.look(options);
        this.promises.looked(state);
        return state;
      },
      tagImage: async (id, name) => {
        this.promises.tags(name);
        await engine.tagImage(id, name);
      },
      copyVolume: async (from, to, image, signal) => {
        this.tell(`copy volume ${from} to ${to.name}`);
        this.promises.copies([from, to.name], await engine.look({ fresh: true }));
        await engine.copyVolume(from, to, image, signal);
      },
      stopContainer: async (id) => {
        const container = await find(id);
        if (container?.state === "running") {
          const { appId, service } = container;
          this.tell(`stop ${appId}/${service}`);
          const state = await engine.look({ fresh: true });
          await this.promises.stops(container, state);
          const locked = state.containers.filter(
            (one) => one.appId === appId && !isPrepared(one) && this.folders.isLocked(appId, one.service),
          );
          const leases = [...this.leases].filter(
            ([, one]) => one.appId === appId && one.until > this.clock.monotonic(),
          );
          const isForced = this.forcedInThisRun.has(appId);
          if (leases.length > 0 && !isForced) breaks(`Respects leases: ${appId}/${service} stops under a lease`);
          // Force has ended them.
          if (isForced) for (const [id] of leases) this.leases.delete(id);
          if (locked.length > 0 && !this.forced.has(appId))
            breaks(`Respects locks: ${appId}/${service} stops under the lock of ${locked[0]?.service}`);
          const app = this.target.apps.find((one) => one.appId === appId);
          // The release may ask for another way if the disk is short.
          const careful =
            app?.update?.onDiskShort !== "delete-then-download" &&
            app?.services.every(({ strategy }) => strategy === "download-then-kill" || strategy === "hand-over");
          const absent = app?.services.find(({ image }) => !findImage(state.images, image.name));
          // Other stops are repairs of the committed release, which goes on until the update begins, and returns if it fails.
          const updates = this.supervisor?.updates;
          const isOfUpdate = !updates?.committedOf(appId) || updates.recordOf(appId)?.phase === "trying";
          if (careful && absent && this.isSettledOn && isOfUpdate && !this.disturbed.has(appId))
            breaks(`Keeps serving: ${appId}/${service} stops before ${absent.image.name} is here`);
        }
        await engine.stopContainer(id);
      },
      pull: async (image, onProgress, signal) => {
        this.#act(`pull ${image.name}`);
        try {
          await engine.pull(image, onProgress, signal);
        } finally {
          if (this.engine.leastFree <= 0) breaks(`Never fills the disk: the pull of ${image.name}`);
        }
        this.fetched.add(image.name);
      },
      createContainer: async (name, spec) => {
        this.tell(`create ${name}`);
        this.#act(`create ${name}`);
        const { containers } = await engine.look({ fresh: true });
        if (containers.some((one) => one.name === name)) breaks(`Acts on what it sees: ${name} is made twice`);
        return engine.createContainer(name, spec);
      },
      renameContainer: async (id, name) => {
        const { containers } = await engine.look({ fresh: true });
        const before = containers.find((one) => one.id === id)?.name;
        this.#act(`rename ${before} to ${name}`);
        this.tell(`rename ${before} to ${name}`);
        await engine.renameContainer(id, name);
      },
      createNetwork: async (name, spec) => {
        this.#act(`create network ${name}`);
        const { networks } = await engine.look({ fresh: true });
        if (networks.some((one) => one.name === name)) breaks(`Acts on what it sees: network ${name} is made twice`);
        await engine.createNetwork(name, spec);
      },
      removeContainer: async (id) => {
        this.tell(`remove ${(await find(id))?.name ?? "nothing"}`);
        await engine.removeContainer(id);
      },
      removeImage: async (name) => {
        const before = await engine.look({ fresh: true });
        const { containers, images } = before;
        const image = findImage(images, name);
        this.tell(`remove image ${name}`);
        this.#act(`remove image ${name}`);
        const removed = await engine.removeImage(name);
        const now = await engine.look({ fresh: true });
        this.promises.removedImage(name, before, now);
        const hasName = now.images.some(
          ({ id, tags, digests }) => id === image?.id && tags.length + digests.length > 0,
        );
        if (image && !hasName && containers.some(({ spec }) => spec.image === image.id))
          breaks(`Keeps what is used: image ${name}`);
        return removed;
      },
      removeVolume: async (name) => {
        const appId = Number(name.split("_")[0]);
        this.tell(`remove volume ${name}`);
        const isLeft =
          name.startsWith("before_") || (this.managed && !this.target.apps.some((app) => app.appId === appId));
        if (!this.purging.has(appId) && !isLeft) breaks(`Keeps what is used: volume ${name}`);
        await engine.removeVolume(name);
      },
    };
  }

  /** The services that cannot come up because of what people have stopped: until they can, what was there before goes on. */
  async heldUp(): Promise<ReadonlySet<string>> {
    const { containers } = await this.engine.look();
    const of = (app: App, name: string) => containers.filter((one) => one.appId === app.appId && one.service === name);
    const isStopped = (app: App, name: string) => of(app, name).some(({ id }) => this.leftAlone.has(id));
    const isBlocked = (service: Service, app: App): boolean =>
      prerequisites(service, app).some((name) => {
        const other = app.services.find((one) => one.name === name);
        if (!other) return false;
        const isBroken = this.programs.isBroken(name, other.image.name);
        return !other.running || isBroken || isStopped(app, name) || isBlocked(other, app);
      });
    return new Set(
      this.wanted.apps.flatMap((app) =>
        app.services
          .filter((service) => {
            // A predecessor serves until its successor has taken over.
            const isWaiting = isStopped(app, service.name) || this.programs.isBroken(service.name, service.image.name);
            return isBlocked(service, app) || (of(app, service.name).some(isHandingOver) && isWaiting);
          })
          .map(({ name }) => `${app.appId}/${name}`),
      ),
    );
  }

  /** What still differs from the target state, in words; empty: converged. */
  async differences(): Promise<string[]> {
    const { supervisor } = this;
    if (!supervisor) return ["no agent"];
    const { containers, images, networks, volumes } = await this.engine.look();
    const found: string[] = [];
    const expected = new Set<string>();
    const heldUp = await this.heldUp();
    for (const app of this.wanted.apps) {
      const siblings = containers.filter(({ appId }) => appId === app.appId);
      for (const service of app.services) {
        const name = `${app.appId}/${service.name}`;
        const own = siblings.filter((one) => one.service === service.name);
        const [container, ...others] = own;
        if (heldUp.has(name)) {
          for (const { id } of own) expected.add(id);
          continue;
        }
        const image = findImage(images, service.image.name);
        if (!container || !image) found.push(`${name} has no ${container ? "image" : "container"}`);
        if (others.length > 0) found.push(`${name} has ${own.length} containers`);
        if (!container || !image) continue;
        expected.add(container.id);
        if (isHandingOver(container)) found.push(`${name} is still handing over`);
        const key = supervisor.keys.of(app.appId, service.name) ?? "";
        const device = { ...supervisor.identity, name: this.target.name };
        const spec = toContainerSpec(
          service,
          app,
          device,
          { id: image.id, config: await this.engine.imageConfig(image.id) },
          key,
        );
        for (const { field } of differences(toServiceNamespaces(container.spec, siblings), spec))
          found.push(`${name} differs in ${field}`);
        const mayRest =
          !service.running ||
          service.name === "job" ||
          this.leftAlone.has(container.id) ||
          this.programs.isBroken(service.name, service.image.name);
        if (container.state !== "running" && !mayRest) found.push(`${name} is ${container.state}`);
        if (container.state === "running" && !service.running) found.push(`${name} runs`);
      }
      for (const one of Object.keys(app.networks))
        if (!networks.some(({ name }) => name === networkName(app.uuid, one))) found.push(`network ${one} is missing`);
      for (const one of Object.keys(app.volumes))
        if (!volumes.some(({ name }) => name === volumeName(app.appId, one))) found.push(`volume ${one} is missing`);
    }
    for (const { id, name } of containers) if (!expected.has(id)) found.push(`${name} is left over`);
    const wanted = new Set(
      this.wanted.apps.flatMap((app) => Object.keys(app.networks).map((one) => networkName(app.uuid, one))),
    );
    for (const { name } of networks)
      if (name !== "supervisor0" && !wanted.has(name)) found.push(`network ${name} is left over`);
    const mounted = new Set(containers.flatMap(({ spec }) => spec.mounts.map(({ source }) => source)));
    // A release that can be returned to keeps what it needs.
    const committed = [...supervisor.view().current.updates.values()].flatMap((facts) => facts.committed?.app ?? []);
    const kept = [...this.wanted.apps, ...this.target.apps, ...committed];
    const used = new Set(kept.flatMap(({ files = {} }) => Object.keys(files)));
    for (const id of this.#files.stored())
      if (!used.has(id) && !mounted.has(`${this.#files.root}/${id}`)) found.push(`file ${id} is left over`);
    for (const id of used)
      if (mounted.has(`${this.#files.root}/${id}`) && !this.#files.stored().has(id))
        found.push(`file ${id} is missing`);
    for (const appId of this.folders.held().keys()) found.push(`the locks of ${appId} are still held`);
    for (const { appId } of supervisor.leases.list()) found.push(`a lease of ${appId} has not ended`);
    if (this.managed && found.length === 0) {
      const usedImages = new Set(kept.flatMap((app) => app.services.map(({ image }) => image.name)));
      const secondNames = new Set([...usedImages].map((name) => keptImageName(findImage(images, name)?.id ?? "")));
      for (const { id, tags } of images)
        for (const tag of containers.some(({ spec }) => spec.image === id) ? [] : tags)
          if (isKeptImageName(tag) ? !secondNames.has(tag) : this.fetched.has(tag) && !usedImages.has(tag))
            found.push(`image ${tag} is left over`);
    }
    return found;
  }

  /** A service takes a lease. It knows of the lease only when it has the answer. */
  async takeLease(appId: number, service: string | undefined, seconds: number): Promise<void> {
    const { supervisor } = this;
    const ttlMs = seconds * 1000;
    const services = service === undefined ? ["a", "b", "c"] : [service];
    const wanted = { appId, service, services, owner: service ?? "cloud", reason: "a test", ttlMs };
    const askedAt = this.clock.monotonic();
    const taken = await supervisor?.leases
      .create(wanted)
      .catch((error: unknown) => this.tell(`no lease: ${String(error)}`));
    if (taken?.is !== "leased" || supervisor !== this.supervisor) return;
    this.tell(`lease of ${appId}/${service ?? "all"} for ${seconds} s`);
    this.leases.set(taken.lease.id, { appId, until: askedAt + ttlMs });
  }

  /** Undefined: the lease is released. */
  async renewOrEndLease(seconds: number | undefined): Promise<void> {
    const [id = "", given] = [...this.leases].at(-1) ?? [];
    const { supervisor } = this;
    if (!given || !supervisor) return;
    if (seconds === undefined) {
      this.tell(`release a lease of ${given.appId}`);
      this.leases.delete(id);
      await supervisor.leases.end(id);
      return;
    }
    // Between the two it may have the old end or the new one.
    this.leases.delete(id);
    const askedAt = this.clock.monotonic();
    const renewed = await supervisor.leases
      .renew(id, seconds * 1000)
      .catch((error: unknown) => this.tell(`not renewed: ${String(error)}`));
    if (!renewed || supervisor !== this.supervisor) return;
    this.tell(`renewed a lease of ${given.appId} for ${seconds} s`);
    this.leases.set(id, { ...given, until: askedAt + seconds * 1000 });
  }

  /** People let go of their locks. */
  unlockAll(): void {
    for (const app of [1, 2]) for (const one of ["a", "b", "c", "job"]) this.folders.unlock(app, one);
  }
}
