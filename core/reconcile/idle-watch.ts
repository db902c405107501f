import type { App, TargetState } from "../model/target.ts";
import type { Clock } from "../ports/clock.ts";
import type { LeaseFiles } from "../ports/lease-files.ts";
import type { Leases } from "../state/leases.ts";

interface Parts {
  readonly leases: Pick<Leases, "list">;
  readonly leaseFiles: Pick<LeaseFiles, "lockedServices">;
  readonly clock: Pick<Clock, "monotonic">;
}

/**
 * For how long nobody has held an update lock or a lease, for the applications whose updates wait for that. Lock files have no
 * events: what is taken and released between two rounds is not seen.
 */
export class IdleWatch {
  readonly #parts: Parts;
  #since: ReadonlyMap<number, number> = new Map();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** In milliseconds, by application; undefined, and nothing is read, if no application asks. */
  note({ apps }: TargetState): Promise<ReadonlyMap<number, number>> | undefined {
    const asking = apps.filter(({ update }) => update?.apply.some(({ is }) => is === "idle"));
    this.#since = new Map([...this.#since].filter(([id]) => asking.some(({ appId }) => appId === id)));
    return asking.length > 0 ? this.#read(asking) : undefined;
  }

  async #read(asking: readonly App[]): Promise<ReadonlyMap<number, number>> {
    const { leases, leaseFiles, clock } = this.#parts;
    const locked = new Set([...(await leaseFiles.lockedServices()), ...leases.list()].map(({ appId }) => appId));
    const now = clock.monotonic();
    this.#since = new Map(
      asking.map(({ appId }) => [appId, locked.has(appId) ? now : (this.#since.get(appId) ?? now)]),
    );
    return new Map([...this.#since].map(([appId, since]) => [appId, now - since]));
  }
}
