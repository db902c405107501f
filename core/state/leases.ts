import { describeLease, leaseLimit, type Lease } from "../model/lease.ts";
import type { EventSink } from "../events/events.ts";
import type { Clock } from "../ports/clock.ts";
import type { LeaseFiles } from "../ports/lease-files.ts";
import type { LockResult, UpdateLocks } from "../ports/update-locks.ts";
import type { Documents } from "./documents.ts";
import { oneByOne } from "./one-by-one.ts";

interface Parts {
  readonly documents: Documents;
  readonly clock: Pick<Clock, "now" | "monotonic" | "sleep" | "token">;
  readonly locks: UpdateLocks;
  readonly files: LeaseFiles;
  readonly events: EventSink;
  /** Called when a lease of the application has ended. */
  readonly onEnd: (appId: number) => void;
}

/** `services`: those whose folders have a lock file for it. */
type Wanted = Omit<Lease, "id"> & { readonly services: readonly string[]; readonly ttlMs: number };

interface Held extends Lease {
  readonly services: readonly string[];
  /** On the monotonic clock. */
  readonly endsAt: number;
  /** Ends the wait for its end. */
  readonly timer: AbortController;
}

export type ListedLease = Lease & { readonly expiresAt: number };

export type Leased =
  { readonly is: "leased"; readonly lease: ListedLease } | { readonly is: "swapping" } | { readonly is: "tooMany" };

/**
 * The leases, and the agent's update locks under them: the agent cannot take the locks of an application that has a lease,
 * and nobody gets a lease while the agent holds the locks.
 *
 * A board without a battery for its clock can be decades off until it has the time from the network. So what is stored is
 * the time that a lease has left, at each change and when the agent stops. After a power cut, a lease has the time left
 * that was stored last.
 */
export class Leases implements UpdateLocks {
  readonly #parts: Parts;
  #leases: readonly Held[] = [];
  /** A lease and the agent's locks must not be taken at the same time. */
  readonly #inOrder = oneByOne();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async load(): Promise<void> {
    const { documents, clock } = this.#parts;
    const kept = (await documents.read("leases")) ?? [];
    this.#leases = kept.map(({ remainingMs, ...lease }) => ({
      ...lease,
      endsAt: clock.monotonic() + remainingMs,
      timer: new AbortController(),
    }));
  }

  /** Creates the lock files, which a boot may have removed, and waits for the ends. */
  async start(): Promise<void> {
    for (const lease of this.#leases) this.#waitForEnd(lease);
    await this.#inOrder(() => this.#putFiles(this.#leases)).catch((error: unknown) =>
      this.#parts.events.emit({ kind: "leaseWithoutFile", reason: String(error) }),
    );
  }

  async stop(): Promise<void> {
    for (const { timer } of this.#leases) timer.abort();
    if (this.#leases.length > 0) await this.#inOrder(() => this.#tryToStore(this.#leases));
  }

  list(): readonly ListedLease[] {
    return this.#leases.filter((lease) => this.#hasTime(lease)).map((lease) => this.#listed(lease));
  }

  find(id: string): ListedLease | undefined {
    return this.list().find((lease) => lease.id === id);
  }

  create({ ttlMs, ...wanted }: Wanted): Promise<Leased> {
    return this.#inOrder(async () => {
      const { locks, clock } = this.#parts;
      if (locks.held().has(wanted.appId)) return { is: "swapping" };
      if (this.#leases.length >= leaseLimit) return { is: "tooMany" };
      const timer = new AbortController();
      const lease = { ...wanted, id: clock.token(16), endsAt: clock.monotonic() + ttlMs, timer };
      // Stored first: a lock file without its lease would stay until the next boot.
      await this.#store([...this.#leases, lease]);
      try {
        await this.#putFiles([lease]);
      } catch (error) {
        await this.#forget([lease]);
        throw error;
      }
      this.#waitForEnd(lease);
      return { is: "leased", lease: this.#listed(lease) };
    });
  }

  /** Undefined: there is no such lease any more. */
  renew(id: string, ttlMs: number): Promise<ListedLease | undefined> {
    return this.#inOrder(async () => {
      const before = this.#leases.find((lease) => lease.id === id && this.#hasTime(lease));
      if (!before) return undefined;
      const endsAt = this.#parts.clock.monotonic() + ttlMs;
      const lease = { ...before, endsAt, timer: new AbortController() };
      await this.#store(this.#leases.map((one) => (one.id === id ? lease : one)));
      before.timer.abort();
      this.#waitForEnd(lease);
      await this.#putFiles([lease]);
      return this.#listed(lease);
    });
  }

  async end(id: string): Promise<void> {
    await this.#inOrder(async () => {
      const lease = this.#leases.find((one) => one.id === id);
      if (!lease) return;
      await this.#forget([lease]);
      this.#parts.onEnd(lease.appId);
    });
  }

  /** Takes the agent's locks. Without `force`, a lease of the application prevents it; `force` ends the leases. */
  take(appId: number, services: readonly string[], options: { readonly force: boolean }): Promise<LockResult> {
    return this.#inOrder(async () => {
      const { locks, events } = this.#parts;
      const leases = this.#leases.filter((lease) => lease.appId === appId);
      const last = leases.filter((lease) => this.#hasTime(lease)).toSorted((a, b) => b.endsAt - a.endsAt)[0];
      if (last && !options.force) {
        const by = last.service ?? services[0] ?? "";
        return { taken: false, by, why: describeLease(last, this.#listed(last).expiresAt) };
      }
      const broken = options.force ? await this.#lockFilesOf(appId, services) : [];
      const result = await locks.take(appId, services, options);
      if (result.taken) for (const service of broken) events.emit({ kind: "lockBroken", appId, service });
      // Taking the locks may have removed lock files of leases before it was refused.
      if (!result.taken) await this.#putFiles(leases);
      else if (leases.length > 0) {
        await this.#forget(leases);
        for (const { service, owner, reason } of leases)
          events.emit({ kind: "leaseBroken", appId, service, owner, reason });
      }
      return result;
    });
  }

  release(appId: number): Promise<void> {
    return this.#inOrder(() => this.#parts.locks.release(appId));
  }

  held(): ReadonlyMap<number, readonly string[]> {
    return this.#parts.locks.held();
  }

  async #lockFilesOf(appId: number, services: readonly string[]): Promise<readonly string[]> {
    const locked = await this.#parts.files.lockedServices().catch(() => []);
    return locked.flatMap((one) => (one.appId === appId && services.includes(one.service) ? [one.service] : []));
  }

  #hasTime({ endsAt }: Held): boolean {
    return endsAt > this.#parts.clock.monotonic();
  }

  #listed({ id, appId, service, owner, reason, endsAt }: Held): ListedLease {
    const { clock } = this.#parts;
    return { id, appId, service, owner, reason, expiresAt: clock.now() + endsAt - clock.monotonic() };
  }

  #waitForEnd({ id, endsAt, timer: { signal } }: Held): void {
    const { clock } = this.#parts;
    void clock.sleep(endsAt - clock.monotonic(), signal).then(() => (signal.aborted ? undefined : this.end(id)));
  }

  async #putFiles(leases: readonly Held[]): Promise<void> {
    for (const { appId, services } of leases)
      for (const service of services) await this.#parts.files.putLease(appId, service);
  }

  /** Ends these leases. They end too if their files or the document cannot be changed: the caller wants them gone. */
  async #forget(ended: readonly Held[]): Promise<void> {
    const { files, events } = this.#parts;
    const left = this.#leases.filter((lease) => !ended.includes(lease));
    this.#leases = left;
    const isLocked = (appId: number, service: string) =>
      left.some((lease) => lease.appId === appId && lease.services.includes(service));
    for (const { appId, services, timer } of ended) {
      timer.abort();
      for (const service of services)
        if (!isLocked(appId, service))
          await files
            .removeLease(appId, service)
            .catch((error: unknown) => events.emit({ kind: "locksNotCleared", reason: String(error) }));
    }
    await this.#tryToStore(left);
  }

  #tryToStore(leases: readonly Held[]): Promise<void> {
    const { events } = this.#parts;
    return this.#store(leases).catch((error: unknown) =>
      events.emit({ kind: "memoryNotSaved", reason: String(error) }),
    );
  }

  async #store(leases: readonly Held[]): Promise<void> {
    const { documents, clock } = this.#parts;
    const stored = leases.map(({ endsAt, timer: _, ...lease }) => ({
      ...lease,
      remainingMs: Math.max(0, endsAt - clock.monotonic()),
    }));
    await documents.write({ leases: stored.length > 0 ? stored : undefined });
    this.#leases = leases;
  }
}
