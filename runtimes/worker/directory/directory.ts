import { DurableObject } from "cloudflare:workers";
import { createFetch, type Fetch } from "../../../core/http/fetch.ts";
import { noBytes } from "../../../core/relay/frame.ts";
import { authenticationOf, ownerGrant, type Grant } from "../auth/grant.ts";
import { signToken, webhookSecret } from "../auth/token.ts";
import { Database } from "../database.ts";
import type { Env } from "../env.ts";
import { errorOf, type Route, type Sender } from "../http.ts";
import type { PlainRequest } from "../relay/device-session-rpc.ts";
import { notFound, routes } from "../routes.ts";
import { writeAudit } from "./audit.ts";
import { audited } from "./audited-route.ts";
import type { AuditItem } from "./audit-entry.ts";
import { Changes } from "./changes.ts";
import { Connections } from "./connections.ts";
import type { DirectoryContext } from "./context.ts";
import { DeviceSync } from "./device-sync.ts";
import { findDevices } from "./devices.ts";
import type { DeviceFilters, DeviceIds, DirectoryRpc } from "./directory-rpc.ts";
import { KeptRequests } from "./kept-requests.ts";
import { deviceGrant, identify, isValid } from "./principal.ts";
import { endApiKeys } from "./revocation.ts";
import { Schedule, type Job } from "./schedule.ts";
import { migrations } from "./schema.ts";
import { Webhooks } from "./webhooks.ts";
import { UpdateRequests, type UpdateRequestOutcome } from "./update-requests.ts";

/** A device that does not answer `/v1/update` within this time no longer holds up others. */
const updateRequestMs = 10_000;

/** The record of fleets, devices and keys: one object, which requests that name a device by its uuid do not need. */
export class Directory extends DurableObject<Env> implements DirectoryRpc {
  readonly #context: DirectoryContext;
  readonly #sync: DeviceSync;
  readonly #schedule: Schedule;
  readonly #connections: Connections;
  readonly #fetch: Fetch<never>;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    const db = new Database(state.storage, migrations);
    const now = () => Date.now();
    this.#sync = new DeviceSync(db, env);
    const updates = new UpdateRequests({
      db,
      now,
      send: (uuid) => this.#requestUpdate(uuid),
      changed: () => this.#schedule.plan(),
    });
    const changes = new Changes(db, now);
    const connectionOf = (uuid: string) => env.DEVICES.getByName(uuid).status();
    this.#connections = new Connections({ db, now, changes, connectionOf, changed: () => this.#schedule.plan() });
    const secretOf = ({ id, salt }: { readonly id: string; readonly salt: string }) => webhookSecret(id, salt, env);
    const webhooks = new Webhooks({
      ...{ db, now, changes, secretOf, send: (request: Request) => fetch(request) },
      changed: () => this.#schedule.plan(),
    });
    this.#schedule = new Schedule(state.storage, now, [
      ...[this.#expiry, this.#sync, updates, this.#connections],
      webhooks,
    ]);
    changes.subscribe(() => {
      if (webhooks.dueAt() !== Infinity) this.#schedule.plan();
    });
    this.#context = {
      db,
      now,
      connectionOf: (uuid) => this.#connections.ask(uuid),
      sessionOf: (uuid) => env.DEVICES.getByName(uuid),
      changes,
      requests: new KeptRequests(db),
      webhookSecret: secretOf,
      allowsLoopback: env.ALLOW_LOOPBACK_WEBHOOKS === "1",
      webhooksChanged: () => this.#schedule.plan(),
      signToken: (claims) => signToken(claims, env),
      syncDevices: (uuids) => this.#syncDevices(uuids),
      requestUpdates: (uuids) => {
        updates.add(uuids);
        this.#schedule.plan();
      },
    };
    this.#fetch = createFetch<Sender, DirectoryContext, Route, never>({
      routes: routes.map(audited),
      context: this.#context,
      authenticate: (request) => ({ principal: identify(authenticationOf(request), db, Date.now()), note: () => {} }),
      notFound,
      error: errorOf,
    });
  }

  override fetch(request: Request): Promise<Response> {
    return this.#fetch(request);
  }

  writeAudit(items: readonly AuditItem[]): void {
    writeAudit(this.#context.db, items);
    this.#context.changes.recordAudit(items);
  }

  connectionChanged(uuid: string, isConnected: boolean, since?: number): void {
    this.#connections.changed(uuid, isConnected, since);
  }

  commandFinished(uuid: string, data: Readonly<Record<string, string | number>>): void {
    this.#context.changes.record({ kind: "command.finished", uuid, data });
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
    this.#schedule.plan();
    return true;
  }

  apiKeyReplaced(uuid: string, holder = ""): void {
    this.#context.db.run(
      "DELETE FROM api_keys WHERE holder <> ? AND device_id = (SELECT id FROM devices WHERE uuid = ?)",
      ...[holder, uuid],
    );
  }

  override alarm(): Promise<void> {
    return this.#schedule.run();
  }

  /** The expiry of tokens that know the API key of a device. */
  readonly #expiry: Job = {
    dueAt: () => {
      const { at } = this.#context.db.one<{ at: number | null }>(
        "SELECT min(expires_at) AS at FROM api_keys JOIN tokens ON tokens.id = holder WHERE NOT ended",
      ) ?? { at: null };
      return at === null ? Infinity : at * 1000;
    },
    run: async () => {
      const { db, now } = this.#context;
      const expired = db.all<{ id: string }>("SELECT id FROM tokens WHERE expires_at <= ?", now() / 1000);
      this.#sync.add(
        endApiKeys(
          db,
          expired.map(({ id }) => id),
        ),
      );
      return 0;
    },
  };

  async #syncDevices(uuids: readonly string[]): Promise<void> {
    this.#sync.add(uuids);
    await this.#sync.run();
    this.#schedule.plan();
  }

  /** `POST /v1/update`. */
  async #requestUpdate(uuid: string): Promise<UpdateRequestOutcome> {
    const request: PlainRequest = { method: "POST", path: "/v1/update", headers: [], body: noBytes };
    const outcome = await this.env.DEVICES.getByName(uuid).call(ownerGrant, request, updateRequestMs);
    // The session answers 404 itself when the device is not connected.
    return outcome.is === "answered" ? "answered" : outcome.status === 404 ? "offline" : "failed";
  }
}
