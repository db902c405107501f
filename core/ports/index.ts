import type { BootConfig } from "./boot-config.ts";
import type { Clock } from "./clock.ts";
import type { Cloud } from "./cloud.ts";
import type { Engine } from "./engine.ts";
import type { Folders } from "./folders.ts";
import type {
  Firewall,
  Gateway,
  Hostname,
  Journal,
  Led,
  Metrics,
  Power,
  Proxy,
  ProxySettings,
  ReadableHostname,
  System,
  UnreadableProxy,
} from "./host.ts";
import type { Log } from "./log.ts";
import type { LogRing } from "./log-ring.ts";
import type { Store } from "./store.ts";
import type { Tunnel } from "./tunnel.ts";

/** A port without an adapter on this machine, and what is missing, as a sentence. */
export interface Missing {
  readonly missing: string;
}

export const isMissing = (port: object): port is Missing => "missing" in port;

/** Whether a proxy is one whose settings are known. */
export const isReadable = (proxy: ProxySettings | UnreadableProxy): proxy is ProxySettings => "type" in proxy;

/** What speaking with a cloud takes. */
export interface CloudPorts {
  readonly ask: Cloud;
  readonly ring: LogRing;
}

/** Everything that we need of the world. */
export interface Ports {
  readonly clock: Clock;
  readonly engine: Engine;
  readonly folders: Folders;
  readonly store: Store;
  readonly log: Log;
  readonly system: System;
  readonly metrics: Metrics;
  /** Absent: this device speaks with none. */
  readonly cloud?: CloudPorts;
  readonly gateway: Gateway | Missing;
  readonly power: Power | Missing;
  readonly hostname: Hostname | (Missing & Partial<ReadableHostname>);
  readonly proxy: Proxy | Missing;
  readonly firewall: Firewall | Missing;
  readonly bootConfig: BootConfig | Missing;
  readonly journal: Journal | Missing;
  readonly led: Led | Missing;
  readonly tunnel: Tunnel | Missing;
}
