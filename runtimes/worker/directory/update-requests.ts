import { messageOf } from "../../../core/model/show.ts";
import { isoTime, type Database } from "../database.ts";
import type { Job } from "./schedule.ts";

/** What has become of a request to one device. */
export type UpdateRequestOutcome = "answered" | "offline" | "failed";

/** Requests in progress. Offline devices fail at once; those of an online fleet take seconds. */
const atOnce = 50;

/** The pauses before a failed request is sent again. After the last one the device finds the change when it polls. */
const retryMs = [5_000, 30_000, 180_000] as const;

/** A request without an outcome after this time was lost with an evicted object, and is sent again. */
const lostMs = 30_000;

interface Waiting extends Record<string, SqlStorageValue> {
  readonly id: number;
  readonly uuid: string;
  readonly dueAt: number;
  readonly attempts: number;
}

interface Parts {
  readonly db: Database;
  readonly now: () => number;
  /** Asks a device to fetch its target state. */
  readonly send: (uuid: string) => Promise<UpdateRequestOutcome>;
  /** Called when a request has ended and the device needs another one. */
  readonly changed: () => void;
}

/**
 * Asks devices to fetch their target state, a few at a time; the newest changes first, so that the change of one device does
 * not wait for a fleet's. A waiting device gets one request. A device that is added again after its request has begun gets
 * another one, since the first may have brought an older state.
 */
export class UpdateRequests implements Job {
  readonly #parts: Parts;
  /** By the id of the device. */
  readonly #inProgress = new Map<number, Promise<void>>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * Stores which devices need a request. Of several devices, those are left out that had no connection at their last request
   * and were not heard of since: they fetch their target state when they connect.
   */
  add(uuids: readonly string[]): void {
    const { db, now } = this.#parts;
    db.run(
      `INSERT INTO update_requests (device_id, due_at)
       SELECT id, ?1 FROM devices WHERE uuid IN (SELECT value FROM json_each(?2)) AND (offline_at IS NULL OR ?3)
       ON CONFLICT DO UPDATE SET attempts = 0,
         -- Never the same time: a request in progress must not count for this change.
         due_at = iif(due_at = excluded.due_at, due_at + 1, excluded.due_at)`,
      ...[now(), JSON.stringify(uuids), uuids.length === 1 ? 1 : 0],
    );
  }

  dueAt(): number {
    const { db, now } = this.#parts;
    const next = db.one<{ at: number }>(
      `SELECT due_at AS at FROM update_requests WHERE ${notAmong} ORDER BY due_at LIMIT 1`,
      this.#idsInProgress(),
    );
    return Math.min(next?.at ?? Infinity, this.#inProgress.size > 0 ? now() + lostMs : Infinity);
  }

  /** Resolves when no further request can begin. It does not wait for devices that answer late. */
  async run(most: number): Promise<number> {
    let left = most;
    const work = async () => {
      for (;;) {
        await tick();
        const next = left > 0 ? this.#next() : undefined;
        if (!next) return;
        left--;
        const request = this.#request(next);
        this.#inProgress.set(next.id, request);
        await request;
      }
    };
    if (this.#inProgress.size >= atOnce) await Promise.race(this.#inProgress.values());
    await Promise.race(Array.from({ length: atOnce - this.#inProgress.size }, work));
    const sent = most - left;
    left = 0;
    return sent;
  }

  #next(): Waiting | undefined {
    const { db, now } = this.#parts;
    return db.one<Waiting>(
      `SELECT devices.id, uuid, due_at AS dueAt, attempts FROM update_requests JOIN devices ON devices.id = device_id
       WHERE due_at <= ? AND ${notAmong} ORDER BY due_at DESC LIMIT 1`,
      ...[now(), this.#idsInProgress()],
    );
  }

  #idsInProgress(): string {
    return JSON.stringify([...this.#inProgress.keys()]);
  }

  /** Never rejects. */
  async #request({ id, uuid, dueAt, attempts }: Waiting): Promise<void> {
    const { db, now, send, changed } = this.#parts;
    const outcome = await send(uuid).catch((error: unknown): UpdateRequestOutcome => {
      console.warn(`A device could not be asked to update: ${messageOf(error)}`);
      return "failed";
    });
    this.#inProgress.delete(id);
    if (outcome === "offline") db.run("UPDATE devices SET offline_at = ? WHERE id = ?", isoTime(now()), id);
    const pauseMs = outcome === "failed" ? retryMs[attempts] : undefined;
    if (pauseMs === undefined) db.run("DELETE FROM update_requests WHERE device_id = ? AND due_at = ?", id, dueAt);
    else
      db.run(
        "UPDATE update_requests SET due_at = ?, attempts = attempts + 1 WHERE device_id = ? AND due_at = ?",
        ...[now() + pauseMs, id, dueAt],
      );
    if (db.one("SELECT 1 FROM update_requests WHERE device_id = ?", id)) changed();
  }
}

/** Lets other requests in: workerd reads from its sockets only when there is nothing else to do. */
const tick = () => new Promise<void>((resolve) => setTimeout(resolve));

/** SQL: whether a request is not in progress. The value is a list of ids in JSON. */
const notAmong = "device_id NOT IN (SELECT value FROM json_each(?))";
