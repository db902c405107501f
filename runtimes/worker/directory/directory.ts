import { DurableObject } from "cloudflare:workers";
import { createFetch, type Fetch } from "../../../core/http/fetch.ts";
import { noBytes } from "../../../core/relay/frame.ts";
import { authenticationOf, ownerGrant, type Grant } from "../auth/grant.ts";
import { signToken } from "../auth/token.ts";
import { Database } from "../database.ts";
import type { Env } from "../env.ts";
import { objectError, type Route, type Sender } from "../http.ts";
import type { PlainRequest } from "../relay/device-session-rpc.ts";
import { notFound, routes } from "../routes.ts";
import { writeAudit } from "./audit.ts";
import { audited } from "./audited-route.ts";
import type { AuditItem } from "./audit-entry.ts";
import type { DirectoryContext } from "./context.ts";
import { DeviceSync } from "./device-sync.ts";
import { findDevices } from "./devices.ts";
import type { DeviceFilters, DeviceIds, DirectoryRpc } from "./directory-rpc.ts";
import { deviceGrant, identify, isValid } from "./principal.ts";
import { endApiKeys } from "./revocation.ts";
import { migrations } from "./schema.ts";
import { createUpdateRequester } from "./update-requests.ts";

const syncRetryMs = 10_000;
/** A device that does not answer `/v1/update` within this time no longer holds up others. */
const updateRequestMs = 10_000;

/** The record of fleets, devices and keys: one object, which requests that name a device by its uuid do not need. */
export class Directory extends DurableObject<Env> implements DirectoryRpc {
  readonly #context: DirectoryContext;
  readonly #sync: DeviceSync;
  readonly #fetch: Fetch<never>;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    const db = new Database(state.storage, migrations);
    this.#sync = new DeviceSync(db, env);
    this.#context = {
      db,
      now: () => Date.now(),
      connectionOf: (uuid) => env.DEVICES.getByName(uuid).status(),
      signToken: (claims) => signToken(claims, env),
      syncDevices: (uuids) => this.#syncDevices(uuids),
      requestUpdates: createUpdateRequester((uuid) => this.#requestUpdate(uuid)),
    };
    this.#fetch = createFetch<Sender, DirectoryContext, Route, never>({
      routes: routes.map(audited),
      context: this.#context,
      authenticate: (request) => ({ principal: identify(authenticationOf(request), db, Date.now()), note: () => {} }),
      notFound,
      error: objectError,
    });
  }

  override fetch(request: Request): Promise<Response> {
    return this.#fetch(request);
  }

  writeAudit(items: readonly AuditItem[]): void {
    writeAudit(this.#context.db, items);
  }

  find(grant: Grant, filters: DeviceFilters): readonly DeviceIds[] {
    return findDevices(this.#context.db, grant, filters);
  }

  grantOfDevice(digest: string): Grant | undefined {
    const { db, now } = this.#context;
    const principal = identify({ is: "key", digest }, db, now());
    return principal.is === "device" && principal.key === "own" ? deviceGrant(principal) : undefined;
  }

  async apiKeyRequested(uuid: string, grant: Grant): Promise<boolean> {
    const { db } = this.#context;
    if (grant.device === undefined && !isValid(grant, db)) return false;
    db.run(
      "INSERT OR IGNORE INTO api_keys (device_id, holder) SELECT id, ? FROM devices WHERE uuid = ?",
      ...[grant.tokenId, uuid],
    );
    await this.#setAlarm();
    return true;
  }

  apiKeyReplaced(uuid: string, holder = ""): void {
    this.#context.db.run(
      "DELETE FROM api_keys WHERE holder <> ? AND device_id = (SELECT id FROM devices WHERE uuid = ?)",
      ...[holder, uuid],
    );
  }

  override async alarm(): Promise<void> {
    const { db, now } = this.#context;
    const expired = db.all<{ id: string }>("SELECT id FROM tokens WHERE expires_at <= ?", now() / 1000);
    const holders = expired.map(({ id }) => id);
    await this.#syncDevices(endApiKeys(db, holders));
  }

  /** For the next synchronization, or the next expiry of a token that knows the API key of a device. */
  async #setAlarm(delayMs = 0): Promise<void> {
    const { db, now } = this.#context;
    const syncAt = this.#sync.isPending ? now() + delayMs : Infinity;
    const expiring = db.one<{ at: number | null }>(
      "SELECT min(expires_at) AS at FROM api_keys JOIN tokens ON tokens.id = holder WHERE NOT ended",
    );
    const at = Math.min(syncAt, expiring?.at == null ? Infinity : expiring.at * 1000);
    if (at !== Infinity) await this.ctx.storage.setAlarm(at);
  }

  async #syncDevices(uuids: readonly string[]): Promise<void> {
    this.#sync.add(uuids);
    await this.#setAlarm((await this.#sync.run()) ? 0 : syncRetryMs);
  }

  /** `POST /v1/update`. A device that misses it polls later. */
  async #requestUpdate(uuid: string): Promise<void> {
    const request: PlainRequest = { method: "POST", path: "/v1/update", headers: [], body: noBytes };
    await this.env.DEVICES.getByName(uuid).call(ownerGrant, request, updateRequestMs);
  }
}
