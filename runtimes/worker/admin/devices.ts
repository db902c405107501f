import * as api from "../../../core/api/admin/index.ts";
import { reply } from "../../../core/api/endpoint.ts";
import { ReportedProblems } from "../../../core/api/problem.ts";
import type { Grant } from "../auth/grant.ts";
import { isoTime } from "../database.ts";
import type { DirectoryContext } from "../directory/context.ts";
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
}

const commitOf = (id: string): string => `(SELECT release_uuid FROM releases WHERE releases.id = ${id})`;

const deviceColumns = `id, uuid, name, fleet_id AS fleetId, device_type AS deviceType, created_at AS createdAt,
  supervisor_version AS supervisorVersion, os_version AS osVersion, heard_at AS heardAt,
  ${commitOf("running_release_id")} AS release, ${commitOf(targetOfDevice)} AS target,
  problems, pinned_release_id IS NOT NULL AS pinned, report ->> '$.update_status' AS updateStatus, ${progressOfDevice} AS progress`;

const devices = adminRoute("devices", async ({ params: { fleetId, after = 0, limit }, grant }, context) => {
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

export const findDevice = ({ db }: Pick<DirectoryContext, "db">, grant: Grant, uuid: string): DeviceRow | undefined => {
  const [visible, ...values] = inFleets("fleet_id", grant);
  const sql = `SELECT ${deviceColumns} FROM devices WHERE uuid = ? AND ${visible}`;
  return db.one<DeviceRow>(sql, uuid, ...values);
};

async function withConnection({ connectionOf }: DirectoryContext, row: DeviceRow): Promise<api.Device> {
  const { connected, since } = await connectionOf(row.uuid);
  const problems = ReportedProblems.parse(JSON.parse(row.problems));
  const isFailing = row.updateStatus === "done" && problems.some(({ service }) => service !== undefined);
  return {
    ...row,
    problems,
    ...(isFailing && { updateStatus: "failing" }),
    pinned: row.pinned === 1,
    connected,
    connectedSince: connected && since !== undefined ? isoTime(since) : null,
  };
}

const device = adminRoute("device", async ({ params: { uuid }, grant }, context) => {
  const found = findDevice(context, grant, uuid);
  return found ? reply(200, await withConnection(context, found)) : noDevice;
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
      "UPDATE devices SET fleet_id = ?, pinned_release_id = NULL, running_release_id = NULL, problems = '[]' WHERE id = ?",
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

export const deviceRoutes: readonly Route[] = [devices, device, changeDevice, deleteDevice];
