import type { Ports } from "../ports/index.ts";
import { systemClock, type Clock } from "../ports/clock.ts";
import type { CloudSettings } from "../cloud/cloud-session.ts";
import { createSupervisor, type Assembly, type Identity } from "../supervisor.ts";
import { EmbeddedEngine, type EmbeddedOptions } from "./engine.ts";
import {
  MemoryEventJournal,
  MemoryFiles,
  MemoryFirewall,
  MemoryFolders,
  MemoryGateway,
  MemoryHostname,
  MemoryLed,
  MemoryLog,
  MemoryPower,
  MemoryProxy,
  MemoryStore,
  memoryMetrics,
  memorySystem,
} from "./ports.ts";
import { MemoryRequestJournal } from "./request-journal.ts";

export interface MemoryDeviceOptions extends Omit<EmbeddedOptions, "clock"> {
  readonly clock?: Clock;
  readonly identity?: Partial<Identity>;
  readonly cloudSettings?: CloudSettings;
  /** Ports to use instead of those in memory. */
  readonly ports?: Partial<Ports>;
}

/** A device in memory, with all ports. Tests can inspect what the agent did to each port. */
export interface MemoryDevice {
  /** The device's API, like port number 48484. */
  readonly fetch: Assembly["fetch"];
  readonly engine: EmbeddedEngine;
  readonly folders: MemoryFolders;
  readonly files: MemoryFiles;
  readonly power: MemoryPower;
  readonly hostname: MemoryHostname;
  readonly proxy: MemoryProxy;
  readonly firewall: MemoryFirewall;
  readonly led: MemoryLed;
  readonly log: MemoryLog;
  readonly supervisor: Assembly;
  /** Resolves when the target state is reached, or when the remaining steps wait for a lock, an event or a retry. */
  readonly settled: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

export const memoryIdentity: Identity = {
  uuid: "0123456789abcdef0123456789abcdef",
  type: "generic-amd64",
  arch: "amd64",
  osVersion: "Memory 1",
  reportedOsVersion: "12.0.0",
  osVariant: "prod",
  osSlug: "memory",
  kernelVersion: "6.0.0",
  apiPort: 48484,
  cloudUrl: "",
  cloudKey: "",
  engineSocket: "/var/run/docker.sock",
  boardRev: "",
  osBuild: "",
  servicesFolder: "/tmp/balena-supervisor/services",
  filesFolder: "/var/lib/fairlead/files",
};

/** Creates and starts a device in memory. */
export async function createMemoryDevice({
  clock = systemClock,
  identity,
  cloudSettings,
  ports,
  ...engineOptions
}: MemoryDeviceOptions = {}): Promise<MemoryDevice> {
  const engine = new EmbeddedEngine({ clock, pullMs: 3, stopMs: 1, ...engineOptions });
  const folders = new MemoryFolders();
  const files = new MemoryFiles();
  const power = new MemoryPower();
  const hostname = new MemoryHostname();
  const proxy = new MemoryProxy();
  const firewall = new MemoryFirewall();
  const led = new MemoryLed();
  const log = new MemoryLog();
  const supervisor = await createSupervisor(
    {
      clock,
      engine,
      engineHost: engine.host,
      registry: engine.registry,
      folders,
      files,
      locks: folders,
      leaseFiles: folders,
      handover: folders,
      store: new MemoryStore(),
      eventJournal: new MemoryEventJournal(),
      requestJournal: new MemoryRequestJournal(),
      log,
      system: memorySystem,
      metrics: memoryMetrics,
      gateway: new MemoryGateway(),
      power,
      hostname,
      proxy,
      firewall,
      bootConfig: { missing: "a device in memory has no boot loader" },
      led,
      tunnel: { missing: "This device has no cloud" },
      journal: { missing: "There is no journal in memory" },
      probe: engine.probe,
      ...ports,
    },
    { ...memoryIdentity, ...identity },
    cloudSettings,
  );
  supervisor.start();
  return {
    fetch: supervisor.fetch,
    engine,
    folders,
    files,
    power,
    hostname,
    proxy,
    firewall,
    led,
    log,
    supervisor,
    settled: async () => {
      await supervisor.loop.look();
      while (!supervisor.loop.isAtRest()) await clock.sleep(1);
    },
    stop: supervisor.stop,
  };
}
