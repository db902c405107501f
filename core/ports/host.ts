import type { FirewallPolicy } from "../model/firewall.ts";

/** The machine under the containers. Each part is its own port, since a machine may lack any of them. */

/** Reboot and shutdown. */
export interface Power {
  /** Only where nothing real happens: a machine that has gone down counts as started again after so long. */
  readonly startsAgainAfterMs?: number;
  /** A host update that waits for the next boot; nobody should reboot under it. */
  updateInProgress(): Promise<boolean>;
  /** Resolves once the machine has agreed to go down, which leaves a second for answers to leave; throws if it refuses. */
  goDown(how: "reboot" | "shutdown"): Promise<void>;
  /** Whether something was applied since the machine started that takes effect with the next start. */
  rebootRequired(): Promise<boolean>;
  /** Notes that something was. */
  requireReboot(): Promise<void>;
}

export interface Hostname {
  /** What the machine is called now. */
  read(): Promise<string>;
  /** Never empty. The machine may take a moment until it is called so. */
  write(name: string): Promise<void>;
}

/** The name of a machine where nothing is to set it by. */
export type ReadableHostname = Pick<Hostname, "read">;

/** The transparent proxy (redsocks). Fields as in the specification's `PATCH /v1/device/host-config`. */
export interface ProxySettings {
  readonly type: "socks4" | "socks5" | "http-connect" | "http-relay";
  readonly ip: string;
  readonly port: number;
  readonly login?: string;
  readonly password?: string;
  readonly dns?: string;
  readonly noProxy?: readonly string[];
}

/** All that can be read of a proxy whose file somebody else has written: it has no type and address that we know. */
export interface UnreadableProxy {
  readonly noProxy?: readonly string[];
}

/** What is wrong with which of the settings: `dns`, `noProxy.1`; empty: with all of them together. */
export interface Objection {
  readonly to: string;
  readonly reason: string;
}

/** What became of new settings. Refused ones change nothing. */
export type ProxyOutcome = { readonly is: "done" } | ({ readonly is: "refused" } & Objection);

export interface Proxy {
  /** Undefined: no proxy. */
  read(): Promise<ProxySettings | UnreadableProxy | undefined>;
  /** Undefined switches it off. If the new settings cannot be put into effect, it throws, and the old ones stand. */
  write(settings: ProxySettings | undefined): Promise<ProxyOutcome>;
}

/** Who may reach the device over its networks. */
export interface Firewall {
  /** The policy that this run of the agent has set last; undefined: none yet. */
  policy(): FirewallPolicy | undefined;
  /** Takes effect as a whole or not at all; connections that are open stay so. */
  set(policy: FirewallPolicy): Promise<void>;
}

/** Options of `POST /v2/journal-logs`, each as journalctl understands it. */
export interface JournalQuery {
  readonly all: boolean;
  readonly follow: boolean;
  readonly count: number | undefined;
  readonly unit: string | undefined;
  readonly containerId: string | undefined;
  readonly format: string | undefined;
  readonly since: string | undefined;
  readonly until: string | undefined;
}

export interface Journal {
  /** The lines, as they come; or what is wrong with the query, in the journal's own words. Cancelling ends it. */
  read(query: JournalQuery): JournalReading | Promise<JournalReading>;
}

export type JournalReading = ReadableStream<Uint8Array> | { readonly refused: string };

/** A LED by which people find the device. */
export interface Led {
  /** Starts the pattern (200 ms on, 200 ms off, for 15 s) and returns; a second call extends it. */
  blink(): void;
}

/** What changes while the machine runs. */
export interface System {
  /** IP addresses of the machine, those of the engine's bridges left out. */
  addresses(): readonly string[];
  macAddresses(): readonly string[];
  /** Milliseconds since the epoch. */
  bootedAt(): number;
  /** Whether the operating system's VPN is connected. */
  vpnIsUp(): boolean;
}

/** How the machine is doing. What it cannot tell is left out. */
export interface Metrics {
  measure(): Promise<Measurements>;
}

/** All are whole numbers. */
export interface Measurements {
  readonly memoryUsedMb: number;
  readonly memoryTotalMb: number;
  /** Of the file system that holds images and volumes, and the device that holds that. */
  readonly storageUsedMb?: number;
  readonly storageTotalMb?: number;
  readonly storageDevice?: string;
  readonly cpuCelsius?: number;
  /** Of all cores, since the last time that somebody asked. */
  readonly cpuPercent: number;
  readonly cpuId?: string;
  /** Its power supply is too weak, now. */
  readonly isUndervolted: boolean;
}

/** How services reach the API: an address of the host that their network has as its gateway. */
export interface Gateway {
  isOpen(): boolean;
  /** Starts to answer there; the network must exist. */
  open(address: string): Promise<void>;
}
