import { join } from "node:path";
import { EmbeddedEngine } from "../../core/embedded/engine.ts";
import { systemClock } from "../../core/ports/clock.ts";
import type { Engine } from "../../core/ports/engine.ts";
import type { Gateway } from "../../core/ports/host.ts";
import type { Ports } from "../../core/ports/index.ts";
import type { Log } from "../../core/ports/log.ts";
import { createSupervisor, type Identity, type Supervisor } from "../../core/supervisor.ts";
import { FileLed } from "../../hardware/led.ts";
import { machineFacts, nodeSystem } from "../../hardware/system.ts";
import { FileFolders, seenByEngine } from "./file-folders.ts";
import { Listener } from "./listener.ts";
import { SettingsError, type Settings } from "./settings.ts";
import { SqliteStore } from "./sqlite-store.ts";

/** A running agent. */
export interface Agent {
  readonly supervisor: Supervisor;
  /** Where the API answers. */
  readonly url: string;
  readonly engine: Engine;
  /** Ends it; the containers go on. */
  readonly stop: () => Promise<void>;
}

/** Assembles the adapters of this machine, and starts. The one list of which adapter serves which port. */
export async function startAgent(settings: Settings, log: Log): Promise<Agent> {
  const clock = systemClock;
  const engine = await chooseEngine(settings);
  const store = new SqliteStore(
    join(settings.stateDir, engine instanceof EmbeddedEngine ? "embedded.sqlite" : "agent.sqlite"),
  );
  const folders = new FileFolders(settings.hostRoot, await seenByEngine(settings.hostRoot));
  const led = settings.ledFile === undefined ? undefined : new FileLed(settings.ledFile, clock, log);

  const gateway: Gateway = {
    isOpen: () => openGateway !== undefined,
    open: async (address) => {
      await listener.listen(address);
      openGateway = address;
    },
  };
  let openGateway: string | undefined;

  const ports: Ports = {
    clock,
    engine,
    folders,
    store,
    log,
    system: nodeSystem(() => clock.now()),
    gateway: engine instanceof EmbeddedEngine ? { missing: "The embedded engine has no networks" } : gateway,
    power: { missing: "This agent cannot reboot or shut down the host: it has no connection to systemd-logind" },
    hostname: { missing: "This agent cannot read or set the host's name: it has no connection to systemd-hostnamed" },
    proxy: { missing: "This agent cannot configure a proxy: redsocks is not set up" },
    journal: { missing: "This agent cannot read the journal: journalctl is not set up" },
    led: led ?? {
      missing: "There is no LED to blink: set LED_FILE to its brightness file, such as /sys/class/leds/ACT/brightness",
    },
  };
  const supervisor = await createSupervisor(ports, identityOf(settings, folders));
  const listener = new Listener(supervisor.fetch, settings.port);
  const everywhere = settings.listen.filter((host) => host === "0.0.0.0" || host === "::");
  for (const host of everywhere.length > 0 ? everywhere : ["127.0.0.1", ...settings.listen])
    await listener.listen(host).catch((error: unknown) => {
      throw new SettingsError(
        `Cannot answer on ${host}, port ${settings.port}: ${error instanceof Error ? error.message : String(error)}`,
      );
    });
  supervisor.start();

  return {
    supervisor,
    engine,
    url: `http://127.0.0.1:${listener.port}`,
    stop: async () => {
      supervisor.stop();
      await Promise.all([listener.close(), led?.stop()]);
      store.close();
    },
  };
}

async function chooseEngine({ engine, dockerHost }: Settings): Promise<Engine> {
  if (dockerHost !== undefined) process.env["DOCKER_HOST"] = dockerHost;
  const embedded = () => new EmbeddedEngine({ clock: systemClock, pullMs: 3000, stopMs: 200 });
  if (engine === "embedded") return embedded();
  try {
    // The client is large; who uses the embedded engine need not wait for it.
    const { DockerEngine } = await import("./docker-engine.ts");
    return await DockerEngine.connect(systemClock);
  } catch (error) {
    if (engine === "auto") return embedded();
    const reason = error instanceof Error ? error.message : String(error);
    throw new SettingsError(
      `No Docker engine answers at ${dockerHost ?? "/var/run/docker.sock"} (${reason}). Start it, set DOCKER_HOST, or try with --engine embedded.`,
    );
  }
}

function identityOf({ config, hostRoot, port, dockerHost }: Settings, folders: FileFolders): Identity {
  const facts = machineFacts(hostRoot);
  return {
    ...facts,
    ...(config.uuid && { uuid: config.uuid }),
    type: config.deviceType ?? facts.type,
    arch: config.deviceArch ?? facts.arch,
    apiPort: port,
    cloudUrl: config.apiEndpoint ?? "",
    cloudKey: config.deviceApiKey ?? "",
    engineSocket: /^unix:\/\/(.+)$/.exec(dockerHost ?? "")?.[1] ?? "/var/run/docker.sock",
    boardRev: "",
    osBuild: "",
    servicesFolder: folders.root,
  };
}
