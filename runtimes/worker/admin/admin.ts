import * as api from "../../../core/api/admin/index.ts";
import { refused } from "../../../core/api/admin/index.ts";
import { reply } from "../../../core/api/endpoint.ts";
import { forbiddenFaults, parseComposition } from "../../../core/fleet/release.ts";
import { coversFleet, newKey, type Caller } from "../auth/access.ts";
import { inFleets, isoTime, uuidsOfFleet, type Desk, type Note } from "../directory/desk.ts";
import { route, type Route } from "../http.ts";
import { addRelease, progressOfDevice, releaseIdOf, targetOfDevice } from "../directory/releases.ts";
import { listVariables, removeVariable, setVariables, type Owner } from "../directory/variables.ts";

/** What answers the administration. What is not the caller's, and what does not exist, look the same. */

export const noFleet = reply(404, refused("There is no such fleet"));
export const noDevice = reply(404, refused("There is no such device"));
const noRelease = reply(404, refused("There is no release with this commit in the fleet"));

const whoami = route(api.whoami, ({ caller: { tokenId, fleets, write, secrets, manage } }) =>
  reply(200, { tokenId, fleets: fleets === "all" ? fleets : [...fleets], write, secrets, manage }),
);

interface FleetRow extends Record<string, SqlStorageValue> {
  readonly id: number;
  readonly uuid: string;
  readonly name: string;
  readonly deviceType: string;
  readonly devices: number;
  readonly release: string | null;
  readonly tracksLatest: number;
  readonly forbidden: string;
  readonly createdAt: string;
}

const fleetColumns = `id, uuid, name, device_type AS deviceType, created_at AS createdAt, tracks_latest AS tracksLatest, forbidden,
  (SELECT release_uuid FROM releases WHERE releases.id = release_id) AS release,
  (SELECT count(*) FROM devices WHERE fleet_id = fleets.id) AS devices`;

const toFleet = (row: FleetRow): api.Fleet => ({
  ...row,
  tracksLatest: row.tracksLatest === 1,
  forbidden: api.Fleet.shape.forbidden.parse(JSON.parse(row.forbidden)),
});

const fleets = route(api.fleets, ({ caller }, { db }) => {
  const [visible, ...values] = inFleets("id", caller);
  const rows = db.all<FleetRow>(`SELECT ${fleetColumns} FROM fleets WHERE ${visible} ORDER BY id`, ...values);
  return reply(200, rows.map(toFleet));
});

/** Undefined: there is none, or it is not the caller's. */
export const findFleet = ({ db }: Desk, caller: Caller, id: number): api.Fleet | undefined => {
  const row = coversFleet(caller, id)
    ? db.one<FleetRow>(`SELECT ${fleetColumns} FROM fleets WHERE id = ?`, id)
    : undefined;
  return row && toFleet(row);
};

const createFleet = route(api.createFleet, ({ body: { name, deviceType, forbidden }, caller, note }, desk) => {
  if (caller.fleets !== "all") return reply(403, refused("This token is for certain fleets and cannot make another"));
  if (isTaken(desk, name)) return taken(name);
  const { db, now } = desk;
  if (isFull(db, most.fleets, "fleets")) return reply(409, refused(`There are ${most.fleets} fleets already`));
  const uuid = newKey().slice(0, 32);
  db.run(
    "INSERT INTO fleets (uuid, name, device_type, created_at, forbidden) VALUES (?, ?, ?, ?, ?)",
    ...[uuid, name, deviceType, isoTime(now()), JSON.stringify(forbidden)],
  );
  const made = db.one<FleetRow>(`SELECT ${fleetColumns} FROM fleets WHERE uuid = ?`, uuid);
  if (!made) return noFleet;
  note({ fleetId: made.id, about: name });
  return reply(201, toFleet(made));
});

const changeFleet = route(api.changeFleet, ({ params: { fleetId }, body, caller, note }, desk) => {
  const { name, release, forbidden } = body;
  if (!findFleet(desk, caller, fleetId)) return noFleet;
  note({ about: Object.keys(body).join(", ") });
  if (name !== undefined && isTaken(desk, name, fleetId)) return taken(name);
  const { db } = desk;
  const releaseId = release === undefined || release === "latest" ? null : releaseIdOf(db, fleetId, release);
  if (releaseId === undefined) return noRelease;
  if (name !== undefined) db.run("UPDATE fleets SET name = ? WHERE id = ?", name, fleetId);
  if (release !== undefined)
    db.run(
      `UPDATE fleets SET tracks_latest = ?1 IS NULL,
         release_id = ifnull(?1, (SELECT max(id) FROM releases WHERE fleet_id = fleets.id)) WHERE id = ?2`,
      ...[releaseId, fleetId],
    );
  if (forbidden) db.run("UPDATE fleets SET forbidden = ? WHERE id = ?", JSON.stringify(forbidden), fleetId);
  // The name is in the target state too, and what is forbidden.
  desk.nudge(uuidsOfFleet(desk, fleetId, name === undefined && !forbidden ? "following" : "all"));
  const made = findFleet(desk, caller, fleetId);
  return made ? reply(200, made) : noFleet;
});

/** What a token that may write can make: it must not fill the database that all fleets share. */
const most = { fleets: 1000, releases: 10_000 };

export const isFull = (db: Desk["db"], limit: number, from: string, ...values: readonly number[]): boolean =>
  (db.one<{ n: number }>(`SELECT count(*) AS n FROM ${from}`, ...values)?.n ?? 0) >= limit;

const isTaken = ({ db }: Desk, name: string, by = 0): boolean =>
  db.one("SELECT 1 FROM fleets WHERE name = ? AND id <> ?", name, by) !== undefined;
const taken = (name: string) => reply(409, refused(`There is a fleet ${JSON.stringify(name)} already`));

/** Its releases and variables go with it. */
const deleteFleet = route(api.deleteFleet, ({ params: { fleetId }, caller }, desk) => {
  const fleet = findFleet(desk, caller, fleetId);
  if (!fleet) return noFleet;
  if (fleet.devices > 0)
    return reply(409, refused(`The fleet has ${fleet.devices} devices: delete or move them first`));
  desk.db.run("DELETE FROM fleets WHERE id = ?", fleetId);
  return reply(204, undefined);
});

interface DeviceRow extends Record<string, SqlStorageValue> {
  readonly id: number;
  readonly uuid: string;
  readonly name: string;
  readonly fleetId: number;
  readonly deviceType: string;
  readonly createdAt: string;
  readonly supervisorVersion: string | null;
  readonly osVersion: string | null;
  readonly release: string | null;
  readonly target: string | null;
  readonly pinned: number;
  readonly updateStatus: string | null;
  readonly progress: number | null;
  readonly heardAt: string | null;
}

const commitOf = (id: string): string => `(SELECT release_uuid FROM releases WHERE releases.id = ${id})`;

const deviceColumns = `id, uuid, name, fleet_id AS fleetId, device_type AS deviceType, created_at AS createdAt,
  supervisor_version AS supervisorVersion, os_version AS osVersion, heard_at AS heardAt,
  ${commitOf("running_release_id")} AS release, ${commitOf(targetOfDevice)} AS target,
  pinned_release_id IS NOT NULL AS pinned, report ->> '$.update_status' AS updateStatus, ${progressOfDevice} AS progress`;

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

export const findDevice = ({ db }: Desk, caller: Caller, uuid: string): DeviceRow | undefined => {
  const [visible, ...values] = inFleets("fleet_id", caller);
  const sql = `SELECT ${deviceColumns} FROM devices WHERE uuid = ? AND ${visible}`;
  return db.one<DeviceRow>(sql, uuid, ...values);
};

async function withConnection({ env }: Desk, row: DeviceRow): Promise<api.Device> {
  const { connected, since } = await env.DEVICES.getByName(row.uuid).status();
  return {
    ...row,
    pinned: row.pinned === 1,
    connected,
    connectedSince: connected && since !== undefined ? isoTime(since) : null,
  };
}

const device = route(api.device, async ({ params: { uuid }, caller }, desk) => {
  const found = findDevice(desk, caller, uuid);
  return found ? reply(200, await withConnection(desk, found)) : noDevice;
});

const changeDevice = route(api.changeDevice, async ({ params: { uuid }, body, caller, note }, desk) => {
  const { name, fleetId, release } = body;
  const before = findDevice(desk, caller, uuid);
  if (!before) return noDevice;
  if (fleetId !== undefined && !findFleet(desk, caller, fleetId)) return noFleet;
  const { db, tell, nudge } = desk;
  note({ about: Object.keys(body).join(", ") });
  const isMoved = fleetId !== undefined && fleetId !== before.fleetId;
  const releaseId =
    release === undefined || release === "latest" ? null : releaseIdOf(db, fleetId ?? before.fleetId, release);
  if (releaseId === undefined) return noRelease;
  if (name !== undefined) db.run("UPDATE devices SET name = ? WHERE uuid = ?", name, uuid);
  if (isMoved) {
    leaveFleet(desk, before.id, fleetId);
    note({ about: `to fleet ${fleetId}` });
  }
  if (release !== undefined) db.run("UPDATE devices SET pinned_release_id = ? WHERE uuid = ?", releaseId, uuid);
  if (isMoved) await tell([uuid]);
  nudge([uuid]);
  const changed = findDevice(desk, caller, uuid);
  return changed ? reply(200, await withConnection(desk, changed)) : noDevice;
});

/** Releases and images of the old fleet are none of the new one's, and may be deleted with it. */
function leaveFleet({ db }: Desk, deviceId: number, fleetId: number): void {
  db.transaction(() => {
    db.run(
      "UPDATE devices SET fleet_id = ?, pinned_release_id = NULL, running_release_id = NULL WHERE id = ?",
      ...[fleetId, deviceId],
    );
    db.run("DELETE FROM installs WHERE device_id = ?", deviceId);
  });
}

const deleteDevice = route(api.deleteDevice, async ({ params: { uuid }, caller }, desk) => {
  if (!findDevice(desk, caller, uuid)) return noDevice;
  desk.db.run("DELETE FROM devices WHERE uuid = ?", uuid);
  await desk.tell([uuid]);
  return reply(204, undefined);
});

const releaseColumns = `id, fleet_id AS fleetId, release_uuid AS "commit", created_at AS createdAt,
  (SELECT json_group_array(services.name ORDER BY services.name) FROM release_images JOIN images ON images.id = image_id
   JOIN services ON services.id = service_id WHERE release_id = releases.id) AS services,
  id = (SELECT release_id FROM fleets WHERE fleets.id = fleet_id) AS target,
  (SELECT count(*) FROM devices WHERE running_release_id = releases.id) AS devices`;

interface ReleaseRow extends Record<string, SqlStorageValue> {
  readonly id: number;
  readonly fleetId: number;
  readonly commit: string;
  readonly createdAt: string;
  readonly services: string;
  readonly target: number | null;
  readonly devices: number;
}

const toRelease = ({ services, target, ...row }: ReleaseRow): api.Release => ({
  ...row,
  services: api.Release.shape.services.parse(JSON.parse(services)),
  target: target === 1,
});

const releases = route(api.releases, ({ params: { fleetId, before, limit }, caller }, desk) => {
  if (!findFleet(desk, caller, fleetId)) return noFleet;
  const rows = desk.db.all<ReleaseRow>(
    `SELECT ${releaseColumns} FROM releases WHERE fleet_id = ? AND ifnull(id < ?, TRUE) ORDER BY id DESC LIMIT ?`,
    ...[fleetId, before ?? null, limit],
  );
  return reply(200, rows.map(toRelease));
});

const createRelease = route(api.createRelease, ({ params: { fleetId }, body, caller, note }, desk) => {
  const fleet = findFleet(desk, caller, fleetId);
  if (!fleet) return noFleet;
  const { commit = newKey().slice(0, 32) } = body;
  if (releaseIdOf(desk.db, fleetId, commit) !== undefined)
    return reply(409, refused(`There is a release ${commit} of this fleet already`));
  if (isFull(desk.db, most.releases, "releases WHERE fleet_id = ?", fleetId))
    return reply(409, refused(`The fleet has ${most.releases} releases already`));
  const parsed = parseComposition(body.composition);
  const faults = parsed.ok ? forbiddenFaults(parsed.powers, fleet.forbidden) : parsed.faults;
  if (!parsed.ok || faults.length > 0) return reply(400, refused(faults.join("\n")));
  const id = addRelease(desk, fleetId, commit, parsed.composition);
  note({ about: commit });
  desk.nudge(uuidsOfFleet(desk, fleetId, "following"));
  const made = desk.db.one<ReleaseRow>(`SELECT ${releaseColumns} FROM releases WHERE id = ?`, id);
  const powers = Object.fromEntries(Object.entries(parsed.powers).map(([service, asked]) => [service, [...asked]]));
  return made ? reply(201, { ...toRelease(made), warnings: [...parsed.warnings], powers }) : noFleet;
});

const noVariable = reply(404, refused("There is no such variable"));

const fleetOwner = (id: number): Owner => ({ is: "fleet", id, fleetId: id });
const deviceOwner = ({ id, fleetId }: DeviceRow): Owner => ({ is: "device", id, fleetId });

/** Answers for an owner, and nudges the devices whose variables these are. */
const set = (desk: Desk, owner: Owner, { service, variables }: NewVariables, uuids: readonly string[], note: Note) => {
  const fault = setVariables(desk, owner, service, variables);
  if (fault !== undefined) return reply(400, refused(fault));
  note({ about: Object.keys(variables).join(", ") });
  desk.nudge(uuids);
  return reply(204, undefined);
};
interface NewVariables {
  readonly service?: string | undefined;
  readonly variables: Readonly<Record<string, string>>;
}

const unset = (
  desk: Desk,
  owner: Owner,
  { name, service }: { readonly name: string; readonly service?: string | undefined },
  uuids: readonly string[],
  note: Note,
) => {
  const removed = removeVariable(desk.db, owner, service, name);
  if (typeof removed === "string") return reply(404, refused(removed));
  if (!removed) return noVariable;
  note({ about: name });
  desk.nudge(uuids);
  return reply(204, undefined);
};

const fleetVariables = route(api.fleetVariables, ({ params: { fleetId }, caller }, desk) =>
  findFleet(desk, caller, fleetId) ? reply(200, [...listVariables(desk.db, fleetOwner(fleetId))]) : noFleet,
);

const setFleetVariables = route(api.setFleetVariables, ({ params: { fleetId }, body, caller, note }, desk) =>
  findFleet(desk, caller, fleetId) ? set(desk, fleetOwner(fleetId), body, uuidsOfFleet(desk, fleetId), note) : noFleet,
);

const deleteFleetVariable = route(
  api.deleteFleetVariable,
  ({ params: { fleetId, ...variable }, caller, note }, desk) =>
    findFleet(desk, caller, fleetId)
      ? unset(desk, fleetOwner(fleetId), variable, uuidsOfFleet(desk, fleetId), note)
      : noFleet,
);

const deviceVariables = route(api.deviceVariables, ({ params: { uuid }, caller }, desk) => {
  const found = findDevice(desk, caller, uuid);
  return found ? reply(200, [...listVariables(desk.db, deviceOwner(found))]) : noDevice;
});

const setDeviceVariables = route(api.setDeviceVariables, ({ params: { uuid }, body, caller, note }, desk) => {
  const found = findDevice(desk, caller, uuid);
  return found ? set(desk, deviceOwner(found), body, [uuid], note) : noDevice;
});

const deleteDeviceVariable = route(
  api.deleteDeviceVariable,
  ({ params: { uuid, ...variable }, caller, note }, desk) => {
    const found = findDevice(desk, caller, uuid);
    return found ? unset(desk, deviceOwner(found), variable, [uuid], note) : noDevice;
  },
);

export const adminRoutes: readonly Route[] = [
  whoami,
  fleets,
  createFleet,
  changeFleet,
  deleteFleet,
  createRelease,
  releases,
  fleetVariables,
  setFleetVariables,
  deleteFleetVariable,
  deviceVariables,
  setDeviceVariables,
  deleteDeviceVariable,
  devices,
  device,
  changeDevice,
  deleteDevice,
];
