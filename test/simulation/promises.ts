import { appsReport } from "../../core/apps-report.ts";
import { toContainerSpec } from "../../core/compose/container-spec.ts";
import { differences } from "../../core/compose/differences.ts";
import { namespaceServices, toServiceNamespaces } from "../../core/compose/namespaces.ts";
import type { EmbeddedEngine, VolumeFiles } from "../../core/embedded/engine.ts";
import { isActive, type Container } from "../../core/model/container.ts";
import { fingerprintOf } from "../../core/model/fingerprint.ts";
import { findImage, keptImageName } from "../../core/model/image.ts";
import { isHandingOver, isPrepared } from "../../core/model/names.ts";
import type { App, Service, TargetState } from "../../core/model/target.ts";
import type { UpdateRecord, Window } from "../../core/model/update.ts";
import type { EngineState } from "../../core/ports/engine.ts";
import type { Store } from "../../core/ports/store.ts";
import { deadlineOf } from "../../core/reconcile/judge-gates.ts";
import { planApplication } from "../../core/reconcile/plan-application.ts";
import { wantedImagesOf } from "../../core/reconcile/plan.ts";
import type { Step } from "../../core/reconcile/step.ts";
import { updateStatus } from "../../core/reconcile/status.ts";
import { nextOpening } from "../../core/reconcile/update-policy.ts";
import type { View } from "../../core/reconcile/view.ts";
import { Documents, type CommittedRelease } from "../../core/state/documents.ts";
import type { Assembly } from "../../core/supervisor.ts";
import type { SimClock } from "./clock.ts";
import type { Programs } from "./programs.ts";

/** What the promises must know of the world. */
interface Watched {
  readonly clock: SimClock;
  readonly engine: EmbeddedEngine;
  readonly programs: Programs;
  readonly target: TargetState;
  readonly supervisor: Assembly | undefined;
  /** The number of this run of the agent. */
  readonly run: number;
  /** Releases are committed. */
  readonly isSafe: boolean;
  /** The engine reads back what it was told. */
  readonly isHonest: boolean;
  /** What was decided for the target before may be on its way still. */
  readonly isSettledOn: boolean;
  /** How old an observation may be that the agent acts upon. */
  readonly slackMs: number;
  /** Somebody restarts or purges the application, or takes the machine down. */
  readonly disturbed: ReadonlySet<number>;
  readonly forcedInThisRun: ReadonlySet<number>;
  readonly breaks: (what: string) => void;
}

/** A container as the agent saw it, and what was true of it then. */
interface Seen {
  readonly container: Container;
  readonly upMs: number;
  readonly healthyMs: number | undefined;
}

/** What the store changed about one application. */
interface Written {
  readonly from: UpdateRecord | undefined;
  readonly to: UpdateRecord | undefined;
  readonly before: CommittedRelease | undefined;
  readonly release: CommittedRelease | undefined;
  readonly looks: readonly Look[];
}

interface Look {
  readonly at: number;
  readonly seen: readonly Seen[];
}

/** The time from a decision to the write that follows from it, if each call takes its time. */
const decisionMs = 15_000;
const mostAttempts = 3;

/** The promises about updates. Each is judged by what is stored, by what the engine is told, and by what programs do. */
export class UpdatePromises {
  readonly #world: Watched;
  readonly #store: Store;
  readonly #documents: Documents;
  #records: Readonly<Record<string, UpdateRecord | undefined>> = {};
  #committed: Readonly<Record<string, CommittedRelease | undefined>> = {};
  /** What the agent saw while an update was tried. */
  #looks: readonly Look[] = [];
  /** The targets since the oldest decision of which a call may come now. */
  #targets: readonly { readonly at: number; readonly apps: TargetState["apps"] }[] = [];
  readonly #upSince = new Map<string, number>();
  readonly #healthySince = new Map<string, number>();
  /** By application: the fingerprint that was rejected, until somebody wants it again. */
  readonly #rejected = new Map<number, string>();
  /** By application: the runs of the agent that have tried the update. */
  readonly #tries = new Map<number, Set<number>>();
  /** By application: the fingerprint of the target that was reported as done. */
  readonly #done = new Map<number, string>();
  /** By application: when the update began. */
  readonly #begun = new Map<number, number>();
  /** By application: the containers that were there when the update began, or was given up. */
  readonly #old = new Map<number, ReadonlySet<string>>();
  /** By volume: what it had when the first new container of the update started. */
  readonly #baselines = new Map<string, { readonly appId: number; readonly text: string }>();
  /** Updates that this run of the agent gives up, though the store has refused to note it. */
  readonly #turned = new Map<number, string>();

  constructor(world: Watched, store: Store) {
    this.#world = world;
    this.#store = store;
    this.#documents = new Documents(store);
    world.engine.onEvent(() => {
      if (this.#isTrying()) void world.engine.look().then(({ containers }) => this.#noteHealth(containers));
    });
  }

  /** The store, whose writes are watched. */
  store(): Store {
    return {
      read: (name) => this.#store.read(name),
      write: async (documents) => {
        await this.#store.write(documents);
        if ("updates" in documents || "committed" in documents) await this.#written();
      },
    };
  }

  isTried(appId: number): boolean {
    return this.#records[appId]?.phase === "trying";
  }

  /** Another run of the agent begins. */
  restarted(): void {
    this.#turned.clear();
    this.#looks = [];
  }

  /** Somebody sets a target. */
  wanted({ apps }: TargetState): void {
    const at = this.#world.clock.monotonic();
    this.#targets = [...this.#targets.filter((_, n, all) => at - (all[n + 1]?.at ?? at) <= decisionMs), { at, apps }];
    for (const known of [this.#rejected, this.#done])
      for (const [appId, fingerprint] of known) {
        const app = apps.find((one) => one.appId === appId);
        if (!app || fingerprintOf(app) !== fingerprint) known.delete(appId);
      }
  }

  /** Somebody wants a release that has failed to be tried again. */
  retried(appId: number): void {
    this.#rejected.delete(appId);
    this.#done.delete(appId);
    this.#turned.delete(appId);
  }

  /** Somebody purges the application. */
  purged(appId: number): void {
    for (const [volume, one] of this.#baselines) if (one.appId === appId) this.#baselines.delete(volume);
    this.#old.delete(appId);
  }

  // ── What is stored ─────────────────────────────────────────────────────────────────────────────────────────────────

  async #written(): Promise<void> {
    const [records, committed, looks] = [this.#records, this.#committed, this.#looks];
    this.#records = (await this.#documents.read("updates")) ?? {};
    this.#committed = (await this.#documents.read("committed")) ?? {};
    const state = await this.#world.engine.look();
    for (const id of new Set([records, committed, this.#records, this.#committed].flatMap(Object.keys)))
      this.#judge(
        Number(id),
        { from: records[id], to: this.#records[id], before: committed[id], release: this.#committed[id], looks },
        state,
      );
  }

  #judge(appId: number, written: Written, state: EngineState): void {
    const { from, to, before, release } = written;
    const { isSafe, breaks } = this.#world;
    if (!isSafe && (to || release)) breaks(`Changes nothing in local mode: a release of ${appId} is stored`);
    if (from?.phase !== to?.phase || from?.fingerprint !== to?.fingerprint) this.#judgeTurn(appId, written, state);
    if (to?.phase === "trying" && to.attempts > mostAttempts)
      breaks(`Gives up an update that never ends: ${appId} is tried ${to.attempts} times`);
    if (release && before && release.fingerprint !== before.fingerprint) this.#judgeCommit(appId, written, state);
  }

  #judgeTurn(appId: number, { from, to }: Written, state: EngineState): void {
    const { breaks, forcedInThisRun, target } = this.#world;
    const isUnderWay = from?.phase === "trying" || from?.phase === "paused";
    if (from?.phase === "back" && (to?.phase === "trying" || to?.phase === "paused" || to?.phase === "waiting"))
      breaks(`Never turns forward again: ${appId} goes back, and is ${to.phase}`);
    if (to?.phase === "trying" && this.#turned.get(appId) === to.fingerprint)
      breaks(`Never turns forward again: ${appId} was given up, and is tried`);
    if (to?.phase !== "trying" && to?.phase !== "paused") this.#turned.delete(appId);
    if (to && (to.phase === "trying" || to.phase === "waiting") && this.#rejected.get(appId) === to.fingerprint)
      breaks(`Does not try a rejected release again: ${appId} is ${to.phase}`);
    if (to?.phase === "rejected") {
      this.#rejected.set(appId, to.fingerprint);
      if (this.#done.get(appId) === to.fingerprint)
        breaks(`Reports nothing as done that is rejected later: ${to.commit} of ${appId}`);
    }
    if (to?.phase === "trying" || to?.phase === "back")
      this.#old.set(appId, new Set(state.containers.filter((one) => one.appId === appId).map(({ id }) => id)));
    if (to?.phase === "trying") {
      this.#begun.set(appId, this.#world.clock.monotonic());
      this.#tries.set(appId, new Set());
      const rules = target.apps.find((app) => app.appId === appId && fingerprintOf(app) === to.fingerprint)?.update;
      const isForgiven = isUnderWay || rules?.applyByMs !== undefined || forcedInThisRun.has(appId);
      const hasConsent = from?.phase === "waiting" && from.consent !== undefined;
      for (const condition of isForgiven ? [] : (rules?.apply ?? [])) {
        if (condition.is === "consent" && !hasConsent)
          breaks(`Waits for what the release asks for: ${appId} begins without consent`);
        if (condition.is === "window" && !condition.windows.some((one) => this.#isOpen(one)))
          breaks(`Waits for what the release asks for: ${appId} begins outside its window`);
      }
    }
    if (from?.phase === "back") this.#judgeData(appId);
  }

  /** A window that was open when the agent decided. The clock of a simulation jumps by whole days. */
  #isOpen(window: Window): boolean {
    const { clock, slackMs } = this.#world;
    const now = clock.now();
    return [now, now - (slackMs > 0 ? decisionMs : 1000)].some((at) => nextOpening(window, at, "UTC") === at);
  }

  /** The committed release is back. */
  #judgeData(appId: number): void {
    for (const [volume, one] of this.#baselines) {
      if (one.appId !== appId) continue;
      this.#baselines.delete(volume);
      // Programs have checked those that they have got back.
      if (textOf(this.#filesOf(volume)) !== one.text)
        this.#world.breaks(`Restores the data: that of ${volume} differs`);
    }
  }

  #judgeCommit(appId: number, { from, before, release, looks }: Written, state: EngineState): void {
    const { breaks, clock, slackMs } = this.#world;
    if (!release || !before) return;
    for (const [volume, one] of this.#baselines) if (one.appId === appId) this.#baselines.delete(volume);
    for (const id of Object.values(release.images))
      if (
        !state.images.some(
          (image) => image.id === id && (image.digests.length > 0 || image.tags.includes(keptImageName(id))),
        )
      )
        breaks(`Keeps the images of the committed release: ${id} of ${appId} has no second name`);
    if (from?.phase === "back") return breaks(`Never turns forward again: ${appId} goes back, and is committed`);
    const app = this.#appOf(release);
    if (from?.phase !== "trying" || !app || app.update?.failureAction === "continue") return;
    if (this.#turned.get(appId) === from.fingerprint)
      breaks(`Never turns forward again: ${appId} was given up, and is committed`);
    const since = clock.monotonic() - (slackMs > 0 ? decisionMs : 1000);
    const reasons = looks.filter(({ at }) => at >= since).map(({ seen }) => this.#closed(app, seen, from.confirmed));
    if (!reasons.some((closed) => closed.length === 0))
      breaks(
        `Commits what has proved itself: ${appId} is committed although ${reasons.at(-1)?.join(", ") ?? "nobody looked"}`,
      );
  }

  /** Gates that are closed, in words. */
  #closed(app: App, seen: readonly Seen[], confirmed: readonly string[]): string[] {
    const { clock, slackMs, programs, supervisor } = this.#world;
    const own = seen.filter(({ container }) => container.appId === app.appId && !isAside(container));
    const of = ({ name }: Service) => own.find(({ container }) => container.service === name);
    const hasCheck = (service: Service) => !!of(service)?.container.spec.healthcheck;
    const isGated = app.services.some((one) => one.gates !== undefined || hasCheck(one));
    const isLate = clock.monotonic() - (this.#begun.get(app.appId) ?? 0) >= deadlineOf(app, []) - slackMs;
    const isAwaited = (service: Service) =>
      app.services.some(({ dependsOn }) =>
        dependsOn.some((one) => one.service === service.name && one.condition === "service_completed_successfully"),
      );
    return app.services.flatMap((service) => {
      const { name, gates, running, image } = service;
      const one = of(service);
      // Without gates, a service may wait for another one for ever.
      const mayWait = !isGated && isLate;
      if (!one) return mayWait ? [] : [`${name} has no container`];
      if (!running) return [];
      const { state, exitCode, startedAt } = one.container;
      if (startedAt === 0) return mayWait ? [] : [`${name} has not started`];
      if (supervisor?.memory.stoppedNow.has(`${app.appId}/${name}`)) return [];
      if (name === "job")
        return (isGated || isAwaited(service)) && state === "exited" && exitCode !== 0 ? [`${name} has failed`] : [];
      if (gates === undefined && !hasCheck(service)) return [];
      const monitorMs = Math.max(0, (gates?.monitorMs ?? 10_000) - slackMs - 100);
      return [
        ...(state !== "running" || one.upMs < monitorMs ? [`${name} is ${state} for ${one.upMs} ms`] : []),
        ...(hasCheck(service) && (one.healthyMs === undefined || one.healthyMs < monitorMs)
          ? [`${name} is healthy for ${one.healthyMs} ms`]
          : []),
        ...(gates?.http && programs.statusOf(name, image.name) !== 200 ? [`${name} does not answer`] : []),
        ...(gates?.confirm && !confirmed.includes(name) ? [`${name} has not confirmed`] : []),
      ];
    });
  }

  // ── What the agent sees ────────────────────────────────────────────────────────────────────────────────────────────

  looked({ containers }: EngineState): void {
    const now = this.#world.clock.monotonic();
    if (!this.#isTrying()) return void (this.#looks = []);
    this.#noteHealth(containers);
    const seen = containers.map((container): Seen => {
      const [up, healthy] = [this.#upSince.get(container.id), this.#healthySince.get(container.id)];
      return {
        container,
        upMs: up === undefined || container.state !== "running" ? 0 : now - up,
        healthyMs: healthy === undefined || container.health !== "healthy" ? undefined : now - healthy,
      };
    });
    this.#looks = [...this.#looks.filter(({ at }) => now - at <= decisionMs), { at: now, seen }];
  }

  #isTrying(): boolean {
    return Object.values(this.#records).some((record) => record?.phase === "trying");
  }

  #noteHealth(containers: readonly Container[]): void {
    const now = this.#world.clock.monotonic();
    for (const { id, health } of containers)
      if (health !== "healthy") this.#healthySince.delete(id);
      else if (!this.#healthySince.has(id)) this.#healthySince.set(id, now);
  }

  /** The agent has decided. */
  viewed(view: View): void {
    const { isSafe, breaks, supervisor } = this.#world;
    for (const app of view.target.apps) {
      const { appId } = app;
      const steps = view.plan.get(appId) ?? [];
      if (!isSafe && supervisor && !view.temporary.has(appId)) {
        const expected = planApplication(appId, app, view.current, wantedImagesOf(view.target, new Map()));
        if (JSON.stringify(steps) !== JSON.stringify(expected))
          breaks(`Changes nothing in local mode: the steps for ${appId} are others`);
      }
      if (isSafe) this.#judgeUngated(app, steps, view);
      const { committed, record, begunMs } = view.current.updates.get(appId) ?? {};
      if (begunMs !== undefined) this.#tried(appId);
      if (record?.phase === "back" && this.#records[appId]?.phase === "trying")
        this.#turned.set(appId, record.fingerprint);
      if (!committed) continue;
      if (updateStatus(app, view) === "done") this.#done.set(appId, fingerprintOf(app));
      if (fingerprintOf(app) === committed.fingerprint) continue;
      const named = releaseOf(app, committed.app, view);
      const commits = [committed.app.commit, this.#committed[appId]?.commit];
      if (named !== undefined && !commits.includes(named))
        breaks(`Reports committed releases alone: ${named} of ${appId}, not ${committed.app.commit}`);
    }
  }

  /** What an update asks of the engine is what it asks without commits, if the release says nothing about updates. */
  #judgeUngated(app: App, steps: readonly Step[], { target, current, temporary }: View): void {
    const { appId, services } = app;
    const { record, triedMs } = current.updates.get(appId) ?? {};
    if (record?.phase !== "trying" || record.fingerprint !== fingerprintOf(app) || triedMs === undefined) return;
    const isSilent = services.every(
      ({ gates, config, strategy }) =>
        gates === undefined && config.healthcheck === undefined && strategy === "download-then-kill",
    );
    // Until it is replaced, a container is judged by its own healthcheck.
    const isChecked = current.containers.some((one) => one.appId === appId && one.spec.healthcheck);
    const isCopied = Object.keys(record.snapshots ?? {}).length > 0;
    if (!isSilent || isChecked || isCopied || temporary.has(appId)) return;
    const own = steps.filter(isOfEngine);
    if (own.length === 0) return;
    const expected = planApplication(appId, app, current, wantedImagesOf(target, new Map())).filter(isOfEngine);
    if (JSON.stringify(own) !== JSON.stringify(expected))
      this.#world.breaks(`Asks the same of the engine without gates: the steps for ${appId} are others`);
  }

  // ── What the engine is told ────────────────────────────────────────────────────────────────────────────────────────

  /** This run of the agent tries an update. */
  #tried(appId: number): void {
    if (this.#records[appId]?.phase !== "trying") return;
    const tries = this.#tries.get(appId)?.add(this.#world.run);
    if (tries && tries.size > mostAttempts)
      this.#world.breaks(`Gives up an update that never ends: ${appId} is tried in ${tries.size} runs`);
  }

  /** A container that runs is about to stop. */
  async stops(container: Container, state: EngineState): Promise<void> {
    const { appId, service } = container;
    const { breaks, disturbed, target, isHonest, isSettledOn } = this.#world;
    const committed = this.#committed[appId];
    const app = target.apps.find((one) => one.appId === appId);
    if (!committed || !app || disturbed.has(appId) || !isHonest || !isSettledOn) return;
    const record = this.#records[appId];
    const hasBegun = record?.phase === "trying" || record?.phase === "paused" || record?.phase === "back";
    const isUpdate = fingerprintOf(app) !== committed.fingerprint;
    if (isUpdate && !hasBegun && (await this.#isWhole(committed, state)))
      breaks(`Stores that an update begins before it stops anything: ${appId}/${service} stops`);
    if (record?.phase === "trying" && record.fingerprint === fingerprintOf(app))
      this.#judgeHandOver(app, container, state);
  }

  /** While a release is tried, a predecessor leaves only when its successor serves. */
  #judgeHandOver(app: App, container: Container, { containers }: EngineState): void {
    const service = app.services.find(({ name }) => name === container.service);
    const isGated = service?.gates !== undefined || (service && service.config.healthcheck !== undefined);
    if (!service?.running || !isGated || !isHandingOver(container) || !isServing(container)) return;
    const successors = containers.filter(
      (one) => one.appId === app.appId && one.service === service.name && !isAside(one),
    );
    if (successors.some(isServing)) return;
    // What the new target has in common with what runs cannot be there twice.
    if (app.services.some(({ strategy, name }) => name === service.name && strategy !== "hand-over")) return;
    // A volume that is in use is not copied.
    const copied = this.#records[app.appId]?.snapshots ?? {};
    if (container.spec.mounts.some(({ source }) => source in copied)) return;
    const mayChange = Object.keys(app.networks).some((name) => name !== "default");
    if (container.spec.ports.length > 0 || mayChange) return;
    this.#world.breaks(`Always has an instance that serves: the old one of ${app.appId}/${service.name} leaves`);
  }

  /** An image has lost a name. */
  removedImage(name: string, before: EngineState, now: EngineState): void {
    const id = findImage(before.images, name)?.id;
    if (id === undefined || now.images.some((image) => image.id === id)) return;
    for (const [key, committed] of Object.entries(this.#committed)) {
      const service = Object.entries(committed?.images ?? {}).find(([, one]) => one === id)?.[0];
      if (service === undefined) continue;
      const isGiven = this.#targets
        .flatMap(({ apps }) => apps.filter(({ appId }) => String(appId) === key))
        .some(
          ({ update, services }) =>
            update?.onDiskShort === "delete-then-download" ||
            services.some(({ name, strategy }) => name === service && strategy === "delete-then-download"),
        );
      if (!isGiven) this.#world.breaks(`Keeps the images of the committed release: ${name} of ${key}/${service} goes`);
    }
  }

  copies(volumes: readonly string[], { containers }: EngineState): void {
    const { isSafe, breaks } = this.#world;
    if (!isSafe) breaks("Changes nothing in local mode: a volume is copied");
    for (const one of containers)
      if (isActive(one) && one.spec.mounts.some(({ source }) => volumes.includes(source)))
        breaks(`Copies no volume that is in use: ${one.name} has it`);
  }

  tags(name: string): void {
    if (!this.#world.isSafe) this.#world.breaks(`Changes nothing in local mode: an image gets the name ${name}`);
  }

  // ── What programs do ───────────────────────────────────────────────────────────────────────────────────────────────

  /** A program starts, and has changed nothing yet. */
  starts(container: Container): void {
    const { id, appId, spec } = container;
    this.#upSince.set(id, this.#world.clock.monotonic());
    const record = this.#records[appId];
    const old = this.#old.get(appId);
    // A container of the committed release, though the store has not noted the return.
    if (!record || !old || old.has(id) || this.#turned.has(appId)) return;
    for (const { type, source } of spec.mounts) {
      if (type !== "volume") continue;
      const baseline = this.#baselines.get(source);
      const text = textOf(this.#filesOf(source));
      if (record.phase === "trying" && record.snapshots?.[source] !== undefined && !baseline)
        this.#baselines.set(source, { appId, text });
      if (record.phase !== "back" || !baseline) continue;
      this.#baselines.delete(source);
      if (text !== baseline.text)
        this.#world.breaks(`Restores the data: ${container.name} finds other data in ${source}`);
    }
  }

  // ── The releases ───────────────────────────────────────────────────────────────────────────────────────────────────

  #filesOf(volume: string): VolumeFiles | undefined {
    try {
      return this.#world.engine.files(volume);
    } catch {
      return undefined;
    }
  }

  /** Applications of which some services are of the target, and others of the committed release. `except`: as `serviceKey`. */
  async mixed(except: ReadonlySet<string>): Promise<string[]> {
    const state = await this.#world.engine.look();
    const found: string[] = [];
    for (const app of this.#world.target.apps) {
      const committed = this.#committed[app.appId];
      if (!committed || committed.fingerprint === fingerprintOf(app)) continue;
      const old = this.#appOf(committed);
      if (!old) continue;
      const differing = async (release: App, images: Readonly<Record<string, string>>) => {
        const names = new Set([...app.services, ...old.services].map(({ name }) => name));
        const judged = await Promise.all(
          [...names].map(async (name) => {
            if (except.has(`${app.appId}/${name}`)) return [];
            return (await this.#isAsIn(release, name, images[name], state)) ? [] : [name];
          }),
        );
        return judged.flat();
      };
      const ofTarget = await differing(app, {});
      const ofCommitted = await differing(old, committed.images);
      if (ofTarget.length > 0 && ofCommitted.length > 0)
        found.push(
          `${app.appId}: not of the target: ${ofTarget.join()}; not of the committed release: ${ofCommitted.join()}`,
        );
    }
    return found;
  }

  #appOf({ source }: CommittedRelease): App | undefined {
    return this.#world.supervisor?.targets.parseSource(source);
  }

  /** Whether exactly the containers of the committed release are there, and run. */
  async #isWhole(committed: CommittedRelease, state: EngineState): Promise<boolean> {
    const app = this.#appOf(committed);
    if (!app) return false;
    const own = state.containers.filter((one) => one.appId === app.appId && !isPrepared(one));
    if (own.length !== app.services.length || own.some(isHandingOver)) return false;
    for (const { name } of app.services)
      if (!(await this.#isAsIn(app, name, committed.images[name], state))) return false;
    return true;
  }

  /** Whether a service is as a release wants it. `imageId`: of its image, if that is known. */
  async #isAsIn(app: App, name: string, imageId: string | undefined, state: EngineState): Promise<boolean> {
    const { supervisor, engine, target } = this.#world;
    const service = app.services.find((one) => one.name === name);
    const own = state.containers.filter((one) => one.appId === app.appId && !isPrepared(one));
    const [container, ...others] = own.filter((one) => one.service === name);
    if (!service || !supervisor) return container === undefined;
    // An image that has made room for another one is downloaded again.
    const known = state.images.find((image) => image.id === imageId) ?? findImage(state.images, service.image.name);
    const id = known?.id;
    if (!container || others.length > 0 || id === undefined) return false;
    if (!service.running && isActive(container)) return false;
    const image = { id, config: await engine.imageConfig(id) };
    const device = { ...supervisor.identity, name: target.name };
    const spec = toContainerSpec(service, app, device, image, supervisor.keys.of(app.appId, name) ?? "");
    const isWithHome = namespaceServices(toServiceNamespaces(container.spec, own)).every((home) =>
      own.some((one) => one.service === home && isActive(one)),
    );
    return isWithHome && differences(toServiceNamespaces(container.spec, own), spec).length === 0;
  }
}

/** Images are left out: none is downloaded that has no room, and those of the committed release are kept. */
const isOfEngine = ({ action }: Step): boolean =>
  !["wait", "recordUpdate", "commitUpdate", "fetch", "removeImage"].includes(action);

const isAside = (one: Container): boolean => isHandingOver(one) || isPrepared(one);

const isServing = ({ state, health, spec }: Container): boolean =>
  state === "running" && (!spec.healthcheck || health === "healthy");

const textOf = (files: VolumeFiles | undefined): string => JSON.stringify([...(files ?? [])].toSorted());

/** The release that a report names as the one that the application has. */
function releaseOf(app: App, committed: App, view: View): string | undefined {
  const imagesOf = ({ services }: App) => Object.fromEntries(services.map(({ name, image }) => [name, image.name]));
  const images = { [app.uuid]: { [committed.commit]: imagesOf(committed), [app.commit]: imagesOf(app) } };
  const one: View = { ...view, target: { ...view.target, apps: [app] } };
  return appsReport({ view: one, activity: new Map(), images, targetOnly: false })[app.uuid]?.release_uuid;
}
