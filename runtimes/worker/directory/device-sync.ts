import type { EnrolledDevice } from "../auth/grant.ts";
import type { Database } from "../database.ts";
import type { Env } from "../env.ts";
import type { Job } from "./schedule.ts";

/** Devices in one run, with two objects each; the others wait for the alarm, since a request may send only so many others. */
const syncedAtOnce = 400;
const retryMs = 10_000;

/**
 * Sends the records of devices to their sessions and logs, or the news that they are deleted. Until it arrives, an object
 * keeps to the record that it has. The table `untold` lists the devices whose objects have yet to receive theirs.
 */
export class DeviceSync implements Job {
  readonly #db: Database;
  readonly #env: Pick<Env, "DEVICES" | "LOGS">;
  #retryAt = 0;

  constructor(db: Database, env: Pick<Env, "DEVICES" | "LOGS">) {
    this.#db = db;
    this.#env = env;
  }

  add(uuids: readonly string[]): void {
    this.#db.run("INSERT OR IGNORE INTO untold SELECT value FROM json_each(?)", JSON.stringify(uuids));
  }

  dueAt(): number {
    return this.#db.one("SELECT 1 FROM untold") === undefined ? Infinity : this.#retryAt;
  }

  /** Devices whose objects fail stay on the list. */
  async run(mostSubrequests = 2 * syncedAtOnce): Promise<number> {
    const most = Math.min(syncedAtOnce, Math.floor(mostSubrequests / 2));
    const pending = this.#db.all<{ uuid: string }>("SELECT uuid FROM untold LIMIT ?", most);
    const results = await Promise.allSettled(pending.map(({ uuid }) => this.#sync(uuid)));
    const isDone = results.every(({ status }) => status === "fulfilled");
    if (!isDone) console.warn("Some devices' sessions could not be told of a change; it is tried again");
    this.#retryAt = isDone ? 0 : Date.now() + retryMs;
    return 2 * pending.length;
  }

  async #sync(uuid: string): Promise<void> {
    const objects = [this.#env.DEVICES.getByName(uuid), this.#env.LOGS.getByName(uuid)];
    const record = this.#recordOf(uuid);
    // Removed first: a change during the calls adds the device again.
    this.#db.run("DELETE FROM untold WHERE uuid = ?", uuid);
    try {
      await Promise.all(objects.map((one) => (record ? one.enroll(record) : one.forget())));
    } catch (error) {
      this.#db.run("INSERT OR IGNORE INTO untold VALUES (?)", uuid);
      throw error;
    }
  }

  #recordOf(uuid: string): EnrolledDevice | undefined {
    const device = this.#db.one<{
      uuid: string;
      deviceId: number;
      fleetId: number;
      keyDigest: string;
      replaceApiKey: number;
    }>(
      `SELECT uuid, id AS deviceId, fleet_id AS fleetId, key_digest AS keyDigest,
         EXISTS (SELECT 1 FROM api_keys WHERE device_id = devices.id AND ended) AS replaceApiKey
       FROM devices WHERE uuid = ?`,
      uuid,
    );
    // An expired token needs no revocation.
    const revoked = this.#db.all<{ id: string }>(
      "SELECT id FROM tokens WHERE revoked_at IS NOT NULL AND ifnull(expires_at > ?, TRUE)",
      Date.now() / 1000,
    );
    return device && { ...device, replaceApiKey: device.replaceApiKey === 1, revoked: revoked.map(({ id }) => id) };
  }
}
