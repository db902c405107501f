import type { Database } from "../database.ts";
import type { ConnectionStatus } from "../relay/device-session-rpc.ts";
import type { Changes } from "./changes.ts";
import type { Job } from "./schedule.ts";

/** A connected device that was not heard of for so long is asked for: the end of a dead socket may never be noticed. */
const silentMs = 30 * 60_000;
/** The alarm checks devices together. */
const checkEachMs = 5 * 60_000;
/** A device that has lost its connection has this time to come back before it counts as offline. */
const backWithinMs = 10_000;

interface Parts {
  readonly db: Database;
  readonly now: () => number;
  readonly changes: Changes;
  readonly connectionOf: (uuid: string) => Promise<ConnectionStatus>;
  /** The job may have become due. */
  readonly changed: () => void;
}

/** Which devices are connected, as their sessions say. */
export class Connections implements Job {
  readonly #parts: Parts;
  /** Since when their sessions have had no socket, of devices that count as connected. */
  readonly #doubted = new Map<string, number>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  changed(uuid: string, isConnected: boolean, since = this.#parts.now()): void {
    const { db, now, changes, changed } = this.#parts;
    const at = isConnected ? since : null;
    this.#doubted.delete(uuid);
    const before = db.one<{ name: string; connected: number; at: number | null }>(
      "SELECT name, connected, connected_at AS at FROM devices WHERE uuid = ?",
      uuid,
    );
    if (!before || (before.connected === Number(isConnected) && before.at === at)) return;
    db.run(
      "UPDATE devices SET connected = ?, connected_at = ?, check_at = ? WHERE uuid = ?",
      ...[Number(isConnected), at, now() + silentMs, uuid],
    );
    // The device has connected anew, before the end of its old socket was noticed.
    if (before.connected === Number(isConnected)) return;
    changes.record({ kind: isConnected ? "device.online" : "device.offline", uuid, data: { name: before.name } });
    changed();
  }

  /** What the session of a device says now. The directory keeps it, unless the device may come back in a moment. */
  async ask(uuid: string): Promise<ConnectionStatus> {
    const { db, now, connectionOf } = this.#parts;
    const status = await connectionOf(uuid);
    if (status.connected) this.changed(uuid, true, status.since);
    else if (db.one("SELECT 1 FROM devices WHERE uuid = ? AND connected", uuid)) {
      const doubtedAt = this.#doubted.get(uuid) ?? now();
      if (now() - doubtedAt >= backWithinMs) this.changed(uuid, false);
      else this.#doubted.set(uuid, doubtedAt);
    }
    return status;
  }

  dueAt(): number {
    const next = this.#parts.db.one<{ at: number | null }>("SELECT min(check_at) AS at FROM devices WHERE connected");
    return next?.at == null ? Infinity : Math.ceil(next.at / checkEachMs) * checkEachMs;
  }

  async run(mostSubrequests: number): Promise<number> {
    const { db, now, connectionOf } = this.#parts;
    const at = now();
    // Devices that were heard of need not be asked.
    db.run(
      `UPDATE devices SET check_at = 1000 * unixepoch(heard_at) + ?1
       WHERE connected AND check_at <= ?2 AND 1000 * unixepoch(heard_at) + ?1 > ?2`,
      ...[silentMs, at],
    );
    const silent = db.all<{ uuid: string }>(
      "SELECT uuid FROM devices WHERE connected AND check_at <= ? ORDER BY check_at LIMIT ?",
      ...[at, Math.min(100, mostSubrequests)],
    );
    await Promise.all(
      silent.map(async ({ uuid }) => {
        const isConnected = await connectionOf(uuid).then(
          (status) => status.connected,
          () => true,
        );
        if (isConnected) db.run("UPDATE devices SET check_at = ? WHERE uuid = ?", at + silentMs, uuid);
        else this.changed(uuid, false);
      }),
    );
    return silent.length;
  }
}
