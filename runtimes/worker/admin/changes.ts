import * as api from "../../../core/api/admin/index.ts";
import { reply } from "../../../core/api/endpoint.ts";
import { refuse } from "../../../core/api/refusal.ts";
import { webhookUrlFault } from "../../../core/model/webhook-url.ts";
import { newKey } from "../auth/credential.ts";
import { isOwner, type Grant } from "../auth/grant.ts";
import { isoTime } from "../database.ts";
import { ChangeReader } from "../directory/change-reader.ts";
import type { DirectoryContext } from "../directory/context.ts";
import { isValid } from "../directory/principal.ts";
import { lineage } from "../directory/revocation.ts";
import type { WebhookRow } from "../directory/webhooks.ts";
import type { Route } from "../http.ts";
import { findFleet } from "./fleets.ts";
import { makerOf, revoked } from "./issue.ts";
import { adminRoute, noFleet } from "./route.ts";

const mostReaders = 32;
const mostWebhooks = 50;

/** Of each directory. */
const readersOf = new WeakMap<object, Set<ChangeReader>>();

const changes = adminRoute("changes", ({ params: { fleetId, after }, grant }, context) => {
  if (fleetId !== undefined && !findFleet(context, grant, fleetId)) return noFleet;
  const { db, changes: all } = context;
  const readers = readersOf.get(all) ?? new Set();
  readersOf.set(all, readers);
  if (readers.size >= mostReaders) {
    // A client that has left is noticed now, which makes room.
    for (const one of readers) one.sendHeartbeat();
    return refuse("busy", `The changes have ${mostReaders} readers already: end one of them first`);
  }
  const reader: ChangeReader = new ChangeReader({
    changes: all,
    filter: { grant, fleetId },
    after: after === undefined ? all.last() : Math.min(after, all.last()),
    isValid: () => isValid(grant, db),
    closed: () => readers.delete(reader),
  });
  readers.add(reader);
  return reply(200, reader.stream);
});

const toWebhook = ({ id, url, fleet_id: fleetId, kinds, ...row }: WebhookRow): api.Webhook => ({
  ...{ id, url, fleetId, kinds: api.Webhook.shape.kinds.parse(JSON.parse(kinds)), madeBy: row.made_by },
  ...{ createdAt: isoTime(row.created_at), delivered: row.cursor, failures: row.attempts, lastError: row.last_error },
  retryAt: row.attempts > 0 && row.disabled_at === null ? isoTime(row.due_at) : null,
  disabledAt: row.disabled_at === null ? null : isoTime(row.disabled_at),
});

/** Those that the token, or one that it has made, has made; all for the owner. */
const ownWebhooks = ({ db }: Pick<DirectoryContext, "db">, grant: Grant): readonly WebhookRow[] =>
  isOwner(grant)
    ? db.all<WebhookRow>("SELECT * FROM webhooks ORDER BY created_at, id")
    : db.all<WebhookRow>(
        `${lineage} SELECT webhooks.* FROM webhooks JOIN lineage ON lineage.id = made_by ORDER BY created_at, webhooks.id`,
        grant.tokenId,
      );

const webhooks = adminRoute("webhooks", ({ grant }, context) => reply(200, ownWebhooks(context, grant).map(toWebhook)));

const createWebhook = adminRoute(
  "createWebhook",
  async ({ body: { url, fleetId, kinds = [...api.changeKinds] }, grant, note }, context) => {
    const { db, now, changes: all, webhookSecret, allowsLoopback } = context;
    const fault = webhookUrlFault(url, { allowLoopback: allowsLoopback });
    if (fault !== undefined) return refuse("invalid-request", fault);
    if (fleetId !== undefined && !findFleet(context, grant, fleetId)) return noFleet;
    const [id, salt] = [newKey().slice(0, 16), newKey()];
    const secret = await webhookSecret({ id, salt });
    if (!isValid(grant, db)) return revoked;
    if (db.count("webhooks") >= mostWebhooks)
      return refuse("limit-reached", `There are ${mostWebhooks} webhooks already: delete some`);
    const row: WebhookRow = {
      ...{
        id,
        url,
        salt,
        fleet_id: fleetId ?? null,
        kinds: JSON.stringify(kinds),
        fleets: JSON.stringify(grant.fleets),
      },
      ...{ made_by: makerOf(grant), created_at: now(), cursor: all.last(), due_at: now(), attempts: 0 },
      ...{ failing_since: null, last_error: null, disabled_at: null },
    };
    db.run(
      `INSERT INTO webhooks (${Object.keys(row).join(", ")}) VALUES (${Object.keys(row)
        .map(() => "?")
        .join(", ")})`,
      ...Object.values(row),
    );
    note({ fleetId, about: `webhook ${id}` });
    return reply(201, { ...toWebhook(row), secret: `whsec_${btoa(String.fromCharCode(...secret))}` });
  },
);

const noWebhook = refuse("unknown-webhook", "There is no such webhook");

const changeWebhook = adminRoute(
  "changeWebhook",
  ({ params: { webhookId }, body: { url, kinds, enabled }, grant, note }, context) => {
    const { db, now, allowsLoopback, webhooksChanged } = context;
    const fault = url === undefined ? undefined : webhookUrlFault(url, { allowLoopback: allowsLoopback });
    if (fault !== undefined) return refuse("invalid-request", fault);
    if (!ownWebhooks(context, grant).some(({ id }) => id === webhookId)) return noWebhook;
    const changed = db.one<WebhookRow>(
      `UPDATE webhooks SET url = ifnull(?1, url), kinds = ifnull(?2, kinds),
         disabled_at = CASE ?3 WHEN 1 THEN NULL WHEN 0 THEN ifnull(disabled_at, ?4) ELSE disabled_at END,
         attempts = iif(?3 = 1, 0, attempts), failing_since = iif(?3 = 1, NULL, failing_since), due_at = ?4
       WHERE id = ?5 RETURNING *`,
      ...[url ?? null, kinds ? JSON.stringify(kinds) : null, enabled === undefined ? null : Number(enabled)],
      ...[now(), webhookId],
    );
    if (!changed) return noWebhook;
    note({ about: `webhook ${webhookId}` });
    webhooksChanged();
    return reply(200, toWebhook(changed));
  },
);

const deleteWebhook = adminRoute("deleteWebhook", ({ params: { webhookId }, grant, note }, context) => {
  if (!ownWebhooks(context, grant).some(({ id }) => id === webhookId)) return noWebhook;
  context.db.run("DELETE FROM webhooks WHERE id = ?", webhookId);
  note({ about: `webhook ${webhookId}` });
  return reply(200, { id: webhookId });
});

export const changeRoutes: readonly Route[] = [changes, webhooks, createWebhook, changeWebhook, deleteWebhook];
