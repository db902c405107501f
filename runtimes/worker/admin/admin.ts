import * as api from "../../../core/api/admin/index.ts";
import { refused } from "../../../core/api/admin/index.ts";
import { reply } from "../../../core/api/endpoint.ts";
import { changesBetween } from "../../../core/fleet/changes.ts";
import { forbiddenFaults, parseComposition } from "../../../core/fleet/release.ts";
import { coversFleet, newKey, type Grant } from "../auth/access.ts";
import { inFleets, isoTime, uuidsOfFleet, type DirectoryContext, type Note } from "../directory/context.ts";
import { route, type Route } from "../http.ts";
import {
  addRelease,
  compositionOfFleet,
  progressOfDevice,
  releaseIdOf,
  targetOfDevice,
} from "../directory/releases.ts";
import { listVariables, removeVariable, setVariables, type Owner } from "../directory/variables.ts";

/** What answers the administration. What is not the caller's, and what does not exist, look the same. */

export const noFleet = reply(404, refused("There is no such fleet"));
export const noDevice = reply(404, refused("There is no such device"));
const noRelease = reply(404, refused("There is no release with this commit in the fleet"));

const whoami = route(api.whoami, ({ grant: { tokenId, fleets, write, secrets, manage } }) =>
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

const fleets = route(api.fleets, ({ grant }, { db }) => {
  const [visible, ...values] = inFleets("id", grant);
  const rows = db.all<FleetRow>(`SELECT ${fleetColumns} FROM fleets WHERE ${visible} ORDER BY id`, ...values);
  return reply(200, rows.map(toFleet));
});

/** Undefined: there is none, or it is not the caller's. */
export const findFleet = ({ db }: DirectoryContext, grant: Grant, id: number): api.Fleet | undefined => {
  const row = coversFleet(grant, id)
    ? db.one<FleetRow>(`SELECT ${fleetColumns} FROM fleets WHERE id = ?`, id)
    : undefined;
  return row && toFleet(row);
};

const createFleet = route(api.createFleet, ({ body: { name, deviceType, forbidden }, grant, note }, context) => {
  if (grant.fleets !== "all") return reply(403, refused("This token is for certain fleets and cannot make another"));
  if (isTaken(context, name)) return taken(name);
  const { db, now } = context;
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

const changeFleet = route(api.changeFleet, ({ params: { fleetId }, body, grant, note }, context) => {
  const { name, release, forbidden } = body;
  if (!findFleet(context, grant, fleetId)) return noFleet;
  note({ about: Object.keys(body).join(", ") });
  if (name !== undefined && isTaken(context, name, fleetId)) return taken(name);
  const { db } = context;
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
  context.requestUpdates(uuidsOfFleet(context, fleetId, name === undefined && !forbidden ? "following" : "all"));
  const made = findFleet(context, grant, fleetId);
  return made ? reply(200, made) : noFleet;
});

/** What a token that may write can make: it must not fill the database that all fleets share. */
const most = { fleets: 1000, releases: 10_000 };

export const isFull = (
  db: DirectoryContext["db"],
  limit: number,
  from: string,
  ...values: readonly number[]
): boolean => (db.one<{ n: number }>(`SELECT count(*) AS n FROM ${from}`, ...values)?.n ?? 0) >= limit;

const isTaken = ({ db }: DirectoryContext, name: string, by = 0): boolean =>
  db.one("SELECT 1 FROM fleets WHERE name = ? AND id <> ?", name, by) !== undefined;
const taken = (name: string) => reply(409, refused(`There is a fleet ${JSON.stringify(name)} already`));

/** Its releases and variables go with it. */
const deleteFleet = route(api.deleteFleet, ({ params: { fleetId }, grant }, context) => {
  const fleet = findFleet(context, grant, fleetId);
  if (!fleet) return noFleet;
  if (fleet.devices > 0)
    return reply(409, refused(`The fleet has ${fleet.devices} devices: delete or move them first`));
  context.db.run("DELETE FROM fleets WHERE id = ?", fleetId);
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

const devices = route(api.devices, async ({ params: { fleetId, after = 0, limit }, grant }, context) => {
  if (fleetId !== undefined && !findFleet(context, grant, fleetId)) return noFleet;
  const [visible, ...values] = inFleets("fleet_id", grant);
  const rows = context.db.all<DeviceRow>(
    `SELECT ${deviceColumns} FROM devices WHERE ${visible} AND id > ? AND ifnull(fleet_id = ?, TRUE) ORDER BY id LIMIT ?`,
    ...values,
    after,
    fleetId ?? null,
    limit,
  );
  return reply(200, await Promise.all(rows.map((row) => withConnection(context, row))));
});

export const findDevice = ({ db }: DirectoryContext, grant: Grant, uuid: string): DeviceRow | undefined => {
  const [visible, ...values] = inFleets("fleet_id", grant);
  const sql = `SELECT ${deviceColumns} FROM devices WHERE uuid = ? AND ${visible}`;
  return db.one<DeviceRow>(sql, uuid, ...values);
};

async function withConnection({ env }: DirectoryContext, row: DeviceRow): Promise<api.Device> {
  const { connected, since } = await env.DEVICES.getByName(row.uuid).status();
  return {
    ...row,
    pinned: row.pinned === 1,
    connected,
    connectedSince: connected && since !== undefined ? isoTime(since) : null,
  };
}

const device = route(api.device, async ({ params: { uuid }, grant }, context) => {
  const found = findDevice(context, grant, uuid);
  return found ? reply(200, await withConnection(context, found)) : noDevice;
});

const changeDevice = route(api.changeDevice, async ({ params: { uuid }, body, grant, note }, context) => {
  const { name, fleetId, release } = body;
  const before = findDevice(context, grant, uuid);
  if (!before) return noDevice;
  if (fleetId !== undefined && !findFleet(context, grant, fleetId)) return noFleet;
  const { db, syncDevices, requestUpdates } = context;
  note({ about: Object.keys(body).join(", ") });
  const isMoved = fleetId !== undefined && fleetId !== before.fleetId;
  const releaseId =
    release === undefined || release === "latest" ? null : releaseIdOf(db, fleetId ?? before.fleetId, release);
  if (releaseId === undefined) return noRelease;
  if (name !== undefined) db.run("UPDATE devices SET name = ? WHERE uuid = ?", name, uuid);
  if (isMoved) {
    leaveFleet(context, before.id, fleetId);
    note({ about: `to fleet ${fleetId}` });
  }
  if (release !== undefined) db.run("UPDATE devices SET pinned_release_id = ? WHERE uuid = ?", releaseId, uuid);
  if (isMoved) await syncDevices([uuid]);
  requestUpdates([uuid]);
  const changed = findDevice(context, grant, uuid);
  return changed ? reply(200, await withConnection(context, changed)) : noDevice;
});

/** Releases and images of the old fleet are none of the new one's, and may be deleted with it. */
function leaveFleet({ db }: DirectoryContext, deviceId: number, fleetId: number): void {
  db.transaction(() => {
    db.run(
      "UPDATE devices SET fleet_id = ?, pinned_release_id = NULL, running_release_id = NULL WHERE id = ?",
      ...[fleetId, deviceId],
    );
    db.run("DELETE FROM installs WHERE device_id = ?", deviceId);
  });
}

const deleteDevice = route(api.deleteDevice, async ({ params: { uuid }, grant }, context) => {
  if (!findDevice(context, grant, uuid)) return noDevice;
  context.db.run("DELETE FROM devices WHERE uuid = ?", uuid);
  await context.syncDevices([uuid]);
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

const releases = route(api.releases, ({ params: { fleetId, before, limit }, grant }, context) => {
  if (!findFleet(context, grant, fleetId)) return noFleet;
  const rows = context.db.all<ReleaseRow>(
    `SELECT ${releaseColumns} FROM releases WHERE fleet_id = ? AND ifnull(id < ?, TRUE) ORDER BY id DESC LIMIT ?`,
    ...[fleetId, before ?? null, limit],
  );
  return reply(200, rows.map(toRelease));
});

const createRelease = route(api.createRelease, ({ params: { fleetId }, body, grant, note }, context) => {
  const fleet = findFleet(context, grant, fleetId);
  if (!fleet) return noFleet;
  const { commit = newKey().slice(0, 32) } = body;
  if (releaseIdOf(context.db, fleetId, commit) !== undefined)
    return reply(409, refused(`There is a release ${commit} of this fleet already`));
  if (isFull(context.db, most.releases, "releases WHERE fleet_id = ?", fleetId))
    return reply(409, refused(`The fleet has ${most.releases} releases already`));
  const parsed = parseComposition(body.composition, { allowUnsupported: body.allowUnsupported ?? false });
  const faults = parsed.ok ? forbiddenFaults(parsed.powers, fleet.forbidden) : parsed.faults;
  if (!parsed.ok || faults.length > 0) return reply(400, refused(faults.join("\n")));
  const powers = Object.fromEntries(Object.entries(parsed.powers).map(([service, asked]) => [service, [...asked]]));
  const checked = { warnings: [...parsed.warnings], powers };
  if (body.dryRun) {
    const before = compositionOfFleet(context.db, fleetId) ?? { services: {}, networks: {}, volumes: {} };
    const changes = changesBetween(before, parsed.composition).map(({ fields, ...one }) => ({
      ...one,
      fields: [...fields],
    }));
    return reply(200, { ...checked, changes });
  }
  const id = addRelease(context, fleetId, commit, parsed.composition);
  note({ about: commit });
  context.requestUpdates(uuidsOfFleet(context, fleetId, "following"));
  const made = context.db.one<ReleaseRow>(`SELECT ${releaseColumns} FROM releases WHERE id = ?`, id);
  return made ? reply(201, { ...toRelease(made), ...checked }) : noFleet;
});

const noVariable = reply(404, refused("There is no such variable"));

const fleetOwner = (id: number): Owner => ({ is: "fleet", id, fleetId: id });
const deviceOwner = ({ id, fleetId }: DeviceRow): Owner => ({ is: "device", id, fleetId });

/** Answers for an owner, and nudges the devices whose variables these are. */
const set = (
  context: DirectoryContext,
  owner: Owner,
  { service, variables }: NewVariables,
  uuids: readonly string[],
  note: Note,
) => {
  const fault = setVariables(context, owner, service, variables);
  if (fault !== undefined) return reply(400, refused(fault));
  note({ about: Object.keys(variables).join(", ") });
  context.requestUpdates(uuids);
  return reply(204, undefined);
};
interface NewVariables {
  readonly service?: string | undefined;
  readonly variables: Readonly<Record<string, string>>;
}

const unset = (
  context: DirectoryContext,
  owner: Owner,
  { name, service }: { readonly name: string; readonly service?: string | undefined },
  uuids: readonly string[],
  note: Note,
) => {
  const removed = removeVariable(context.db, owner, service, name);
  if (typeof removed === "string") return reply(404, refused(removed));
  if (!removed) return noVariable;
  note({ about: name });
  context.requestUpdates(uuids);
  return reply(204, undefined);
};

const fleetVariables = route(api.fleetVariables, ({ params: { fleetId }, grant }, context) =>
  findFleet(context, grant, fleetId) ? reply(200, [...listVariables(context.db, fleetOwner(fleetId))]) : noFleet,
);

const setFleetVariables = route(api.setFleetVariables, ({ params: { fleetId }, body, grant, note }, context) =>
  findFleet(context, grant, fleetId)
    ? set(context, fleetOwner(fleetId), body, uuidsOfFleet(context, fleetId), note)
    : noFleet,
);

const deleteFleetVariable = route(
  api.deleteFleetVariable,
  ({ params: { fleetId, ...variable }, grant, note }, context) =>
    findFleet(context, grant, fleetId)
      ? unset(context, fleetOwner(fleetId), variable, uuidsOfFleet(context, fleetId), note)
      : noFleet,
);

const deviceVariables = route(api.deviceVariables, ({ params: { uuid }, grant }, context) => {
  const found = findDevice(context, grant, uuid);
  return found ? reply(200, [...listVariables(context.db, deviceOwner(found))]) : noDevice;
});

const setDeviceVariables = route(api.setDeviceVariables, ({ params: { uuid }, body, grant, note }, context) => {
  const found = findDevice(context, grant, uuid);
  return found ? set(context, deviceOwner(found), body, [uuid], note) : noDevice;
});

const deleteDeviceVariable = route(
  api.deleteDeviceVariable,
  ({ params: { uuid, ...variable }, grant, note }, context) => {
    const found = findDevice(context, grant, uuid);
    return found ? unset(context, deviceOwner(found), variable, [uuid], note) : noDevice;
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
