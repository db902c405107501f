import * as api from "../../../core/api/admin/index.ts";
import { reply } from "../../../core/api/endpoint.ts";
import { ReportedProblems } from "../../../core/api/problem.ts";
import type { Grant } from "../auth/grant.ts";
import { isoTime } from "../database.ts";
import type { DirectoryContext } from "../directory/context.ts";
import { reportedState } from "../directory/device-state.ts";
import { inFleets } from "../directory/principal.ts";
import { progressOfDevice, releaseIdOf, targetOfDevice } from "../directory/releases.ts";
import type { Route } from "../http.ts";
import { findFleet } from "./fleets.ts";
import { adminRoute, noDevice, noFleet, noRelease } from "./route.ts";

export interface DeviceRow extends Record<string, SqlStorageValue> {
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
  /** As JSON. */
  readonly problems: string;
  readonly progress: number | null;
  readonly heardAt: string | null;
  readonly connected: number;
  readonly connectedAt: number | null;
  /** While it is connected. */
  readonly reported: Exclude<api.DeviceState, "offline">;
}

const commitOf = (id: string): string => `(SELECT release_uuid FROM releases WHERE releases.id = ${id})`;

const deviceColumns = `connected, connected_at AS connectedAt, ${reportedState} AS reported,
  id, uuid, name, fleet_id AS fleetId, device_type AS deviceType, created_at AS createdAt,
  supervisor_version AS supervisorVersion, os_version AS osVersion, heard_at AS heardAt,
  ${commitOf("running_release_id")} AS release, ${commitOf(targetOfDevice)} AS target,
  problems, pinned_release_id IS NOT NULL AS pinned, report ->> '$.update_status' AS updateStatus, ${progressOfDevice} AS progress`;

const devices = adminRoute(
  "devices",
  async ({ params: { fleetId, state, search, release, tag, check, after = 0, limit }, grant }, context) => {
    if (fleetId !== undefined && !findFleet(context, grant, fleetId)) return noFleet;
    const [visible, ...values] = inFleets("fleet_id", grant);
    const rows = context.db.all<DeviceRow>(
      `SELECT * FROM (SELECT ${deviceColumns} FROM devices WHERE ${visible} AND id > ? AND ifnull(fleet_id = ?, TRUE)) AS found
       WHERE ifnull(iif(connected, reported, 'offline') = ?, TRUE) AND (? IS NULL OR ${searched})
         AND (? IS NULL OR ifnull(release LIKE ? ESCAPE '\\', FALSE)) AND ${hasTags} ORDER BY id LIMIT ?`,
      ...[...values, after, fleetId ?? null, state ?? null],
      ...[search ?? null, ...Array<string>(5).fill(`%${escaped(search ?? "")}%`)],
      ...[release ?? null, `${escaped(release ?? "")}%`, JSON.stringify(tag ?? []), limit],
    );
    return reply(
      200,
      await Promise.all(
        rows.map((row) => (check === "true" && row.connected === 1 ? withConnection(context, row) : toDevice(row))),
      ),
    );
  },
);

/** SQL: whether a device is searched for; the value is the pattern, for each column. */
const searched = `(${["name", "uuid", "deviceType", "release", "target"]
  .map((column) => `ifnull(${column} LIKE ? ESCAPE '\\', FALSE)`)
  .join(" OR ")})`;

/** SQL: whether a device has all of some tags; the value is their list in JSON. */
const hasTags = `NOT EXISTS (SELECT 1 FROM json_each(?) AS wanted WHERE NOT EXISTS (
  SELECT 1 FROM tags WHERE device_id = found.id AND tag_key = wanted.value ->> '$.key'
    AND ifnull(tags.value = wanted.value ->> '$.value', TRUE)))`;

const escaped = (text: string): string => text.replace(/[\\%_]/g, "\\$&");

export const findDevice = ({ db }: Pick<DirectoryContext, "db">, grant: Grant, uuid: string): DeviceRow | undefined => {
  const [visible, ...values] = inFleets("fleet_id", grant);
  const sql = `SELECT ${deviceColumns} FROM devices WHERE uuid = ? AND ${visible}`;
  return db.one<DeviceRow>(sql, uuid, ...values);
};

/** As the directory knows it. */
function toDevice({ connectedAt, reported, ...row }: DeviceRow): api.Device {
  const problems = ReportedProblems.parse(JSON.parse(row.problems));
  const isFailing = row.updateStatus === "done" && problems.some(({ service }) => service !== undefined);
  return {
    ...row,
    problems,
    ...(isFailing && { updateStatus: "failing" }),
    pinned: row.pinned === 1,
    connected: row.connected === 1,
    state: row.connected === 1 ? reported : "offline",
    connectedSince: row.connected === 1 && connectedAt !== null ? isoTime(connectedAt) : null,
  };
}

/** As its session says now. */
async function withConnection(
  { connectionOf }: Pick<DirectoryContext, "connectionOf">,
  row: DeviceRow,
): Promise<api.Device> {
  const { connected, since } = await connectionOf(row.uuid);
  return toDevice({ ...row, connected: Number(connected), connectedAt: since ?? null });
}

const device = adminRoute("device", async ({ params: { uuid }, grant }, context) => {
  const found = findDevice(context, grant, uuid);
  return found ? reply(200, await withConnection(context, found)) : noDevice;
});

interface ReportRow extends Record<string, SqlStorageValue> {
  readonly fleetName: string;
  readonly addresses: string | null;
  readonly cpuPercent: number | null;
  readonly memoryUsedMb: number | null;
  readonly memoryTotalMb: number | null;
  readonly storageUsedMb: number | null;
  readonly storageTotalMb: number | null;
  readonly cpuCelsius: number | null;
}

interface ServiceRow extends Record<string, SqlStorageValue> {
  readonly service: string;
  readonly status: string;
  readonly image: string;
  readonly downloadProgress: number | null;
}

const figure = (field: string, name: string): string => `report ->> '$.${field}' AS ${name}`;

const deviceStatus = adminRoute("deviceStatus", ({ params: { uuid }, grant }, context) => {
  const found = findDevice(context, grant, uuid);
  if (!found) return noDevice;
  const { db } = context;
  const row = db.one<ReportRow>(
    `SELECT fleets.name AS fleetName, report ->> '$.ip_address' AS addresses,
       ${figure("cpu_usage", "cpuPercent")}, ${figure("cpu_temp", "cpuCelsius")},
       ${figure("memory_usage", "memoryUsedMb")}, ${figure("memory_total", "memoryTotalMb")},
       ${figure("storage_usage", "storageUsedMb")}, ${figure("storage_total", "storageTotalMb")}
     FROM devices JOIN fleets ON fleets.id = fleet_id WHERE devices.id = ?`,
    found.id,
  );
  if (!row) return noDevice;
  // Of two releases of a service the one that came last.
  const services = db.all<ServiceRow>(
    `SELECT services.name AS service, status, location AS image, download_progress AS downloadProgress
     FROM installs JOIN images ON images.id = image_id JOIN services ON services.id = service_id
     WHERE device_id = ? AND status <> 'deleted' ORDER BY installs.release_id`,
    found.id,
  );
  const { fleetName, addresses, ...figures } = row;
  const app = {
    appId: found.fleetId,
    name: fleetName,
    commit: found.release ?? found.target ?? "",
    updateStatus: found.updateStatus ?? "done",
    waits: [],
    services: Object.fromEntries(services.map(({ service, ...rest }) => [service, rest])),
  };
  return reply(200, {
    heardAt: found.heardAt,
    state: {
      settled: found.reported === "well",
      apps: services.length > 0 ? [app] : [],
      problems: ReportedProblems.parse(JSON.parse(found.problems)),
    },
    addresses: addresses?.split(" ").filter(Boolean) ?? [],
    figures,
  });
});

const changeDevice = adminRoute("changeDevice", async ({ params: { uuid }, body, grant, note }, context) => {
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
  db.transaction(() => {
    if (name !== undefined) db.run("UPDATE devices SET name = ? WHERE uuid = ?", name, uuid);
    if (isMoved) leaveFleet(context, before.id, fleetId);
    if (release !== undefined) db.run("UPDATE devices SET pinned_release_id = ? WHERE uuid = ?", releaseId, uuid);
    requestUpdates([uuid]);
  });
  if (isMoved) {
    note({ about: `to fleet ${fleetId}` });
    await syncDevices([uuid]);
  }
  const changed = findDevice(context, grant, uuid);
  return changed ? reply(200, await withConnection(context, changed)) : noDevice;
});

/** Releases and images belong to the old fleet, and may be deleted with it. */
function leaveFleet({ db }: Pick<DirectoryContext, "db">, deviceId: number, fleetId: number): void {
  db.transaction(() => {
    db.run(
      "UPDATE devices SET fleet_id = ?, pinned_release_id = NULL, running_release_id = NULL, running_since = NULL, problems = '[]' WHERE id = ?",
      ...[fleetId, deviceId],
    );
    db.run("DELETE FROM installs WHERE device_id = ?", deviceId);
  });
}

const deleteDevice = adminRoute("deleteDevice", async ({ params: { uuid }, grant }, context) => {
  if (!findDevice(context, grant, uuid)) return noDevice;
  context.db.run("DELETE FROM devices WHERE uuid = ?", uuid);
  await context.syncDevices([uuid]);
  return reply(204, undefined);
});

export const deviceRoutes: readonly Route[] = [devices, device, deviceStatus, changeDevice, deleteDevice];
