import { messageOf } from "../../core/model/show.ts";
import { supervisorVersion } from "../../core/model/version.ts";
import { join } from "node:path";
import { userAgent } from "../../core/cloud/user-agent.ts";
import { FailureLog } from "../../core/events/failure-log.ts";
import type { Fetch } from "../../core/http/fetch.ts";
import { guardOrigin } from "../../core/http/origin.ts";
import { withPage } from "../../core/http/page.ts";
import { systemClock as clock } from "../../core/ports/clock.ts";
import type { Engine } from "../../core/ports/engine.ts";
import { isMissing, type Missing } from "../../core/ports/index.ts";
import type { ServiceFiles } from "../../core/ports/service-files.ts";
import type { Gateway } from "../../core/ports/gateway.ts";
import type { Log } from "../../core/ports/log.ts";
import { createSupervisor, type Assembly, type Identity, type Supervisor } from "../../core/supervisor.ts";
import { hostMetrics } from "../../hardware/metrics.ts";
import { findStorage } from "../../hardware/pieces.ts";
import { machineFacts, nodeSystem } from "../../hardware/system.ts";
import { cloudConnection, cloudSettingsOf, noCloud } from "./cloud/connection.ts";
import { chooseEngine, isElsewhere, type ChosenEngine } from "./engine/choose-engine.ts";
import { findHostPorts, type HostPorts } from "./host-ports.ts";
import { Listener, toNodeListener, toOwnListener } from "./listener.ts";
import { createConsoleLog } from "./log.ts";
import { needed } from "./settings-error.ts";
import { ownUse } from "./own-use.ts";
import { devicePage } from "./page.ts";
import { readSettings, type Settings } from "./settings.ts";
import { FileFolders, seenByEngine } from "./store/file-folders.ts";
import { StoredFiles, filesFolderOf } from "./store/stored-files.ts";
import { SqliteEventJournal } from "./store/sqlite-event-journal.ts";
import { SqliteRequestJournal } from "./store/sqlite-request-journal.ts";
import { SqliteLogRing } from "./store/sqlite-log-ring.ts";
import { SqliteStore } from "./store/sqlite-store.ts";
import { claimStateFolder } from "./store/state-folder.ts";

/** A running agent inside another program, which has its own server. */
export interface EmbeddedAgent {
  /** Serves the API. `toNodeListener` turns it into a listener for node:http, Express and similar servers. */
  readonly fetch: Fetch;
  readonly supervisor: Supervisor;
  readonly engine: Engine;
  readonly engineIs: ChosenEngine["is"];
  /** Whether reboot, shutdown, hostname and proxy act on this machine. */
  readonly host: HostPorts["is"];
  /** Stops the agent; the containers keep running. */
  readonly stop: () => Promise<void>;
}

/** A running agent with its own server. */
export interface Agent extends EmbeddedAgent {
  /** The address of the API. */
  readonly url: string;
  readonly supervisor: Assembly;
}

/**
 * Starts the agent in a process of its own. It listens on the loopback and on `settings.listen`, and replaces the global
 * Request and Response with faster ones. Throws `SettingsError`.
 */
export async function startAgent(settings: Settings, log: Log): Promise<Agent> {
  const everywhere = settings.listen.filter((host) => host === "0.0.0.0" || host === "::");
  const addresses = everywhere.length > 0 ? everywhere : ["127.0.0.1", ...settings.listen];
  const { listener, ...agent } = await assemble(settings, log, toOwnListener, addresses);
  return { ...agent, url: `http://127.0.0.1:${listener.port}` };
}

/**
 * Starts the agent inside a program that has its own server. Missing settings have the defaults of `fairlead agent`. The
 * agent listens on one address only: on Docker, on the gateway of the network through which services call it.
 */
export async function embedAgent(given: Partial<Settings> = {}, log?: Log): Promise<EmbeddedAgent> {
  const settings = { ...readSettings([], {}), ...given };
  const { listener: _, ...agent } = await assemble(
    settings,
    log ?? createConsoleLog(settings.logFormat),
    toNodeListener,
    [],
  );
  return agent;
}

/** Claims the state folder, then assembles an agent. The claim comes first, because all state is in that folder. */
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

/** Creates the adapters, listens, and starts the supervisor. */
async function assembleIn(
  settings: Settings,
  given: Log,
  toListener: typeof toNodeListener,
  addresses: readonly string[],
) {
  const log = new FailureLog(given, clock);
  const { hostRoot, stateDir, allowOrigins, allowHosts } = settings;
  const chosen = await chooseEngine(settings);
  const { engine } = chosen;
  const isEngineEmbedded = chosen.is === "embedded";
  const file = join(stateDir, isEngineEmbedded ? "embedded.sqlite" : "agent.sqlite");
  const store = await needed(`keep the state in ${file}`, () => new SqliteStore(file));
  const { apiEndpoint } = settings.config;
  const logsFile = file.replace(/\.sqlite$/, "-logs.sqlite");
  const ring = apiEndpoint ? await needed(`keep logs in ${logsFile}`, () => new SqliteLogRing(logsFile)) : undefined;
  const eventJournal = new SqliteEventJournal(file.replace(/\.sqlite$/, "-events.sqlite"));
  const engineRoot = await needed(`use ${hostRoot} as the host's root`, () => seenByEngine(hostRoot));
  const requestJournal = new SqliteRequestJournal(file.replace(/\.sqlite$/, "-requests.sqlite"));
  const folders = await chooseFolders(hostRoot, engineRoot);
  const files = await chooseFiles(settings, engineRoot, isEngineEmbedded);
  const facts = machineFacts(hostRoot);
  const osVariant = settings.config.developmentMode ? "dev" : facts.osVariant;
  const agentName = userAgent({ ...facts, osVariant, supervisorVersion });
  const connection = apiEndpoint && ring ? cloudConnection(apiEndpoint, agentName, ring, log) : noCloud;

  // Services need the port number, and with port 0 the system chooses it. So listen first; requests wait for `fetch`.
  const assembled = Promise.withResolvers<Fetch>();
  let fetch: Fetch = async (request) => (await assembled.promise)(request);
  const listener = new Listener((request) => fetch(request), settings.port, toListener);
  for (const address of addresses)
    await needed(`answer on ${address}, port ${settings.port}`, () => listener.listen(address).catch(explainListen));
  const apiPort = () => listener.port;
  const host = await findHostPorts({ settings, isEngineEmbedded, osSlug: facts.osSlug, apiPort, log });

  const identity = {
    ...identityOf(settings, facts, {
      apiPort: listener.port,
      servicesFolder: folders.root,
      filesFolder: isMissing(files) ? "" : files.root,
    }),
    isSimulated: isEngineEmbedded,
  };
  const supervisor = await createSupervisor(
    {
      clock,
      engine,
      engineHost: chosen.host(hostRoot),
      registry: chosen.registry,
      folders,
      files,
      locks: folders,
      leaseFiles: folders,
      handover: folders,
      store,
      eventJournal,
      requestJournal,
      log,
      system: nodeSystem(hostRoot, () => clock.now()),
      metrics: hostMetrics(hostRoot, async () => findStorage(hostRoot, await chosen.storage().catch(() => []))),
      ownUse,
      probe: chosen.probe,
      gateway: isEngineEmbedded ? { missing: "The embedded engine has no networks" } : gatewayOf(listener),
      ...host.ports,
      ...connection.ports,
    },
    identity,
    cloudSettingsOf(settings),
  );
  const isOpen = () => supervisor.targets.isLocalMode();
  fetch = guardOrigin(withPage(supervisor.fetch, devicePage), { isOpen, allowOrigins, allowHosts });
  assembled.resolve(fetch);
  supervisor.start();
  await host.start();
  connection.start(supervisor);

  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    connection.stop();
    await Promise.all([supervisor.stop(), listener.close(), host.stop()]);
    host.close();
    store.close();
    ring?.close();
    eventJournal.close();
    requestJournal.close();
    log.stop();
  };
  return {
    fetch: supervisor.fetch,
    supervisor,
    engine,
    engineIs: chosen.is,
    host: host.is,
    listener,
    stop: () => (stopped ??= stop()),
  };
}

/** `FileFolders` needs Linux's /proc. On other systems, folders in memory are enough to try out the API. */
async function chooseFolders(hostRoot: string, engineRoot: string) {
  if (process.platform === "linux") return new FileFolders(hostRoot, engineRoot);
  const { MemoryFolders } = await import("../../core/embedded/ports.ts");
  return new MemoryFolders();
}

async function chooseFiles(
  { stateDir, hostRoot, dockerHost }: Settings,
  engineRoot: string,
  isEngineEmbedded: boolean,
): Promise<ServiceFiles | Missing> {
  if (isEngineEmbedded) {
    const { MemoryFiles } = await import("../../core/embedded/ports.ts");
    return new MemoryFiles();
  }
  if (isElsewhere(dockerHost))
    return { missing: "configs and secrets are files of this machine, and the engine is on another one" };
  const root = filesFolderOf(stateDir, hostRoot, engineRoot);
  return root === undefined
    ? { missing: `configs and secrets are files in the state folder ${stateDir}, which must be under ${hostRoot}` }
    : new StoredFiles(join(stateDir, "files"), root);
}

function gatewayOf(listener: Listener): Gateway {
  let opened = false;
  return {
    isOpen: () => opened,
    open: async (address) => {
      await listener.listen(address);
      opened = true;
    },
  };
}

function identityOf(
  { config, dockerHost, exec }: Settings,
  facts: ReturnType<typeof machineFacts>,
  { apiPort, servicesFolder, filesFolder }: Pick<Identity, "apiPort" | "servicesFolder" | "filesFolder">,
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
    exec,
    engineSocket: /^unix:\/\/(.+)$/.exec(dockerHost ?? "")?.[1] ?? "/var/run/docker.sock",
    boardRev: "",
    osBuild: "",
    servicesFolder,
    filesFolder,
  };
}

/** Rethrows the system's error with what to do about it. */
function explainListen(error: unknown): never {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  const advice =
    code === "EADDRINUSE"
      ? "another program listens there, such as another agent or balena-supervisor; stop it, or choose another port with --port (FAIRLEAD_PORT)"
      : code === "EADDRNOTAVAIL"
        ? "this machine does not have this address; see --listen (FAIRLEAD_LISTEN)"
        : code === "EACCES"
          ? "ports below 1024 need root; choose another one with --port (FAIRLEAD_PORT)"
          : undefined;
  throw advice === undefined ? error : new Error(`${messageOf(error)}: ${advice}`);
}
