import { serviceKey } from "../model/names.ts";
import type { BootSettings } from "../model/boot-config.ts";
import type { BootConfig } from "../ports/boot-config.ts";
import type { Handover } from "../ports/handover.ts";
import type { FileContent } from "../model/service-file.ts";
import type { ServiceFiles } from "../ports/service-files.ts";
import type { ServiceFolders } from "../ports/service-folders.ts";
import type { LeaseFiles } from "../ports/lease-files.ts";
import type { LockResult, UpdateLocks } from "../ports/update-locks.ts";
import type { FirewallPolicy } from "../model/firewall.ts";
import type { Firewall } from "../ports/firewall.ts";
import type { Gateway } from "../ports/gateway.ts";
import type { Hostname } from "../ports/hostname.ts";
import type { Led } from "../ports/led.ts";
import type { Metrics } from "../ports/metrics.ts";
import type { Power } from "../ports/power.ts";
import type { Proxy, ProxyOutcome, ProxySettings, UnreadableProxy } from "../ports/proxy.ts";
import type { System } from "../ports/system.ts";
import type { EventRecord } from "../model/event.ts";
import { keptEvents, type EventJournal, type JournalEntry } from "../ports/event-journal.ts";
import type { Log } from "../ports/log.ts";
import type { KeptLine, LogPosition, LogRing } from "../ports/log-ring.ts";
import type { Store } from "../ports/store.ts";

/** In-memory adapters of the other ports, with extra members for tests. */

export class MemoryStore implements Store {
  readonly #documents = new Map<string, string>();

  read(name: string): Promise<unknown> {
    const text = this.#documents.get(name);
    return Promise.resolve(text === undefined ? undefined : JSON.parse(text));
  }

  async write(documents: Readonly<Record<string, unknown>>): Promise<void> {
    const texts = Object.entries(documents).map(([name, value]) => [name, toText(name, value)] as const);
    for (const [name, text] of texts)
      if (text === undefined) this.#documents.delete(name);
      else this.#documents.set(name, text);
  }
}

function toText(name: string, value: unknown): string | undefined {
  if (value === undefined) return undefined;
  const text: string | undefined = JSON.stringify(value);
  if (text === undefined) throw new TypeError(`${name} cannot be written as JSON`);
  return text;
}

export class MemoryLogRing implements LogRing {
  readonly #limitBytes: number;
  readonly #positions = new Map<string, LogPosition>();
  #lines: KeptLine[] = [];
  #last = 0;
  #lost = 0;

  constructor(limitBytes = 5 * 1024 * 1024) {
    this.#limitBytes = limitBytes;
  }

  positions(): Promise<ReadonlyMap<string, LogPosition>> {
    return Promise.resolve(new Map(this.#positions));
  }

  append(lines: readonly string[], positions: ReadonlyMap<string, LogPosition | undefined>): Promise<void> {
    for (const text of lines) this.#lines.push({ number: ++this.#last, text });
    for (const [id, position] of positions)
      if (position) this.#positions.set(id, position);
      else this.#positions.delete(id);
    for (; sizeOf(this.#lines) > this.#limitBytes; this.#lost++) this.#lines.shift();
    return Promise.resolve();
  }

  read(limit: { readonly lines: number; readonly bytes: number }) {
    const lines = this.#lines
      .slice(0, limit.lines)
      .filter((_, n, all) => n === 0 || sizeOf(all.slice(0, n + 1)) <= limit.bytes);
    return Promise.resolve({ lines, lost: this.#lost });
  }

  acknowledge(upTo: number, lost: number): Promise<void> {
    this.#lines = this.#lines.filter(({ number }) => number > upTo);
    this.#lost = Math.max(0, this.#lost - lost);
    return Promise.resolve();
  }
}

export class MemoryEventJournal implements EventJournal {
  #entries: readonly JournalEntry[] = [];
  #last = 0;

  append(events: readonly EventRecord[], lost = 0): Promise<readonly JournalEntry[]> {
    this.#last += lost;
    const added = events.map((event) => ({ ...event, number: ++this.#last }));
    this.#entries = [...this.#entries, ...added].slice(-keptEvents);
    return Promise.resolve(added);
  }

  read(after: number, limit: number) {
    const from = after > this.#last ? 0 : after;
    const entries = this.#entries.filter(({ number }) => number > from).slice(0, limit);
    const gap = after > this.#last || (entries[0]?.number ?? from + 1) !== from + 1;
    return Promise.resolve({ entries, gap });
  }

  last(): Promise<number> {
    return Promise.resolve(this.#last);
  }
}

const encoder = new TextEncoder();
const sizeOf = (lines: readonly KeptLine[]): number =>
  lines.reduce((sum, { text }) => sum + encoder.encode(text).byteLength, 0);

/** The contents of the services' folders, by application and service. */
interface FolderContents {
  readonly userLocks: Set<string>;
  readonly agentLocks: Set<string>;
  readonly leaseLocks: Set<string>;
  readonly takenOver: Set<string>;
  readonly confirmed: Set<string>;
}

export class MemoryFolders implements ServiceFolders, UpdateLocks, LeaseFiles, Handover {
  readonly root = "/tmp/balena-supervisor/services";
  readonly #contents: FolderContents;
  readonly #held = new Map<number, readonly string[]>();

  constructor(
    contents: FolderContents = {
      userLocks: new Set(),
      agentLocks: new Set(),
      leaseLocks: new Set(),
      takenOver: new Set(),
      confirmed: new Set(),
    },
  ) {
    this.#contents = contents;
  }

  /** The same folders for the next run of the agent, which holds no locks yet. */
  restarted(): MemoryFolders {
    return new MemoryFolders(this.#contents);
  }

  /** Takes a service's update lock for the service. False: the agent holds it. */
  lock(appId: number, service: string): boolean {
    const key = serviceKey(appId, service);
    if (this.#contents.agentLocks.has(key) || this.#contents.leaseLocks.has(key)) return false;
    this.#contents.userLocks.add(key);
    return true;
  }
  unlock(appId: number, service: string): void {
    this.#contents.userLocks.delete(serviceKey(appId, service));
  }
  isLocked(appId: number, service: string): boolean {
    return this.#contents.userLocks.has(serviceKey(appId, service));
  }
  /** Whether the service's folder has the lock file of a lease. */
  isLeased(appId: number, service: string): boolean {
    return this.#contents.leaseLocks.has(serviceKey(appId, service));
  }
  /** Confirms an update for a service. */
  confirm(appId: number, service: string): void {
    this.#contents.confirmed.add(serviceKey(appId, service));
  }
  /** Signals for a service that it has taken over from its predecessor. */
  takeOver(appId: number, service: string): void {
    this.#contents.takenOver.add(serviceKey(appId, service));
  }

  prepare(): Promise<void> {
    return Promise.resolve();
  }

  take(appId: number, services: readonly string[], { force }: { readonly force: boolean }): Promise<LockResult> {
    const held = this.#held.get(appId) ?? [];
    const inTheWay = services.find((service) => !held.includes(service) && this.isLocked(appId, service));
    if (inTheWay !== undefined && !force) return Promise.resolve({ taken: false, by: inTheWay });
    for (const service of services) {
      this.unlock(appId, service);
      this.#contents.leaseLocks.delete(serviceKey(appId, service));
      this.#contents.agentLocks.add(serviceKey(appId, service));
    }
    this.#held.set(appId, [...new Set([...held, ...services])]);
    return Promise.resolve({ taken: true });
  }

  release(appId: number): Promise<void> {
    for (const service of this.#held.get(appId) ?? []) this.#contents.agentLocks.delete(serviceKey(appId, service));
    this.#held.delete(appId);
    return Promise.resolve();
  }

  held(): ReadonlyMap<number, readonly string[]> {
    return new Map(this.#held);
  }

  clearLeftovers(): Promise<void> {
    const held = new Set([...this.#held].flatMap(([appId, services]) => services.map((one) => serviceKey(appId, one))));
    for (const key of this.#contents.agentLocks) if (!held.has(key)) this.#contents.agentLocks.delete(key);
    return Promise.resolve();
  }

  putLease(appId: number, service: string): Promise<void> {
    const key = serviceKey(appId, service);
    const { userLocks, agentLocks, leaseLocks } = this.#contents;
    if (!userLocks.has(key) && !agentLocks.has(key)) leaseLocks.add(key);
    return Promise.resolve();
  }

  removeLease(appId: number, service: string): Promise<void> {
    this.#contents.leaseLocks.delete(serviceKey(appId, service));
    return Promise.resolve();
  }

  lockedServices() {
    const keys = [...this.#contents.userLocks].map((key) => key.split("/"));
    return Promise.resolve(keys.map(([appId, ...service]) => ({ appId: Number(appId), service: service.join("/") })));
  }

  hasTakenOver(appId: number, service: string): Promise<boolean> {
    return Promise.resolve(this.#contents.takenOver.has(serviceKey(appId, service)));
  }

  clearTakeOver(appId: number, service: string): Promise<void> {
    this.#contents.takenOver.delete(serviceKey(appId, service));
    return Promise.resolve();
  }

  hasConfirmed(appId: number, service: string): Promise<boolean> {
    return Promise.resolve(this.#contents.confirmed.has(serviceKey(appId, service)));
  }

  clearConfirmation(appId: number, service: string): Promise<void> {
    this.#contents.confirmed.delete(serviceKey(appId, service));
    return Promise.resolve();
  }
}

export class MemoryFiles implements ServiceFiles {
  readonly root = "/var/lib/fairlead/files";
  readonly contents = new Map<string, FileContent>();
  readonly #ids = new Map<string, string>();

  identify(file: FileContent): string {
    const key = JSON.stringify(file);
    const id = this.#ids.get(key) ?? `file-${this.#ids.size + 1}`;
    this.#ids.set(key, id);
    return id;
  }

  stored(): ReadonlySet<string> {
    return new Set(this.contents.keys());
  }

  write(id: string, file: FileContent): Promise<void> {
    this.contents.set(id, file);
    return Promise.resolve();
  }

  remove(id: string): Promise<void> {
    this.contents.delete(id);
    return Promise.resolve();
  }
}

export class MemoryPower implements Power {
  /** The requests that the machine has received. */
  readonly asked: ("reboot" | "shutdown")[] = [];
  /** True simulates an update of the host OS in progress. */
  updating = false;
  /** The message with which the machine refuses requests; undefined: it accepts them. */
  refusal: string | undefined;
  /** A change takes effect with the next boot. */
  required = false;

  updateInProgress(): Promise<boolean> {
    return Promise.resolve(this.updating);
  }

  goDown(how: "reboot" | "shutdown"): Promise<void> {
    if (this.refusal !== undefined) return Promise.reject(new Error(this.refusal));
    this.asked.push(how);
    return Promise.resolve();
  }

  rebootRequired(): Promise<boolean> {
    return Promise.resolve(this.required);
  }

  requireReboot(): Promise<void> {
    this.required = true;
    return Promise.resolve();
  }
}

export class MemoryHostname implements Hostname {
  name = "device";

  read(): Promise<string> {
    return Promise.resolve(this.name);
  }
  write(name: string): Promise<void> {
    this.name = name;
    return Promise.resolve();
  }
}

export class MemoryProxy implements Proxy {
  settings: ProxySettings | UnreadableProxy | undefined;

  read(): Promise<ProxySettings | UnreadableProxy | undefined> {
    return Promise.resolve(this.settings);
  }
  write(settings: ProxySettings | undefined): Promise<ProxyOutcome> {
    this.settings = settings && withoutEmptyNoProxy(settings);
    return Promise.resolve({ is: "done" });
  }
}

/** An empty `noProxy` counts as absent, as in the configuration files of redsocks. */
const withoutEmptyNoProxy = ({ noProxy = [], ...rest }: ProxySettings): ProxySettings =>
  noProxy.length > 0 ? { ...rest, noProxy } : rest;

export class MemoryFirewall implements Firewall {
  #policy: FirewallPolicy | undefined;

  policy(): FirewallPolicy | undefined {
    return this.#policy;
  }
  set(policy: FirewallPolicy): Promise<void> {
    this.#policy = policy;
    return Promise.resolve();
  }
}

export class MemoryBootConfig implements BootConfig {
  readonly prefix = "HOST_CONFIG_";
  readonly forbidden = ["kernel"];
  settings: BootSettings = {};

  read(): Promise<BootSettings> {
    return Promise.resolve(this.settings);
  }
  write(settings: BootSettings): Promise<void> {
    this.settings = settings;
    return Promise.resolve();
  }
}

export class MemoryLed implements Led {
  blinks = 0;

  blink(): void {
    this.blinks++;
  }
}

export class MemoryGateway implements Gateway {
  address: string | undefined;

  isOpen(): boolean {
    return this.address !== undefined;
  }
  open(address: string): Promise<void> {
    this.address = address;
    return Promise.resolve();
  }
}

export class MemoryLog implements Log {
  readonly lines: string[] = [];

  info(message: string): void {
    this.lines.push(message);
  }
  error(message: string): void {
    this.lines.push(`error: ${message}`);
  }
  warn(message: string): void {
    this.lines.push(`warning: ${message}`);
  }
}

export const memoryMetrics: Metrics = {
  measure: () =>
    Promise.resolve({
      ...{ memoryUsedMb: 512, memoryTotalMb: 1024, storageUsedMb: 2048, storageTotalMb: 8192 },
      ...{ cpuPercent: 7, cpuBusyMs: 700, cpuIdleMs: 9300, cpuCelsius: 48, isUndervolted: false },
    }),
};

export const memorySystem: System = {
  addresses: () => ["192.0.2.10"],
  macAddresses: () => ["02:00:5E:00:00:01"],
  bootedAt: () => 0,
  bootId: () => "boot",
  timeZone: () => "UTC",
  vpnIsUp: () => false,
};
