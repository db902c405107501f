/** The machine under the containers. Each part is its own port, since a machine may lack any of them. */

/** Reboot and shutdown. */
export interface Power {
  /** A host update that waits for the next boot; nobody should reboot under it. */
  updateInProgress(): Promise<boolean>;
  /** Resolves once the machine has agreed to go down, which leaves a second for answers to leave. */
  goDown(how: "reboot" | "shutdown"): Promise<void>;
}

export interface Hostname {
  read(): Promise<string>;
  write(name: string): Promise<void>;
}

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

export interface Proxy {
  /** Undefined: no proxy. */
  read(): Promise<ProxySettings | undefined>;
  /** Undefined switches it off. */
  write(settings: ProxySettings | undefined): Promise<void>;
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
  read(query: JournalQuery): ReadableStream<Uint8Array>;
}

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
