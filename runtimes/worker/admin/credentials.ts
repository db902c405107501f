import * as api from "../../../core/api/admin/index.ts";
import { refused } from "../../../core/api/admin/index.ts";
import { reply } from "../../../core/api/endpoint.ts";
import { coversFleet, digestOf, digestsOf, newKey, signToken, type Grant } from "../auth/access.ts";
import { findDevice, findFleet, isFull, noDevice, noFleet } from "./admin.ts";
import type { Database } from "../directory/database.ts";
import { isGood, isoTime, type AuditTarget, type DirectoryContext } from "../directory/context.ts";
import { route, type Route } from "../http.ts";

/** Keys and tokens: who makes them gives no more than it has, and what a token has made ends with it. */

const isOwner = ({ tokenId }: Grant): boolean => tokenId === "admin";

/** As a row says who made it: null for the owner, whose secret ends nothing. */
const makerOf = (grant: Grant): string | null => (isOwner(grant) ? null : grant.tokenId);

/** Looked at after each wait: what is made a moment after its maker was revoked would not end with it. */
const revoked = reply(401, refused("This token has been revoked"));

const dayMs = 24 * 60 * 60 * 1000;

/**
 * When something expires that a caller makes, in milliseconds since the epoch, or null. A sentence: it may not last as
 * long as was asked for.
 */
function expiryOf(
  { db, now }: DirectoryContext,
  { tokenId }: Grant,
  lifetimeDays: number | "never" | undefined,
  usualDays: number | "never" = "never",
): number | null | string {
  const row = db.one<{ expires_at: number | null }>("SELECT expires_at FROM tokens WHERE id = ?", tokenId);
  const latest = row?.expires_at == null ? Infinity : row.expires_at * 1000;
  const days = lifetimeDays ?? usualDays;
  const wanted = days === "never" ? Infinity : now() + days * dayMs;
  if (lifetimeDays !== undefined && wanted > latest)
    return `What this token makes can last no longer than itself, until ${isoTime(latest)}`;
  const expiry = Math.min(wanted, latest);
  return expiry === Infinity ? null : expiry;
}

/** Of a fleet. */
const mostKeys = 100;

const keyColumns = `id, fleet_id AS fleetId, name, created_at AS createdAt, expires_at AS expiresAt,
  uses_left AS usesLeft, made_by AS madeBy`;

const provisioningKeys = route(api.provisioningKeys, ({ params: { fleetId }, grant }, context) => {
  if (!findFleet(context, grant, fleetId)) return noFleet;
  const sql = `SELECT ${keyColumns} FROM provisioning_keys WHERE fleet_id = ? ORDER BY id`;
  return reply(200, [...context.db.all<api.ProvisioningKey>(sql, fleetId)]);
});

/** One that is forgotten in an image or a script is found years later. */
const usualKeyDays = 90;

const createProvisioningKey = route(
  api.createProvisioningKey,
  async ({ params: { fleetId }, body: { name, lifetimeDays, uses }, grant, note }, context) => {
    const key = newKey();
    const digest = await digestOf(key);
    if (!isGood(grant, context.db)) return revoked;
    if (!findFleet(context, grant, fleetId)) return noFleet;
    const expiry = expiryOf(context, grant, lifetimeDays, usualKeyDays);
    if (typeof expiry === "string") return reply(403, refused(expiry));
    const { db, now } = context;
    if (isFull(db, mostKeys, "provisioning_keys WHERE fleet_id = ?", fleetId))
      return reply(400, refused(`The fleet has ${mostKeys} provisioning keys already: delete some`));
    const made = db.one<api.ProvisioningKey>(
      `INSERT INTO provisioning_keys (fleet_id, name, digest, created_at, expires_at, uses_left, made_by)
       VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING ${keyColumns}`,
      ...[fleetId, name, digest, isoTime(now())],
      ...[expiry === null ? null : isoTime(expiry), uses ?? null, makerOf(grant)],
    );
    if (!made) return noFleet;
    note({ about: `key ${made.id}` });
    return reply(201, { ...made, key });
  },
);

const deleteProvisioningKey = route(
  api.deleteProvisioningKey,
  ({ params: { fleetId, keyId }, grant, note }, context) => {
    if (!findFleet(context, grant, fleetId)) return noFleet;
    const one = context.db.one("SELECT 1 FROM provisioning_keys WHERE id = ? AND fleet_id = ?", keyId, fleetId);
    if (!one) return reply(404, refused("There is no such provisioning key"));
    context.db.run("DELETE FROM provisioning_keys WHERE id = ?", keyId);
    note({ about: `key ${keyId}` });
    return reply(204, undefined);
  },
);

const replaceDeviceKey = route(api.replaceDeviceKey, async ({ params: { uuid }, grant }, context) => {
  const key = newKey();
  const { digest, serviceKeyDigest } = await digestsOf(key);
  if (!isGood(grant, context.db)) return revoked;
  const device = findDevice(context, grant, uuid);
  if (!device) return noDevice;
  endApiKeys(context.db, [`device:${device.id}`]);
  context.db.run(
    "UPDATE devices SET key_digest = ?, service_key_digest = ?, key_made_by = ? WHERE uuid = ?",
    ...[digest, serviceKeyDigest, makerOf(grant), uuid],
  );
  await context.syncDevices([uuid]);
  return reply(200, { key });
});

interface TokenRow extends Record<string, SqlStorageValue> {
  readonly id: string;
  readonly name: string;
  readonly fleets: string;
  readonly write: number;
  readonly secrets: number;
  readonly manage: number;
  readonly made_by: string | null;
  readonly issued_at: number;
  readonly expires_at: number | null;
  readonly revoked_at: number | null;
}

const toToken = ({ id, name, fleets, write, secrets, manage, made_by: madeBy, ...at }: TokenRow): api.Token => ({
  id,
  name,
  fleets: api.Token.shape.fleets.parse(JSON.parse(fleets)),
  write: write === 1,
  secrets: secrets === 1,
  manage: manage === 1,
  madeBy,
  issuedAt: isoTime(at.issued_at * 1000),
  expiresAt: at.expires_at === null ? null : isoTime(at.expires_at * 1000),
  revokedAt: at.revoked_at === null ? null : isoTime(at.revoked_at * 1000),
});

/** SQL: a token, and those that it has made, and that these have made. */
const lineage = `WITH RECURSIVE lineage (id) AS
  (SELECT ?1 UNION SELECT tokens.id FROM tokens JOIN lineage ON tokens.made_by = lineage.id)`;

const tokens = route(api.tokens, ({ grant }, { db }) =>
  reply(
    200,
    (isOwner(grant)
      ? db.all<TokenRow>("SELECT * FROM tokens ORDER BY issued_at, id")
      : db.all<TokenRow>(
          `${lineage} SELECT tokens.* FROM tokens JOIN lineage USING (id) ORDER BY issued_at, id`,
          grant.tokenId,
        )
    ).map(toToken),
  ),
);

const createToken = route(api.createToken, async ({ body, grant, note }, context) => {
  const { name, fleets, lifetimeDays, ...permissions } = body;
  const beyond = beyondOf(grant, body);
  if (beyond !== undefined) return reply(403, refused(`A token can give no more than it has, and this one ${beyond}`));
  const { db, env, now } = context;
  const none = fleets === "all" ? undefined : fleets.find((id) => !db.one("SELECT 1 FROM fleets WHERE id = ?", id));
  if (none !== undefined) return reply(404, refused(`There is no fleet ${none}`));
  const expiry = expiryOf(context, grant, lifetimeDays);
  if (typeof expiry === "string") return reply(403, refused(expiry));
  const iat = Math.floor(now() / 1000);
  const exp = expiry === null ? undefined : Math.ceil(expiry / 1000);
  const id = newKey().slice(0, 16);
  const token = await signToken({ id, fleets, ...permissions, iat, ...(exp !== undefined && { exp }) }, env);
  if (!isGood(grant, db)) return revoked;
  if (familySize(context, grant) >= mostTokens)
    return reply(
      400,
      refused(
        `${mostTokens} tokens have come of the same token of the owner's as this one: the owner can make you another one`,
      ),
    );
  const row: TokenRow = {
    id,
    name,
    fleets: JSON.stringify(fleets),
    write: Number(permissions.write),
    secrets: Number(permissions.secrets),
    manage: Number(permissions.manage),
    made_by: makerOf(grant),
    issued_at: iat,
    expires_at: exp ?? null,
    revoked_at: null,
  };
  db.run(
    `INSERT INTO tokens (${Object.keys(row).join(", ")}) VALUES (${Object.keys(row)
      .map(() => "?")
      .join(", ")})`,
    ...Object.values(row),
  );
  note({ ...fleetOf(fleets), about: `token ${id}` });
  return reply(201, { ...toToken(row), token });
});

/** The fleet that a token is about, if it is one. */
const fleetOf = (fleets: api.Token["fleets"]): AuditTarget =>
  fleets !== "all" && fleets.length === 1 ? { fleetId: fleets[0] } : {};

/** Of a token that the owner has made, with all that came of it. The owner himself makes as many as he likes. */
const mostTokens = 1000;

/** How many there are, with those that expired within 30 days: short-lived ones fill the directory just as well. */
const familySize = ({ db, now }: DirectoryContext, { tokenId }: Grant): number =>
  db.one<{ n: number }>(
    `WITH RECURSIVE makers (id, made_by) AS
       (SELECT id, made_by FROM tokens WHERE id = ?1
        UNION SELECT tokens.id, tokens.made_by FROM tokens JOIN makers ON tokens.id = makers.made_by),
     family (id) AS
       (SELECT id FROM makers WHERE made_by IS NULL
        UNION SELECT tokens.id FROM tokens JOIN family ON tokens.made_by = family.id)
     SELECT count(*) AS n FROM tokens JOIN family USING (id) WHERE ifnull(expires_at > ?2, TRUE)`,
    ...[tokenId, (now() - 30 * dayMs) / 1000],
  )?.n ?? 0;

/** What a caller lacks of what it would give. */
function beyondOf(
  grant: Grant,
  { fleets, write, secrets, manage }: Pick<api.Token, "fleets" | "write" | "secrets" | "manage">,
): string | undefined {
  if (fleets === "all" ? grant.fleets !== "all" : !fleets.every((id) => coversFleet(grant, id)))
    return `is for certain fleets: ${grant.fleets}`;
  if (write && !grant.write) return "may not write";
  if (secrets && !grant.secrets) return "may not read secrets";
  if (manage && !grant.manage) return "may not manage";
  return undefined;
}

const revokeToken = route(api.revokeToken, async ({ params: { tokenId }, grant, note }, context) => {
  const { db, syncDevices } = context;
  const found = db.one<{ fleets: string }>(
    `${lineage} SELECT fleets FROM tokens WHERE id = ?2 AND (?3 OR id IN lineage)`,
    ...[grant.tokenId, tokenId, Number(isOwner(grant))],
  );
  if (!found) return reply(404, refused("There is no such token"));
  const { uuids, ended } = db.transaction(() => endToken(context, tokenId));
  const inFleets = db.all<{ uuid: string }>(
    `SELECT uuid FROM devices WHERE ?1 = '"all"' OR fleet_id IN (SELECT value FROM json_each(?1))`,
    found.fleets,
  );
  const fleets = api.Token.shape.fleets.parse(JSON.parse(found.fleets));
  note({ ...fleetOf(fleets), about: `token ${tokenId}` });
  await syncDevices([...new Set([...uuids, ...inFleets.map(({ uuid }) => uuid)])]);
  return reply(200, ended);
});

/** Ends a token and what it has made; the devices whose sessions must learn of it, beside those of its fleets. */
function endToken({ db, now }: DirectoryContext, tokenId: string): { uuids: readonly string[]; ended: api.Ended } {
  const ids = db.all<{ id: string }>(`${lineage} SELECT id FROM lineage`, tokenId).map(({ id }) => id);
  const all = <T extends Record<string, SqlStorageValue>>(sql: string) => db.all<T>(sql, JSON.stringify(ids));
  const theirs = "IN (SELECT value FROM json_each(?))";
  const revoked = all<{ id: string }>(
    `UPDATE tokens SET revoked_at = ${Math.floor(now() / 1000)} WHERE revoked_at IS NULL AND id ${theirs} RETURNING id`,
  );
  const joined = all(`SELECT 1 FROM devices WHERE joined_by ${theirs}`);
  const provisioningKeys = all(`DELETE FROM provisioning_keys WHERE made_by ${theirs} RETURNING id`);
  // A digest of no key.
  const devices = all<{ id: number; uuid: string }>(
    `UPDATE devices SET key_digest = 'none ' || hex(randomblob(32)), service_key_digest = NULL, key_made_by = NULL
     WHERE key_made_by ${theirs} RETURNING id, uuid`,
  );
  const apiKeys = endApiKeys(db, [...ids, ...devices.map(({ id }) => `device:${id}`)]);
  return {
    uuids: [...devices.map(({ uuid }) => uuid), ...apiKeys],
    ended: {
      tokens: revoked.filter(({ id }) => id !== tokenId).length,
      provisioningKeys: provisioningKeys.length,
      deviceKeys: devices.length,
      apiKeys: apiKeys.length,
      joined: joined.length,
    },
  };
}

/** The API keys of devices that these callers were told are to be replaced; the devices, whose sessions see to it. */
export function endApiKeys(db: Database, holders: readonly string[]): readonly string[] {
  const ended = db.all<{ id: number }>(
    `UPDATE api_keys SET ended = 1 WHERE NOT ended AND holder IN (SELECT value FROM json_each(?))
     RETURNING device_id AS id`,
    JSON.stringify(holders),
  );
  const devices = JSON.stringify(ended.map(({ id }) => id));
  return db
    .all<{ uuid: string }>("SELECT uuid FROM devices WHERE id IN (SELECT value FROM json_each(?))", devices)
    .map(({ uuid }) => uuid);
}

export const credentialRoutes: readonly Route[] = [
  provisioningKeys,
  createProvisioningKey,
  deleteProvisioningKey,
  replaceDeviceKey,
  tokens,
  createToken,
  revokeToken,
];
