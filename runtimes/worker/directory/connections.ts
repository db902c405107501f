import type { Database } from "../database.ts";
import type { ConnectionStatus } from "../relay/device-session-rpc.ts";
import type { Changes } from "./changes.ts";
import type { Job } from "./schedule.ts";

/** A connected device that was not heard of for so long is asked for: the end of a dead socket may never be noticed. */
const silentMs = 30 * 60_000;
/** The alarm checks devices together. */
const checkEachMs = 5 * 60_000;

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

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  changed(uuid: string, isConnected: boolean): void {
    const { db, now, changes, changed } = this.#parts;
    const device = db.one<{ name: string }>(
      "UPDATE devices SET connected = ?1, check_at = ?2 WHERE uuid = ?3 AND connected <> ?1 RETURNING name",
      ...[Number(isConnected), now() + silentMs, uuid],
    );
    if (!device) return;
    changes.record({ kind: isConnected ? "device.online" : "device.offline", uuid, data: { name: device.name } });
    changed();
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
