import { supervisorVersion } from "../../core/model/version.ts";
import { join } from "node:path";
import type { CloudSettings } from "../../core/cloud/cloud-session.ts";
import { cloudRegistry } from "../../core/cloud/registry.ts";
import { userAgent } from "../../core/cloud/user-agent.ts";
import { EmbeddedEngine } from "../../core/embedded/engine.ts";
import { MemoryFolders } from "../../core/embedded/ports.ts";
import type { Fetch } from "../../core/http/fetch.ts";
import { guardOrigin } from "../../core/http/origin.ts";
import { isOn } from "../../core/model/config.ts";
import { systemClock } from "../../core/ports/clock.ts";
import type { Engine } from "../../core/ports/engine.ts";
import type { Gateway } from "../../core/ports/gateway.ts";
import { isMissing, type Missing, type Ports } from "../../core/ports/index.ts";
import type { Log } from "../../core/ports/log.ts";
import type { Tunnel } from "../../core/ports/tunnel.ts";
import { createSupervisor, type Identity, type Supervisor } from "../../core/supervisor.ts";
import { findBootConfig } from "../../hardware/boot-config/index.ts";
import { busAt, type Bus } from "../../hardware/bus.ts";
import { balenaHostname, hostnamed, unsettableHostname } from "../../hardware/hostname.ts";
import { findJournalctl, journalctl } from "../../hardware/journal.ts";
import { fileLight, findLed } from "../../hardware/led-class.ts";
import { gpioLight } from "../../hardware/led-gpio.ts";
import { BlinkingLed, type Light } from "../../hardware/led.ts";
import { logind } from "../../hardware/logind.ts";
import { hostMetrics } from "../../hardware/metrics.ts";
import { findBalenaConfig, findBus, findStorage, missing, pieces } from "../../hardware/pieces.ts";
import { IptablesFirewall, whyNotFilter } from "../../hardware/firewall.ts";
import { findProxy } from "../../hardware/proxy.ts";
import { run } from "../../hardware/run.ts";
import { machineFacts, nodeSystem } from "../../hardware/system.ts";
import { httpCloud } from "./cloud/http-cloud.ts";
import { embeddedHost } from "./embedded-host.ts";
import { FileFolders, seenByEngine } from "./store/file-folders.ts";
import { Listener, toNodeListener, toOwnListener } from "./listener.ts";
import { consoleLog } from "./log.ts";
import { SettingsError, readSettings, type Settings } from "./settings.ts";
import { claimStateFolder } from "./store/state-folder.ts";
import { SqliteEventJournal } from "./store/sqlite-event-journal.ts";
import { SqliteLogRing } from "./store/sqlite-log-ring.ts";
import { SqliteStore } from "./store/sqlite-store.ts";
import { startTunnel, type RunningTunnel } from "./cloud/tunnel.ts";
import { messageOf } from "../../core/model/show.ts";

/** A running agent that answers in somebody else's server. */
export interface EmbeddedAgent {
  /** Answers the API; `toNodeListener` makes a listener for node:http, Express and the like of it. */
  readonly fetch: Fetch;
  readonly supervisor: Supervisor;
  readonly engine: Engine;
  /** Whether reboot, shutdown, name and proxy are those of this machine, or nothing real happens. */
  readonly host: "real" | "embedded";
  /** Ends it; the containers go on. */
  readonly stop: () => Promise<void>;
}

/** A running agent with a server of its own. */
export interface Agent extends EmbeddedAgent {
  /** Where the API answers. */
  readonly url: string;
}

/**
 * The agent for a process that is its own: it answers on the loopback and on `settings.listen`, and replaces the global
 * Request and Response by faster ones. Throws `SettingsError`.
 */
export async function startAgent(settings: Settings, log: Log): Promise<Agent> {
  const everywhere = settings.listen.filter((host) => host === "0.0.0.0" || host === "::");
  const addresses = everywhere.length > 0 ? everywhere : ["127.0.0.1", ...settings.listen];
  const { listener, ...agent } = await assemble(settings, log, toOwnListener, addresses);
  return { ...agent, url: `http://127.0.0.1:${listener.port}` };
}

/**
 * The agent inside a program that has a server already. What is not given is as for `fairlead agent` without flags. It
 * listens nowhere by itself but, on Docker, where its own services look for it: on the gateway of their network.
 */
export async function embedAgent(settings: Partial<Settings> = {}, log: Log = consoleLog): Promise<EmbeddedAgent> {
  const { listener: _, ...agent } = await assemble({ ...readSettings([], {}), ...settings }, log, toNodeListener, []);
  return agent;
}

/** Assembles an agent once the folder of its state is its own; that comes first, since all of the rest lies in there. */
async function assemble(settings: Settings, log: Log, toListener: typeof toNodeListener, addresses: readonly string[]) {
  const { stateDir } = settings;
  const claim = await needed(`use ${stateDir} for the state`, () => claimStateFolder(stateDir));
  try {
    const { stop, ...agent } = await assembleIn(settings, log, toListener, addresses);
    return { ...agent, stop: () => stop().finally(claim.release) };
  } catch (error) {
    claim.release();
    throw error;
  }
}

/** The one list of which adapter serves which port on this machine. */
async function assembleIn(
  settings: Settings,
  log: Log,
  toListener: typeof toNodeListener,
  addresses: readonly string[],
) {
  const clock = systemClock;
  const { hostRoot, stateDir, allowOrigins, allowHosts } = settings;
  const { engine, storage } = await chooseEngine(settings);
  const embedded = engine instanceof EmbeddedEngine;
  const file = join(stateDir, embedded ? "embedded.sqlite" : "agent.sqlite");
  const store = await needed(`keep the state in ${file}`, () => new SqliteStore(file));
  const { apiEndpoint } = settings.config;
  const logsFile = file.replace(/\.sqlite$/, "-logs.sqlite");
  const ring = apiEndpoint ? await needed(`keep logs in ${logsFile}`, () => new SqliteLogRing(logsFile)) : undefined;
  const eventJournal = new SqliteEventJournal(file.replace(/\.sqlite$/, "-events.sqlite"));
  const engineRoot = await needed(`use ${hostRoot} as the host's root`, () => seenByEngine(hostRoot));
  // FileFolders needs the /proc of Linux; elsewhere one can try out the engine in memory.
  const folders = process.platform === "linux" ? new FileFolders(hostRoot, engineRoot) : new MemoryFolders();
  const facts = machineFacts(hostRoot);
  const osVariant = settings.config.developmentMode ? "dev" : facts.osVariant;
  const agentName = userAgent({ ...facts, osVariant, supervisorVersion });

  // Who tries things out on an engine in memory does not want the machine to reboot for that.
  const host =
    embedded && settings.busAddress === undefined
      ? embeddedHost(join(stateDir, "embedded-host"), hostRoot, log)
      : undefined;
  const busAddress = host ? undefined : (settings.busAddress ?? findBus(hostRoot));
  const bus = busAddress === undefined ? undefined : busAt(busAddress);
  const journal = findJournalctl(hostRoot);
  const light = chooseLight(settings, host !== undefined);
  const led = light && new BlinkingLed(light, clock, log);

  // The services are told the port, and with port 0 the system chooses it; so the API opens before it can answer.
  const assembled = Promise.withResolvers<Fetch>();
  let fetch: Fetch = async (request) => (await assembled.promise)(request);
  const listener = new Listener((request) => fetch(request), settings.port, toListener);
  for (const host of addresses) await needed(`answer on ${host}, port ${settings.port}`, () => listener.listen(host));
  const canFilter = (settings.iptables ?? !embedded) && (await whyNotFilter(run)) === undefined;
  const found = findProxy({ ...settings, osSlug: facts.osSlug, bus, canFilter, clock, log });
  const onLan = settings.listen.length > 0;
  const firewall = canFilter ? new IptablesFirewall({ apiPort: () => listener.port, onLan, run }) : undefined;

  const gateway: Gateway = {
    isOpen: () => openGateway !== undefined,
    open: async (address) => {
      await listener.listen(address);
      openGateway = address;
    },
  };
  let openGateway: string | undefined;

  let running: RunningTunnel | undefined;
  const tunnel: Tunnel | Missing = apiEndpoint
    ? { state: () => running?.state() ?? { is: "disconnected" } }
    : { missing: "This device has joined no cloud: its config.json has no apiEndpoint" };

  const ports: Ports = {
    clock,
    engine,
    folders,
    locks: folders,
    handover: folders,
    store,
    eventJournal,
    log,
    system: nodeSystem(hostRoot, () => clock.now()),
    metrics: hostMetrics(hostRoot, async () => findStorage(hostRoot, await storage().catch(() => []))),
    gateway: embedded ? { missing: "The embedded engine has no networks" } : gateway,
    power: host?.power ?? (bus ? logind(bus, hostRoot, clock) : missing(pieces.bus)),
    hostname: host?.hostname ?? chooseHostname(settings, facts.osSlug, bus),
    // With `--iptables yes`, somebody wants a real one also beside an engine in memory.
    proxy: isMissing(found) ? ((settings.iptables ? undefined : host?.proxy) ?? found) : found.proxy,
    bootConfig:
      embedded && settings.bootConfig === undefined
        ? { missing: "the engine in memory leaves the board alone" }
        : findBootConfig(hostRoot, settings.bootConfig),
    firewall: firewall ?? missing(pieces.iptables),
    journal: journal ? journalctl(journal) : missing(pieces.journal),
    led: led ?? host?.led ?? missing(pieces.led),
    tunnel,
    ...(apiEndpoint && ring && { cloud: { ask: httpCloud(apiEndpoint, agentName), ring } }),
  };
  const identity = identityOf(settings, facts, { apiPort: listener.port, servicesFolder: folders.root });
  const supervisor = await createSupervisor(ports, identity, cloudSettingsOf(settings));
  const isOpen = () => supervisor.targets.isLocalMode();
  fetch = guardOrigin(supervisor.fetch, { isOpen, allowOrigins, allowHosts });
  assembled.resolve(fetch);
  supervisor.start();
  if (!isMissing(found)) await found.proxy.start();
  let stopped: Promise<void> | undefined;
  const { fetch: answer, targets, cloud } = supervisor;
  void cloud?.registration.registered().then((key) => {
    const isWanted = () => isOn(targets.current().config, "SUPERVISOR_VPN_CONTROL");
    // Whatever the cloud wanted to tell meanwhile, it could not.
    const opened = () => cloud.update({ force: false });
    const { uuid } = supervisor.identity;
    const who = { url: apiEndpoint ?? "", uuid, key, userAgent: agentName };
    if (apiEndpoint && !stopped) running = startTunnel({ ...who, fetch: answer, clock, log, isWanted, opened });
  });

  const stop = async (): Promise<void> => {
    running?.stop();
    const proxy = isMissing(found) ? undefined : found;
    await Promise.all([supervisor.stop(), listener.close(), led?.stop(), proxy?.stop(), firewall?.stop()]);
    bus?.close();
    store.close();
    ring?.close();
    eventJournal.close();
  };
  return {
    fetch: supervisor.fetch,
    supervisor,
    engine,
    host: host ? ("embedded" as const) : ("real" as const),
    listener,
    stop: () => (stopped ??= stop()),
  };
}

/** What the agent cannot be without, and which the machine may refuse: then it is for the user to change something. */
async function needed<T>(what: string, attempt: () => T | Promise<T>): Promise<T> {
  try {
    return await attempt();
  } catch (error) {
    throw new SettingsError(`Cannot ${what}: ${messageOf(error)}`);
  }
}

interface ChosenEngine {
  readonly engine: Engine;
  /** The host's folders in which it keeps images and volumes. */
  readonly storage: () => Promise<readonly string[]>;
}

async function chooseEngine({ engine, dockerHost }: Settings): Promise<ChosenEngine> {
  if (dockerHost !== undefined) process.env["DOCKER_HOST"] = dockerHost;
  const embedded = (): ChosenEngine => ({
    engine: new EmbeddedEngine({ clock: systemClock, pullMs: 3000, stopMs: 200 }),
    storage: async () => [],
  });
  if (engine === "embedded") return embedded();
  try {
    // The client is large; who uses the embedded engine need not wait for it.
    const { DockerEngine } = await import("./engine/docker-engine.ts");
    const docker = await DockerEngine.connect(systemClock);
    return { engine: docker, storage: () => docker.storage() };
  } catch (error) {
    if (engine === "auto") return embedded();
    throw new SettingsError(
      `No Docker engine answers at ${dockerHost ?? "/var/run/docker.sock"} (${messageOf(error)}). Start it, set DOCKER_HOST, or try with --engine embedded.`,
    );
  }
}

function cloudSettingsOf({ config }: Settings): CloudSettings {
  const { apiKey: key, applicationId, userId, appUpdatePollInterval: pollIntervalMs, initialDeviceName } = config;
  return {
    ...(key &&
      applicationId !== undefined && { provisioning: { key, applicationId, ...(userId !== undefined && { userId }) } }),
    registry: cloudRegistry(config),
    ...(pollIntervalMs !== undefined && { pollIntervalMs }),
    ...(initialDeviceName && { initialName: initialDeviceName }),
  };
}

/** `onlyGiven`: none that nobody has named. */
function chooseLight({ ledFile, ledGpio, hostRoot }: Settings, onlyGiven: boolean): Light | undefined {
  const file = ledFile ?? (ledGpio || onlyGiven ? undefined : findLed(hostRoot));
  if (file !== undefined) return fileLight(file);
  return ledGpio && gpioLight(ledGpio);
}

function chooseHostname({ configFile, hostRoot }: Settings, osSlug: string, bus: Bus | undefined): Ports["hostname"] {
  if (osSlug !== "balena-os") return bus ? hostnamed(bus) : unsettableHostname(hostRoot, missing(pieces.bus));
  const file = configFile ?? findBalenaConfig(hostRoot);
  return file === undefined ? unsettableHostname(hostRoot, missing(pieces.configJson)) : balenaHostname(file, hostRoot);
}

function identityOf(
  { config, dockerHost }: Settings,
  facts: ReturnType<typeof machineFacts>,
  { apiPort, servicesFolder }: Pick<Identity, "apiPort" | "servicesFolder">,
): Identity {
  return {
    ...facts,
    ...(config.uuid && { uuid: config.uuid }),
    type: config.deviceType ?? facts.type,
    arch: config.deviceArch ?? facts.arch,
    apiPort,
    cloudUrl: config.apiEndpoint ?? "",
    cloudKey: config.deviceApiKey ?? "",
    developmentMode: config.developmentMode ?? false,
    engineSocket: /^unix:\/\/(.+)$/.exec(dockerHost ?? "")?.[1] ?? "/var/run/docker.sock",
    boardRev: "",
    osBuild: "",
    servicesFolder,
  };
}
