import * as api from "../../../core/api/admin/index.ts";
import { reply } from "../../../core/api/endpoint.ts";
import { refuse } from "../../../core/api/refusal.ts";
import { digestOf, digestsOf, newKey } from "../auth/credential.ts";
import { isoTime } from "../database.ts";
import { isValid } from "../directory/principal.ts";
import { endApiKeys } from "../directory/revocation.ts";
import type { Route } from "../http.ts";
import { findDevice } from "./devices.ts";
import { findFleet } from "./fleets.ts";
import { expiryOf, makerOf, revoked } from "./issue.ts";
import { adminRoute, noDevice, noFleet } from "./route.ts";

/** Of a fleet. */
const mostKeys = 100;

const keyColumns = `id, fleet_id AS fleetId, name, created_at AS createdAt, expires_at AS expiresAt,
  uses_left AS usesLeft, made_by AS madeBy`;

const provisioningKeys = adminRoute("provisioningKeys", ({ params: { fleetId }, grant }, context) => {
  if (!findFleet(context, grant, fleetId)) return noFleet;
  const sql = `SELECT ${keyColumns} FROM provisioning_keys WHERE fleet_id = ? ORDER BY id`;
  return reply(200, [...context.db.all<api.ProvisioningKey>(sql, fleetId)]);
});

/** A key that stays in an image or a script is found years later. */
const defaultKeyDays = 90;

const createProvisioningKey = adminRoute(
  "createProvisioningKey",
  async ({ params: { fleetId }, body: { name, lifetimeDays, uses }, grant, note }, context) => {
    const key = newKey();
    const digest = await digestOf(key);
    if (!isValid(grant, context.db)) return revoked;
    if (!findFleet(context, grant, fleetId)) return noFleet;
    const expiry = expiryOf(context, grant, lifetimeDays, defaultKeyDays);
    if (typeof expiry === "string") return refuse("forbidden", expiry);
    const { db, now } = context;
    if (db.count("provisioning_keys WHERE fleet_id = ?", fleetId) >= mostKeys)
      return refuse("limit-reached", `The fleet has ${mostKeys} provisioning keys already: delete some`);
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

const deleteProvisioningKey = adminRoute(
  "deleteProvisioningKey",
  ({ params: { fleetId, keyId }, grant, note }, context) => {
    if (!findFleet(context, grant, fleetId)) return noFleet;
    const one = context.db.one("SELECT 1 FROM provisioning_keys WHERE id = ? AND fleet_id = ?", keyId, fleetId);
    if (!one) return refuse("unknown-key", "There is no such provisioning key");
    context.db.run("DELETE FROM provisioning_keys WHERE id = ?", keyId);
    note({ about: `key ${keyId}` });
    return reply(204, undefined);
  },
);

const replaceDeviceKey = adminRoute("replaceDeviceKey", async ({ params: { uuid }, grant }, context) => {
  const key = newKey();
  const { digest, serviceKeyDigest } = await digestsOf(key);
  if (!isValid(grant, context.db)) return revoked;
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

export const keyRoutes: readonly Route[] = [
  provisioningKeys,
  createProvisioningKey,
  deleteProvisioningKey,
  replaceDeviceKey,
];
