import { DurableObject } from "cloudflare:workers";
import { ownerGrant, type Grant } from "../auth/access.ts";
import { nameOf, targetOf, writeAudit, type AuditItem, type AuditKind } from "./audit.ts";
import { endApiKeys } from "../admin/credentials.ts";
import { Database } from "./database.ts";
import type { PlainRequest } from "../relay/device-session.ts";
import {
  Authentication,
  deviceGrant,
  identify,
  inFleets,
  isGood,
  type DirectoryContext,
  type Principal,
  type Note,
} from "./context.ts";
import { addressHeader, authenticationHeader, unknownHeader, type Env } from "../env.ts";
import type { Match } from "../http.ts";
import { createUpdateRequester } from "./update-requests.ts";
import { findRoute } from "../routes.ts";
import { migrations } from "./schema.ts";

/** Told in one go, two objects each; more wait for the alarm, since one request may make only so many others. */
const syncedAtOnce = 400;
const syncRetryMs = 10_000;
/** A device that does not answer a nudge within this time holds up no others any longer. */
const updateRequestMs = 10_000;

/** The record of fleets, devices and keys: one object, off the path of every command that names a device by its uuid. */
export class Directory extends DurableObject<Env> {
  readonly #context: DirectoryContext;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#context = {
      db: new Database(state.storage, migrations),
      env,
      now: () => Date.now(),
      syncDevices: (uuids) => this.#syncDevices(uuids),
      requestUpdates: createUpdateRequester((uuid) => this.#requestUpdate(uuid)),
    };
  }

  /** Everything but the relay; `x-fairlead-authentication` says who asks, and only our Worker sets it. */
  override async fetch(request: Request): Promise<Response> {
    const authentication = Authentication.parse(
      JSON.parse(request.headers.get(authenticationHeader) ?? '{"is":"nobody"}'),
    );
    const principal = identify(authentication, this.#context);
    const match = await findRoute(request);
    if (match instanceof Response) return match;
    const answer = (note: Note) =>
      match.route.answer(request, { params: match.params, principal, note }, this.#context);
    if (principal.is === "nobody") {
      const refused = await answer(() => {});
      refused.headers.set(unknownHeader, "1");
      return refused;
    }
    return match.route.operation === undefined ? answer(() => {}) : this.#audited(request, match, principal, answer);
  }

  /** With an entry in the audit log. A key or token that is not good is the Worker's to tell. */
  async #audited(
    { headers }: Request,
    { route: { operation = "", method, path }, params }: Match,
    principal: Principal,
    answer: (note: Note) => Response | Promise<Response>,
  ): Promise<Response> {
    const { db, now } = this.#context;
    let target = targetOf(path, params, db);
    const write = (status: number) => {
      const address = headers.get(addressHeader) || undefined;
      const kind: AuditKind = principal.is === "person" ? "change" : "device";
      const entry = { kind, at: now(), who: nameOf(principal), address, operation, method, path, ...target, status };
      if (status !== 401) writeAudit(db, [entry]);
    };
    try {
      const response = await answer((more) => {
        target = { ...target, ...more };
      });
      write(response.status);
      return response;
    } catch (error) {
      write(503);
      throw error;
    }
  }

  /** What the Worker has relayed, and whom it has refused. */
  writeAudit(items: readonly AuditItem[]): void {
    writeAudit(this.#context.db, items);
  }

  /** Devices by ANDed filters that the caller may see, ordered by id. */
  find(
    grant: Grant,
    { uuid, deviceId, appId }: { uuid?: string; deviceId?: number; appId?: number },
  ): readonly { uuid: string; deviceId: number; fleetId: number }[] {
    const { db } = this.#context;
    if (grant.device === undefined && !isGood(grant, db)) return [];
    const [visible, ...fleets] = inFleets("fleet_id", grant);
    const filters = { uuid, id: deviceId, fleet_id: appId, "devices.uuid": grant.device };
    const given = Object.entries(filters).filter(([, value]) => value !== undefined);
    return db.all<{ uuid: string; deviceId: number; fleetId: number }>(
      `SELECT uuid, id AS deviceId, fleet_id AS fleetId FROM devices
       WHERE ${[visible, ...given.map(([column]) => `${column} = ?`)].join(" AND ")} ORDER BY id`,
      ...fleets,
      ...given.map(([, value]) => value ?? null),
    );
  }

  /** Who calls with a device's own key: that device, and nothing else. */
  grantOfDevice(digest: string): Grant | undefined {
    const principal = identify({ is: "key", digest }, this.#context);
    return principal.is === "device" && principal.key === "own" ? deviceGrant(principal) : undefined;
  }

  /** Before a device is asked for a new API key: who will know it. False: they may not. */
  async apiKeyAsked(uuid: string, grant: Grant): Promise<boolean> {
    const { db } = this.#context;
    if (grant.device === undefined && !isGood(grant, db)) return false;
    db.run(
      "INSERT OR IGNORE INTO api_keys (device_id, holder) SELECT id, ? FROM devices WHERE uuid = ?",
      ...[grant.tokenId, uuid],
    );
    await this.#setAlarm();
    return true;
  }

  /** The device has a new API key, and whoever knew an earlier one knows none. */
  apiKeyReplaced(uuid: string, holder = ""): void {
    this.#context.db.run(
      "DELETE FROM api_keys WHERE holder <> ? AND device_id = (SELECT id FROM devices WHERE uuid = ?)",
      ...[holder, uuid],
    );
  }

  override async alarm(): Promise<void> {
    const { db, now } = this.#context;
    const expired = db.all<{ id: string }>("SELECT id FROM tokens WHERE expires_at <= ?", now() / 1000);
    await this.#syncDevices(
      endApiKeys(
        db,
        expired.map(({ id }) => id),
      ),
    );
  }

  /** Wakes us when something is to be told again, or when a token expires that was told the API key of a device. */
  async #setAlarm(failed = false): Promise<void> {
    const { db, now } = this.#context;
    const unsynced = db.one("SELECT 1 FROM untold") ? now() + (failed ? syncRetryMs : 0) : Infinity;
    const expiring = db.one<{ at: number | null }>(
      "SELECT min(expires_at) AS at FROM api_keys JOIN tokens ON tokens.id = holder WHERE NOT ended",
    );
    const at = Math.min(unsynced, expiring?.at == null ? Infinity : expiring.at * 1000);
    if (at !== Infinity) await this.ctx.storage.setAlarm(at);
  }

  async #syncDevices(uuids: readonly string[]): Promise<void> {
    this.#context.db.run("INSERT OR IGNORE INTO untold SELECT value FROM json_each(?)", JSON.stringify(uuids));
    await this.#syncNext();
  }

  async #syncNext(): Promise<void> {
    const { db } = this.#context;
    const unsynced = db.all<{ uuid: string }>("SELECT uuid FROM untold LIMIT ?", syncedAtOnce);
    const results = await Promise.allSettled(unsynced.map(({ uuid }) => this.#syncOne(uuid)));
    const failed = results.some(({ status }) => status === "rejected");
    if (failed) console.warn("Some devices' sessions could not be told of a change; it is tried again");
    await this.#setAlarm(failed);
  }

  /** `POST /v1/update`, whatever becomes of it: who misses it asks when its time comes. */
  async #requestUpdate(uuid: string): Promise<void> {
    const request: PlainRequest = { method: "POST", path: "/v1/update", headers: [], body: new Uint8Array(0) };
    await this.#context.env.DEVICES.getByName(uuid).call(ownerGrant, request, updateRequestMs);
  }

  async #syncOne(uuid: string): Promise<void> {
    const { db, env } = this.#context;
    const objects = [env.DEVICES.getByName(uuid), env.LOGS.getByName(uuid)];
    const device = db.one<{
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
    // An expired token needs no revoking.
    const revoked = db.all<{ id: string }>(
      "SELECT id FROM tokens WHERE revoked_at IS NOT NULL AND ifnull(expires_at > ?, TRUE)",
      Date.now() / 1000,
    );
    // Taken off the list first: what changes while the session is being told puts it there again.
    db.run("DELETE FROM untold WHERE uuid = ?", uuid);
    try {
      const record = device && {
        ...device,
        replaceApiKey: device.replaceApiKey === 1,
        revoked: revoked.map(({ id }) => id),
      };
      await Promise.all(objects.map((one) => (record ? one.enroll(record) : one.forget())));
    } catch (error) {
      db.run("INSERT OR IGNORE INTO untold VALUES (?)", uuid);
      throw error;
    }
  }
}
