import { updateStatuses } from "../api/cloud/report.ts";
import { eventKinds } from "../model/event.ts";
import type { Container } from "../model/container.ts";
import { isHandingOver } from "../model/names.ts";
import type { Problem } from "../model/problem.ts";
import type { ResourceUse } from "../model/processes.ts";
import type { App } from "../model/target.ts";
import type { Clock } from "../ports/clock.ts";
import type { Measurements } from "../ports/metrics.ts";
import { isMissing, type Ports } from "../ports/index.ts";
import { reachedCommit, releaseInstead, runningCommit, updateStatus } from "../reconcile/status.ts";
import type { View } from "../reconcile/view.ts";
import type { Counters } from "./counters.ts";
import type { EngineCalls } from "./engine-calls.ts";
import type { Labels, Reading, Sample } from "./exposition.ts";
import { outcomes } from "./counters.ts";
import { ofAgent, ofApps, ofHost, ofUse } from "./families.ts";
import type { Family } from "./family.ts";

interface Sources {
  readonly ports: Pick<Ports, "clock" | "engine" | "metrics" | "ownUse" | "system" | "tunnel">;
  readonly version: string;
  readonly counters: Counters;
  readonly calls: EngineCalls;
  readonly loop: {
    readonly isSettled: () => boolean;
    readonly troubleSince: () => number | undefined;
    readonly backoffs: () => { readonly begun: number; readonly retried: number; readonly waiting: number };
  };
  readonly problems: { readonly list: () => readonly Problem[] };
  readonly view: () => View;
  /** When the cloud answered last; undefined: not yet, or there is no cloud. */
  readonly cloudReachedAt: () => number | undefined;
}

/** What one reader gets. */
export interface Wanted {
  readonly covers: (appId: number) => boolean;
  /** The problems of the device as a whole. */
  readonly device: boolean;
  /** Asks the engine what each running service uses. */
  readonly use: boolean;
}

/** How long a measurement of a service, or of the machine, may take. */
const measureMs = 5_000;

/** Undefined if it takes longer. */
async function within<T>(ms: number, result: Promise<T>, clock: Pick<Clock, "sleep">): Promise<T | undefined> {
  const end = new AbortController();
  try {
    return await Promise.race([result, clock.sleep(ms, end.signal).then(() => undefined)]);
  } finally {
    end.abort();
  }
}

/** Reads all families. Changes nothing, and asks the engine only for what services use, if that is wanted. */
export class AgentMetrics {
  readonly #sources: Sources;
  /** By container: readers at the same time share one call of the engine. */
  readonly #measuring = new Map<string, Promise<ResourceUse | undefined>>();

  constructor(sources: Sources) {
    this.#sources = sources;
  }

  async read({ covers, device, use }: Wanted): Promise<readonly Reading[]> {
    const view = this.#sources.view();
    const apps = view.target.apps.filter(({ appId }) => covers(appId));
    const services = apps.flatMap((app) => servicesOf(app, view));
    const isSeen = ({ appId }: Problem) => (appId === undefined ? device : covers(appId));
    const [agent, host, used] = await Promise.all([
      this.#ofAgent(isSeen),
      this.#ofHost(),
      use ? this.#useOf(services) : [],
    ]);
    return [...agent, ...host, ...ofTheApps(apps, view), ...ofServices(services, view), ...ofTheUse(used)];
  }

  /** The services, and what they use if that is wanted. */
  async services({ covers, use }: Omit<Wanted, "device">): Promise<readonly (ServiceFigure & Partial<ServiceUse>)[]> {
    const view = this.#sources.view();
    const services = view.target.apps.flatMap((app) => (covers(app.appId) ? servicesOf(app, view) : []));
    const used = use ? await this.#useOf(services) : [];
    return services.map((service) => ({ ...service, ...used.find(({ labels }) => labels === service.labels) }));
  }

  /** What running services use. A service that the engine cannot measure in time is left out. */
  async #useOf(services: readonly ServiceFigure[]): Promise<readonly ServiceUse[]> {
    const measured = await Promise.all(
      services.map(async ({ labels, container }) => {
        const use = container?.state === "running" ? await this.#measure(container.id) : undefined;
        return use ? [{ labels, use }] : [];
      }),
    );
    return measured.flat();
  }

  async #measure(id: string): Promise<ResourceUse | undefined> {
    const { clock, engine } = this.#sources.ports;
    const known = this.#measuring.get(id);
    const measuring = known ?? engine.stats(id).catch(() => undefined);
    if (!known) {
      this.#measuring.set(id, measuring);
      void measuring.then(() => this.#measuring.delete(id));
    }
    return within(measureMs, measuring, clock);
  }

  async #ofAgent(isSeen: (problem: Problem) => boolean): Promise<readonly Reading[]> {
    const { ports, version, counters, calls, loop, problems, view, cloudReachedAt } = this.#sources;
    const { engine, ownUse, tunnel } = ports;
    const own = await ownUse?.measure();
    const { begun, retried, waiting } = loop.backoffs();
    const running = [...view().current.downloads.values()].filter(({ is }) => is === "running");
    const reachedAt = cloudReachedAt();
    return [
      reading(ofAgent.build, { labels: { version, engine: engine.name }, value: 1 }),
      ...(own
        ? [
            one(ofAgent.started, own.startedAt / 1000),
            one(ofAgent.cpu, own.cpuMs / 1000),
            one(ofAgent.resident, own.residentBytes),
            one(ofAgent.heap, own.heapBytes),
            one(ofAgent.loopLag, own.loopLagMs / 1000),
            one(ofAgent.loopBusy, own.loopBusyMs / 1000),
          ]
        : []),
      one(ofAgent.settled, Number(loop.isSettled())),
      one(ofAgent.passes, counters.passes),
      one(ofAgent.passFailures, counters.passFailures),
      reading(
        ofAgent.steps,
        ...[...counters.steps].flatMap(([action, counts]) =>
          outcomes.map((outcome) => ({ labels: { action, outcome }, value: counts[outcome] })),
        ),
      ),
      one(ofAgent.backoffs, begun),
      one(ofAgent.retries, retried),
      one(ofAgent.waiting, waiting),
      reading(
        ofAgent.events,
        ...[...counters.events].map(([kind, value]) => ({ labels: { kind, level: eventKinds[kind].level }, value })),
      ),
      reading(
        ofAgent.downloads,
        { labels: { outcome: "done" }, value: counters.events.get("imageDownloaded") ?? 0 },
        { labels: { outcome: "failed" }, value: counters.events.get("imageDownloadFailed") ?? 0 },
      ),
      one(ofAgent.downloading, running.length),
      one(ofAgent.engineUp, Number(loop.troubleSince() === undefined)),
      { family: ofAgent.calls, samples: calls.durations() },
      { family: ofAgent.callFailures, samples: calls.failures() },
      optional(ofAgent.reached, reachedAt, 1 / 1000),
      optional(ofAgent.tunnel, isMissing(tunnel) ? undefined : Number(tunnel.state().is === "connected")),
      reading(
        ofAgent.problems,
        ...problems
          .list()
          .filter(isSeen)
          .map(({ appId = "", service = "", kind }) => ({ labels: { app_id: appId, service, kind }, value: 1 })),
      ),
    ];
  }

  async #ofHost(): Promise<readonly Reading[]> {
    const { metrics, system, clock } = this.#sources.ports;
    const booted = one(ofHost.booted, system.bootedAt() / 1000);
    // A machine that cannot be measured, or an engine that does not say where its storage is, leaves the rest of the answer.
    const measured = await within(measureMs, metrics.measure(), clock).catch(() => undefined);
    return measured ? [booted, ...ofMeasurements(measured)] : [booted];
  }
}

/** A service of an application with its container. Their number is bounded by the target. */
export interface ServiceFigure {
  readonly labels: { readonly app_id: number; readonly service: string };
  readonly image: string;
  readonly container: Container | undefined;
}

export interface ServiceUse extends Pick<ServiceFigure, "labels"> {
  readonly use: ResourceUse;
}

/** Of the release that is to run. Containers that are in no target are left out, whatever their labels say. */
const servicesOf = (app: App, view: View): readonly ServiceFigure[] =>
  releaseInstead(app, view).services.map(({ name, image }) => ({
    labels: { app_id: app.appId, service: name },
    image: image.name,
    container: view.current.containers.find(
      (one) => one.appId === app.appId && one.service === name && !isHandingOver(one),
    ),
  }));

const reading = (family: Family, ...samples: readonly Sample[]): Reading => ({ family, samples });
const one = (family: Family, value: number): Reading => reading(family, { labels: {}, value });
const optional = (family: Family, value: number | undefined, factor = 1): Reading =>
  value === undefined ? reading(family) : one(family, value * factor);

const megabyte = 1024 * 1024;

const ofMeasurements = (measured: Measurements): readonly Reading[] => [
  reading(
    ofHost.cpu,
    ...(["busy", "idle"] as const).flatMap((mode) => {
      const ms = mode === "busy" ? measured.cpuBusyMs : measured.cpuIdleMs;
      return ms === undefined ? [] : [{ labels: { mode }, value: ms / 1000 }];
    }),
  ),
  one(ofHost.memorySize, measured.memoryTotalMb * megabyte),
  one(ofHost.memory, measured.memoryUsedMb * megabyte),
  optional(ofHost.storageSize, measured.storageTotalMb, megabyte),
  optional(ofHost.storage, measured.storageUsedMb, megabyte),
  optional(ofHost.temperature, measured.cpuCelsius),
  one(ofHost.undervolted, Number(measured.isUndervolted)),
];

const ofTheApps = (apps: readonly App[], view: View): readonly Reading[] => [
  reading(
    ofApps.app,
    ...apps.map((app) => ({
      labels: { app_id: app.appId, app: app.name, release: app.commit, running: runningCommit(app, view) ?? "" },
      value: 1,
    })),
  ),
  reading(
    ofApps.updateStatus,
    ...apps.flatMap((app) => among("status", updateStatuses, updateStatus(app, view), { app_id: app.appId })),
  ),
  reading(
    ofApps.onTarget,
    ...apps.map((app) => ({
      labels: { app_id: app.appId },
      value: Number(reachedCommit(app, view) === app.commit),
    })),
  ),
];

const states = ["created", "running", "paused", "restarting", "removing", "exited", "dead", "missing"] as const;
const healths = ["starting", "healthy", "unhealthy"] as const;

const ofServices = (services: readonly ServiceFigure[], view: View): readonly Reading[] => {
  const existing = services.flatMap(({ labels, container }) => (container ? [{ labels, container }] : []));
  return [
    reading(
      ofApps.state,
      ...services.flatMap(({ labels, container }) => among("state", states, container?.state ?? "missing", labels)),
    ),
    reading(
      ofApps.health,
      ...existing.flatMap(({ labels, container: { health } }) =>
        health === undefined ? [] : among("health", healths, health, labels),
      ),
    ),
    reading(ofApps.restarts, ...existing.map(({ labels, container }) => ({ labels, value: container.restarts }))),
    reading(
      ofApps.started,
      ...existing.flatMap(({ labels, container: { startedAt } }) =>
        startedAt > 0 ? [{ labels, value: startedAt / 1000 }] : [],
      ),
    ),
    reading(
      ofApps.exitCode,
      ...existing.flatMap(({ labels, container: { state, exitCode, finishedAt } }) =>
        state !== "running" && finishedAt > 0 ? [{ labels, value: exitCode }] : [],
      ),
    ),
    reading(
      ofApps.download,
      ...services.flatMap(({ labels, image }) => {
        const download = view.current.downloads.get(image);
        return download?.is === "running" ? [{ labels, value: download.percent / 100 }] : [];
      }),
    ),
  ];
};

const ofTheUse = (used: readonly ServiceUse[]): readonly Reading[] => {
  const each = (family: Family, valueOf: (use: ResourceUse) => number): Reading =>
    reading(family, ...used.map(({ labels, use }) => ({ labels, value: valueOf(use) })));
  return [
    each(ofUse.cpu, ({ cpuPercent }) => cpuPercent / 100),
    each(ofUse.memory, ({ memoryBytes }) => memoryBytes),
    each(ofUse.memoryLimit, ({ memoryLimitBytes }) => memoryLimitBytes),
    each(ofUse.received, ({ receivedBytes }) => receivedBytes),
    each(ofUse.sent, ({ sentBytes }) => sentBytes),
    each(ofUse.read, ({ readBytes }) => readBytes),
    each(ofUse.written, ({ writtenBytes }) => writtenBytes),
    each(ofUse.processes, ({ processes }) => processes),
  ];
};

/** A sample for each word of a list: 1 for the one that is, else 0. */
const among = (label: string, words: readonly string[], is: string, labels: Labels): readonly Sample[] =>
  words.map((word) => ({ labels: { ...labels, [label]: word }, value: Number(word === is) }));
