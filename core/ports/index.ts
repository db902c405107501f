import type { BootConfig } from "./boot-config.ts";
import type { Clock } from "./clock.ts";
import type { Cloud } from "./cloud.ts";
import type { EngineHost } from "./engine-host.ts";
import type { Engine } from "./engine.ts";
import type { EventJournal } from "./event-journal.ts";
import type { Firewall } from "./firewall.ts";
import type { Gateway } from "./gateway.ts";
import type { Handover } from "./handover.ts";
import type { Hostname, ReadableHostname } from "./hostname.ts";
import type { Journal } from "./journal.ts";
import type { LeaseFiles } from "./lease-files.ts";
import type { Led } from "./led.ts";
import type { LogRing } from "./log-ring.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { OwnUse } from "./own-use.ts";
import type { Power } from "./power.ts";
import type { Probe } from "./probe.ts";
import type { Proxy } from "./proxy.ts";
import type { Registry } from "./registry.ts";
import type { RequestJournal } from "./request-journal.ts";
import type { ServiceFiles } from "./service-files.ts";
import type { ServiceFolders } from "./service-folders.ts";
import type { Store } from "./store.ts";
import type { System } from "./system.ts";
import type { Tunnel } from "./tunnel.ts";
import type { UpdateLocks } from "./update-locks.ts";

/** Stands for a port without an adapter on this machine. `missing` is the reason, as a sentence. */
export interface Missing {
  readonly missing: string;
}

export const isMissing = (port: object): port is Missing => "missing" in port;

/** The ports of a device that belongs to a cloud. */
export interface CloudPorts {
  readonly ask: Cloud;
  readonly ring: LogRing;
}

/** All ports through which `core` reaches the world. */
export interface Ports {
  readonly clock: Clock;
  readonly engine: Engine;
  /** Missing: the engine is on another machine. */
  readonly engineHost: EngineHost | Missing;
  readonly registry: Registry | Missing;
  readonly folders: ServiceFolders;
  readonly files: ServiceFiles | Missing;
  readonly locks: UpdateLocks;
  readonly leaseFiles: LeaseFiles;
  readonly handover: Handover;
  readonly store: Store;
  readonly eventJournal: EventJournal;
  readonly requestJournal: RequestJournal;
  readonly log: Log;
  readonly system: System;
  readonly metrics: Metrics;
  /** Absent: what the agent itself uses is not known. */
  readonly ownUse?: OwnUse;
  /** Absent: the device belongs to no cloud. */
  readonly cloud?: CloudPorts;
  readonly gateway: Gateway | Missing;
  readonly power: Power | Missing;
  readonly hostname: Hostname | (Missing & Partial<ReadableHostname>);
  readonly proxy: Proxy | Missing;
  readonly firewall: Firewall | Missing;
  readonly bootConfig: BootConfig | Missing;
  readonly journal: Journal | Missing;
  /** Reaches the services' containers by their addresses. */
  readonly probe: Probe | Missing;
  readonly led: Led | Missing;
  readonly tunnel: Tunnel | Missing;
}
