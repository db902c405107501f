import { appsReport } from "./apps-report.ts";
import { CloudSession, type CloudSettings } from "./cloud/cloud-session.ts";
import type { View } from "./reconcile/view.ts";
import { deviceCredentials } from "./cloud/registry.ts";
import type { DeviceFacts } from "./compose/container-spec.ts";
import type { RequirementFacts } from "./compose/requirements.ts";
import { createDeviceRoutes } from "./handlers/index.ts";
import { createDeviceFetch, deviceError, deviceSurface } from "./http/device.ts";
import type { Fetch } from "./http/fetch.ts";
import { Once } from "./http/once.ts";
import { EventFeed } from "./events/event-feed.ts";
import { Events, toLog } from "./events/events.ts";
import { LiveStreams } from "./events/live-streams.ts";
import { Logs } from "./events/logs.ts";
import { ServiceLogs } from "./events/service-logs.ts";
import { AgentMetrics } from "./metrics/agent-metrics.ts";
import { Counters } from "./metrics/counters.ts";
import { EngineCalls } from "./metrics/engine-calls.ts";
import { HostFigures } from "./metrics/host-figures.ts";
import { MetricsHistory } from "./metrics/metrics-history.ts";
import { apiScopeOf, isOn } from "./model/config.ts";
import type { FileContent } from "./model/service-file.ts";
import { findApp } from "./model/target.ts";
import { everything } from "./model/scope.ts";
import { isMissing, type Missing, type Ports } from "./ports/index.ts";
import { ExecSessions } from "./operations/exec-sessions.ts";
import { powerDown } from "./operations/power.ts";
import { recordObservation } from "./operations/record.ts";
import { RunningOperations } from "./operations/running.ts";
import { Applier, type Outcome } from "./reconcile/apply.ts";
import { Downloads } from "./reconcile/downloads.ts";
import { Exits } from "./reconcile/exits.ts";
import { GateWatch } from "./reconcile/gate-watch.ts";
import { IdleWatch } from "./reconcile/idle-watch.ts";
import { Loop } from "./reconcile/loop.ts";
import { isGuarded } from "./reconcile/plan-preflight.ts";
import { Preflights } from "./reconcile/preflights.ts";
import { Probes } from "./reconcile/probes.ts";
import { Problems } from "./reconcile/problems.ts";
import { Memory } from "./state/memory.ts";
import { supervisorVersion } from "./model/version.ts";
import { Observer } from "./reconcile/observe.ts";
import { Repeats } from "./reconcile/repeats.ts";
import { reachedCommits } from "./reconcile/status.ts";
import { Tags } from "./cloud/tags.ts";
import { Documents } from "./state/documents.ts";
import { Keys } from "./state/keys.ts";
import { Leases } from "./state/leases.ts";
import { Targets } from "./state/targets.ts";
import { Updates } from "./state/updates.ts";

/** Facts about the device that do not change while the agent runs. */
export interface Identity extends Omit<DeviceFacts, "name" | "uuid"> {
  /** 32 or 62 lower case hex digits. Absent: the agent creates one and stores it. */
  readonly uuid?: string;
  /** Further facts that a container contract may require. */
  readonly osSlug: string;
  readonly kernelVersion: string;
  readonly l4tVersion?: string;
  /** The operating system's version in a form that a cloud can compare. Absent: there is none. */
  readonly reportedOsVersion?: string;
  /** Whether the operating system is a development variant. */
  readonly osVariant: "dev" | "prod";
  /** The device is for development: its cloud may switch it to local mode. */
  readonly developmentMode?: boolean;
  /** The engine is one in memory: no container really runs. */
  readonly isSimulated?: boolean;
  /** False: callers run no programs in containers. */
  readonly exec?: boolean;
}

/** A running agent, for the program that contains it. */
export interface Supervisor {
  readonly identity: Identity & { readonly uuid: string };
  /** The result of the last round; before the first one, an empty device. */
  readonly view: () => View;
  /** Answers API requests from every transport. */
  readonly fetch: Fetch;
  /** Starts the loop and the cloud connection. */
  readonly start: () => void;
  /** Stops both. The containers keep running. Resolves when all pending data is stored. */
  readonly stop: () => Promise<void>;
}

/** A running agent with its parts, for runtimes and tests. Each handler declares which of them it needs. */
export interface Assembly extends Supervisor {
  readonly ports: Ports;
  readonly targets: Targets;
  readonly keys: Keys;
  readonly memory: Memory;
  readonly leases: Leases;
  readonly updates: Updates;
  readonly applier: Applier;
  readonly loop: Loop;
  readonly preflights: Preflights;
  readonly problems: Problems;
  readonly metrics: AgentMetrics;
  readonly metricsHistory: MetricsHistory;
  readonly events: Events;
  readonly feed: EventFeed;
  readonly live: LiveStreams;
  readonly logs: Logs;
  readonly serviceLogs: ServiceLogs;
  readonly exec: ExecSessions;
  readonly operations: RunningOperations;
  readonly tags: Tags;
  /** Absent: the device uses no cloud. */
  readonly cloud: CloudSession | undefined;
}

/** Creates and connects all parts. Reads stored documents; changes nothing on the engine or the host before `start`. */
export async function createSupervisor(
  adapters: Ports,
  given: Identity,
  cloudSettings: CloudSettings = {},
): Promise<Assembly> {
  const { clock, files, folders, store, log, system } = adapters;
  const calls = new EngineCalls(clock);
  const engine = calls.counted(adapters.engine);
  const counters = new Counters();
  const events = new Events({ clock, journal: adapters.eventJournal });
  events.onEvent(toLog(log));
  events.onEvent((_, event) => counters.event(event));
  const feed = new EventFeed({ clock, events });
  const figures = new HostFigures(adapters.metrics, clock);
  const live = new LiveStreams({ clock, events, metrics: figures });
  events.onEvent(() => live.changed());
  const documents = new Documents(store);
  const leases = new Leases({
    ...{ documents, clock, events, locks: adapters.locks, files: adapters.leaseFiles },
    onEnd: (appId) => loop.unlocked(appId),
  });
  const ports = { ...adapters, engine, locks: leases, metrics: figures };
  const { developmentMode = false } = given;
  const identity = {
    ...given,
    ...(developmentMode && { osVariant: "dev" as const }),
    uuid: given.uuid ?? (await keptUuid(documents, () => clock.token(16))),
  };
  const facts: RequirementFacts = { ...identity, supervisorVersion, deviceType: identity.type };

  const managed = identity.cloudUrl !== "";
  const identify = isMissing(files) ? () => "unavailable" : (file: FileContent) => files.identify(file);
  const targets = new Targets(documents, { facts, uuid: identity.uuid, managed, developmentMode, identify });
  const keys = new Keys(documents, clock);
  const memory = new Memory(documents, events);
  const cloud =
    ports.cloud && targets.managed
      ? new CloudSession({
          events,
          ports: { ...ports, cloud: ports.cloud },
          documents,
          targets,
          settings: cloudSettings,
          endpoint: identity.cloudUrl,
          givenKey: identity.cloudKey,
          device: () => ({
            ...identity,
            osVersion: identity.reportedOsVersion,
            supervisorVersion,
            macAddress: system.macAddresses().join(" "),
          }),
          status: () => ({
            ...identity,
            osVersion: identity.reportedOsVersion,
            supervisorVersion,
            addresses: system.addresses(),
            macAddresses: system.macAddresses(),
            apiSecret: keys.global(),
          }),
        })
      : undefined;
  const { uuid } = identity;
  const tags = cloud?.tags ?? new Tags({ clock, documents, events, uuid, client: undefined, key: () => undefined });
  const watch = new GateWatch();
  const probes = new Probes({ clock, probe: ports.probe, onChange: () => loop.nudge() });
  const updates = new Updates({
    ...{ documents, clock, events, targets },
    onTrial: (appId) => watch.reset(appId),
    isOn: () => !targets.isLocalMode() || isOn(targets.current().config, "SUPERVISOR_SAFE_UPDATES"),
    cloudReachedAt: () => cloud?.reachedAt(),
  });
  await Promise.all([targets.load(), keys.load(), memory.load(), leases.load(), updates.load(), cloud?.load()]);

  const logs = new Logs({
    engine,
    clock,
    events,
    isLocalMode: () => targets.isLocalMode(),
    keeper: cloud?.shipper,
  });
  const serviceLogs = new ServiceLogs({ engine, clock });
  const exec = new ExecSessions({ engine, clock, events });
  const reboot = async (): Promise<Outcome | Missing> => {
    const outcome = await powerDown(supervisor, "reboot", { force: false, by: "device" });
    return isMissing(outcome) || outcome.is === "done" ? outcome : { is: "locked", message: outcome.reason };
  };
  const credentialsFor = (image: string) =>
    deviceCredentials(image, { registry: cloudSettings.registry, uuid, key: cloud?.registration.key() });
  const exits = new Exits({ clock, engine, events, memory });
  const preflights = new Preflights({
    ...{ ...ports, arch: identity.arch, credentialsFor },
    moved: () => loop.nudge(),
  });
  const downloads = new Downloads(engine, clock, () => loop.nudge(), {
    isOn: () => isGuarded({ localMode: targets.isLocalMode() }, targets.current()),
    whyShort: () => preflights.whyShort(),
  });
  const forgetApplication = (appId: number) => targets.forgetLeft(appId);
  const contentOf = (id: string) =>
    targets.current().apps.find(({ files = {} }) => Object.hasOwn(files, id))?.files?.[id] ?? updates.fileOf(id);
  const targetOf = (appId: number) => findApp(targets.current(), appId);
  const applier = new Applier(ports, {
    ...{ memory, updates, downloads, events, targetOf, credentialsFor, contentOf, forgetApplication, reboot },
  });
  const input = () => {
    const target = targets.current();
    const cloudKey = cloud?.registration.serviceKey() ?? identity.cloudKey;
    return { target, device: { ...identity, cloudKey, name: target.name }, localMode: targets.isLocalMode() };
  };
  const repeats = new Repeats(clock);
  const observer = new Observer(ports, {
    ...{ downloads, preflights, repeats },
    committedImages: () => updates.images(),
  });
  const problems = new Problems(events);
  const idle = new IdleWatch({ leases, leaseFiles: ports.leaseFiles, clock });
  const onRound = (view: View) => {
    void memory.setCommits(reachedCommits(view));
    serviceLogs.setSources(view.current.containers);
    live.changed();
    const recheckMs = problems.note(view, (subject) => loop.failuresOf(subject));
    cloud?.reportSoon();
    return recheckMs;
  };
  const loop = new Loop({
    ...{ clock, engine, downloads, preflights, repeats, logs, events, input, onRound },
    observer: { observe: (...round) => counters.pass(observer.observe(...round)) },
    applier: { apply: (step, ...round) => counters.step(step.action, applier.apply(step, ...round)) },
    record: (observation, target) =>
      recordObservation({ memory, keys, updates, watch, idle, probes, clock }, observation, target),
    onEngineBack: () => updates.restartTrials(),
    recordRunning: (containers, isBusy) => memory.recordRunning(containers, isBusy),
  });

  const metrics = new AgentMetrics({
    ...{ ports, version: supervisorVersion, counters, calls, loop, problems },
    view: () => supervisor.view(),
    cloudReachedAt: () => cloud?.reachedAt(),
  });

  const metricsHistory = new MetricsHistory(ports);
  const once = new Once({ requests: ports.requestJournal, now: () => clock.now(), error: deviceError });
  const operations = new RunningOperations({ journal: ports.requestJournal, clock });

  const supervisor: Assembly = {
    identity,
    ports,
    targets,
    keys,
    memory,
    leases,
    updates,
    applier,
    loop,
    preflights,
    problems,
    metrics,
    metricsHistory,
    events,
    feed,
    live,
    logs,
    serviceLogs,
    exec,
    operations,
    tags,
    cloud,
    view: () => loop.view ?? loop.blankView(),
    fetch: (request, principal) => fetch(request, principal),
    start: () => {
      metricsHistory.start();
      void folders
        .clearLeftovers()
        .catch((error: unknown) => events.emit({ kind: "locksNotCleared", reason: String(error) }))
        .then(() => leases.start())
        .then(() => {
          exits.start();
          loop.start();
        });
      cloud?.start({
        // Before the first observation under a new target nothing is known of its applications; they are not absent.
        apps: (options) =>
          loop.view && loop.accepted === targets.current()
            ? appsReport({ view: loop.view, activity: memory.activity, ...options })
            : undefined,
        problems: () => problems.list(),
        containers: () => loop.view?.current.containers ?? [],
        changed: (force) => loop.retry({ force }),
      });
    },
    stop: async () => {
      loop.stop();
      exits.stop();
      metricsHistory.stop();
      probes.stop();
      logs.stop();
      serviceLogs.stop();
      feed.stop();
      live.stop();
      await exec.stop();
      await Promise.all([cloud?.stop(), leases.stop(), events.stop()]);
    },
  };
  const fetch = createDeviceFetch({
    routes: createDeviceRoutes(
      deviceSurface({ events, once, operations, callerOf: (principal) => keys.callerOf(principal) }),
    ),
    context: supervisor,
    cloudKey: () => keys.global(),
    // In local mode, no key is needed and any key is ignored: the developer's tool sends the cloud's key. The scope of an
    // application's key is computed for each request, so that a changed config takes effect at once.
    scopeOf: (key) =>
      targets.isLocalMode()
        ? everything
        : key === undefined
          ? undefined
          : keys.scopeOf(key, apiScopeOf(targets.current().config)),
  });
  return supervisor;
}

async function keptUuid(documents: Documents, make: () => string): Promise<string> {
  const kept = await documents.read("uuid");
  if (kept) return kept;
  const uuid = make();
  await documents.write({ uuid });
  return uuid;
}
