import * as api from "../../core/api/cloud-admin.ts";
import { refused } from "../../core/api/cloud-admin.ts";
import { reply } from "../../core/api/endpoint.ts";
import { coversFleet, digestOf, newKey, signToken, type Caller } from "./access.ts";
import { inFleets, isoTime, type Desk } from "./desk.ts";
import { route, type Route } from "./http.ts";

/** What answers the administration. What is not the caller's, and what does not exist, look the same. */

const noFleet = reply(404, refused("There is no such fleet"));
const noDevice = reply(404, refused("There is no such device"));
const noToken = reply(404, refused("There is no such token"));
const ownerOnly = reply(403, refused("Only the admin secret may do that"));

const whoami = route(api.whoami, ({ caller: { tokenId, fleets, write } }) =>
  reply(200, { tokenId, fleets: fleets === "all" ? fleets : [...fleets], write }),
);

const fleetColumns = `id, uuid, name, device_type AS deviceType, created_at AS createdAt,
  (SELECT count(*) FROM devices WHERE fleet_id = fleets.id) AS devices`;

const fleets = route(api.fleets, ({ caller }, { db }) => {
  const [visible, ...values] = inFleets("id", caller);
  return reply(200, [
    ...db.all<api.Fleet>(`SELECT ${fleetColumns} FROM fleets WHERE ${visible} ORDER BY id`, ...values),
  ]);
});

/** Undefined: there is none, or it is not the caller's. */
const findFleet = ({ db }: Desk, caller: Caller, id: number): api.Fleet | undefined =>
  coversFleet(caller, id) ? db.one<api.Fleet>(`SELECT ${fleetColumns} FROM fleets WHERE id = ?`, id) : undefined;

const createFleet = route(api.createFleet, ({ body: { name, deviceType }, caller }, desk) => {
  if (caller.fleets !== "all") return reply(403, refused("This token is for certain fleets and cannot make another"));
  if (isTaken(desk, name)) return taken(name);
  const { db, now } = desk;
  const uuid = newKey().slice(0, 32);
  db.run(
    "INSERT INTO fleets (uuid, name, device_type, created_at) VALUES (?, ?, ?, ?)",
    uuid,
    name,
    deviceType,
    isoTime(now()),
  );
  const made = db.one<api.Fleet>(`SELECT ${fleetColumns} FROM fleets WHERE uuid = ?`, uuid);
  return made ? reply(201, made) : noFleet;
});

const renameFleet = route(api.renameFleet, ({ params: { fleetId }, body: { name }, caller }, desk) => {
  if (!findFleet(desk, caller, fleetId)) return noFleet;
  if (isTaken(desk, name, fleetId)) return taken(name);
  desk.db.run("UPDATE fleets SET name = ? WHERE id = ?", name, fleetId);
  const made = findFleet(desk, caller, fleetId);
  return made ? reply(200, made) : noFleet;
});

const isTaken = ({ db }: Desk, name: string, by = 0): boolean =>
  db.one("SELECT 1 FROM fleets WHERE name = ? AND id <> ?", name, by) !== undefined;
const taken = (name: string) => reply(409, refused(`There is a fleet ${JSON.stringify(name)} already`));

const deleteFleet = route(api.deleteFleet, ({ params: { fleetId }, caller }, desk) => {
  const fleet = findFleet(desk, caller, fleetId);
  if (!fleet) return noFleet;
  if (fleet.devices > 0)
    return reply(409, refused(`The fleet has ${fleet.devices} devices: delete or move them first`));
  desk.db.run("DELETE FROM fleets WHERE id = ?", fleetId);
  return reply(204, undefined);
});

const keyColumns = "id, fleet_id AS fleetId, name, created_at AS createdAt, expires_at AS expiresAt";

const provisioningKeys = route(api.provisioningKeys, ({ params: { fleetId }, caller }, desk) => {
  if (!findFleet(desk, caller, fleetId)) return noFleet;
  const sql = `SELECT ${keyColumns} FROM provisioning_keys WHERE fleet_id = ? ORDER BY id`;
  return reply(200, [...desk.db.all<api.ProvisioningKey>(sql, fleetId)]);
});

const createProvisioningKey = route(
  api.createProvisioningKey,
  async ({ params: { fleetId }, body: { name, lifetimeDays }, caller }, desk) => {
    const key = newKey();
    const digest = await digestOf(key);
    if (!findFleet(desk, caller, fleetId)) return noFleet;
    const { db, now } = desk;
    db.run(
      "INSERT INTO provisioning_keys (fleet_id, name, digest, created_at, expires_at) VALUES (?, ?, ?, ?, ?)",
      fleetId,
      name,
      digest,
      isoTime(now()),
      lifetimeDays === undefined ? null : isoTime(now() + lifetimeDays * dayMs),
    );
    const made = db.one<api.ProvisioningKey>(`SELECT ${keyColumns} FROM provisioning_keys WHERE digest = ?`, digest);
    return made ? reply(201, { ...made, key }) : noFleet;
  },
);

const dayMs = 24 * 60 * 60 * 1000;

const deleteProvisioningKey = route(api.deleteProvisioningKey, ({ params: { fleetId, keyId }, caller }, desk) => {
  if (!findFleet(desk, caller, fleetId)) return noFleet;
  const one = desk.db.one("SELECT 1 FROM provisioning_keys WHERE id = ? AND fleet_id = ?", keyId, fleetId);
  if (!one) return reply(404, refused("There is no such provisioning key"));
  desk.db.run("DELETE FROM provisioning_keys WHERE id = ?", keyId);
  return reply(204, undefined);
});

type DeviceRow = Omit<api.Device, "connected" | "connectedSince">;

const deviceColumns = `id, uuid, name, fleet_id AS fleetId, device_type AS deviceType, created_at AS createdAt,
  supervisor_version AS supervisorVersion, os_version AS osVersion`;

const devices = route(api.devices, async ({ params: { fleetId, after = 0, limit }, caller }, desk) => {
  if (fleetId !== undefined && !findFleet(desk, caller, fleetId)) return noFleet;
  const [visible, ...values] = inFleets("fleet_id", caller);
  const rows = desk.db.all<DeviceRow>(
    `SELECT ${deviceColumns} FROM devices WHERE ${visible} AND id > ? AND ifnull(fleet_id = ?, TRUE) ORDER BY id LIMIT ?`,
    ...values,
    after,
    fleetId ?? null,
    limit,
  );
  return reply(200, await Promise.all(rows.map((row) => withConnection(desk, row))));
});

const findDevice = ({ db }: Desk, caller: Caller, uuid: string): DeviceRow | undefined => {
  const [visible, ...values] = inFleets("fleet_id", caller);
  const sql = `SELECT ${deviceColumns} FROM devices WHERE uuid = ? AND ${visible}`;
  return db.one<DeviceRow>(sql, uuid, ...values);
};

async function withConnection({ env }: Desk, row: DeviceRow): Promise<api.Device> {
  const { connected, since } = await env.DEVICES.getByName(row.uuid).status();
  return { ...row, connected, connectedSince: connected && since !== undefined ? isoTime(since) : null };
}

const device = route(api.device, async ({ params: { uuid }, caller }, desk) => {
  const found = findDevice(desk, caller, uuid);
  return found ? reply(200, await withConnection(desk, found)) : noDevice;
});

const changeDevice = route(api.changeDevice, async ({ params: { uuid }, body: { name, fleetId }, caller }, desk) => {
  if (!findDevice(desk, caller, uuid)) return noDevice;
  if (fleetId !== undefined && !findFleet(desk, caller, fleetId)) return noFleet;
  const { db, tell } = desk;
  if (name !== undefined) db.run("UPDATE devices SET name = ? WHERE uuid = ?", name, uuid);
  if (fleetId !== undefined) {
    // A release of the old fleet is none of the new one's.
    db.run(
      "UPDATE devices SET fleet_id = ?, pinned_release_id = NULL WHERE uuid = ? AND fleet_id <> ?",
      ...[fleetId, uuid, fleetId],
    );
    await tell([uuid]);
  }
  const changed = findDevice(desk, caller, uuid);
  return changed ? reply(200, await withConnection(desk, changed)) : noDevice;
});

const deleteDevice = route(api.deleteDevice, async ({ params: { uuid }, caller }, desk) => {
  if (!findDevice(desk, caller, uuid)) return noDevice;
  desk.db.run("DELETE FROM devices WHERE uuid = ?", uuid);
  await desk.tell([uuid]);
  return reply(204, undefined);
});

const replaceDeviceKey = route(api.replaceDeviceKey, async ({ params: { uuid }, caller }, desk) => {
  const key = newKey();
  const digest = await digestOf(key);
  if (!findDevice(desk, caller, uuid)) return noDevice;
  desk.db.run("UPDATE devices SET key_digest = ? WHERE uuid = ?", digest, uuid);
  await desk.tell([uuid]);
  return reply(200, { key });
});

interface TokenRow {
  readonly id: string;
  readonly name: string;
  readonly fleets: string;
  readonly write: number;
  readonly issued_at: number;
  readonly expires_at: number | null;
  readonly revoked_at: number | null;
}

const toToken = ({ id, name, fleets, write, ...at }: TokenRow): api.Token => ({
  id,
  name,
  fleets: api.Token.shape.fleets.parse(JSON.parse(fleets)),
  write: write === 1,
  issuedAt: isoTime(at.issued_at * 1000),
  expiresAt: at.expires_at === null ? null : isoTime(at.expires_at * 1000),
  revokedAt: at.revoked_at === null ? null : isoTime(at.revoked_at * 1000),
});

const isOwner = ({ tokenId }: Caller): boolean => tokenId === "admin";

const tokens = route(api.tokens, ({ caller }, { db }) =>
  isOwner(caller)
    ? reply(
        200,
        db.all<{ [K in keyof TokenRow]: TokenRow[K] }>("SELECT * FROM tokens ORDER BY issued_at, id").map(toToken),
      )
    : ownerOnly,
);

const createToken = route(api.createToken, async ({ body, caller }, { db, env, now }) => {
  if (!isOwner(caller)) return ownerOnly;
  const { name, fleets, write, lifetimeDays } = body;
  const none = fleets === "all" ? undefined : fleets.find((id) => !db.one("SELECT 1 FROM fleets WHERE id = ?", id));
  if (none !== undefined) return reply(404, refused(`There is no fleet ${none}`));
  const iat = Math.floor(now() / 1000);
  const exp = lifetimeDays === undefined ? undefined : iat + Math.ceil((lifetimeDays * dayMs) / 1000);
  const id = newKey().slice(0, 16);
  const token = await signToken({ id, fleets, write, iat, ...(exp !== undefined && { exp }) }, env);
  const row = {
    id,
    name,
    fleets: JSON.stringify(fleets),
    write: write ? 1 : 0,
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
  return reply(201, { ...toToken(row), token });
});

const revokeToken = route(api.revokeToken, async ({ params: { tokenId }, caller }, { db, now, tell }) => {
  if (!isOwner(caller)) return ownerOnly;
  const found = db.one<{ fleets: string }>("SELECT fleets FROM tokens WHERE id = ?", tokenId);
  if (!found) return noToken;
  db.run("UPDATE tokens SET revoked_at = ifnull(revoked_at, ?) WHERE id = ?", Math.floor(now() / 1000), tokenId);
  const devices = db.all<{ uuid: string }>(
    `SELECT uuid FROM devices WHERE ? = '"all"' OR fleet_id IN (SELECT value FROM json_each(?))`,
    found.fleets,
    found.fleets,
  );
  await tell(devices.map(({ uuid }) => uuid));
  return reply(204, undefined);
});

export const adminRoutes: readonly Route[] = [
  whoami,
  fleets,
  createFleet,
  renameFleet,
  deleteFleet,
  provisioningKeys,
  createProvisioningKey,
  deleteProvisioningKey,
  devices,
  device,
  changeDevice,
  deleteDevice,
  replaceDeviceKey,
  tokens,
  createToken,
  revokeToken,
];
