import type { Database } from "../database.ts";
import type { Grant } from "../auth/grant.ts";
import type { DeviceFilters, DeviceIds } from "./directory-rpc.ts";
import { inFleets, isValid } from "./principal.ts";

/** The devices that the filters select and the grant covers, ordered by id. */
export function findDevices(
  db: Database,
  grant: Grant,
  { uuid, deviceId, appId }: DeviceFilters,
): readonly DeviceIds[] {
  if (grant.device === undefined && !isValid(grant, db)) return [];
  const [visible, ...fleets] = inFleets("fleet_id", grant);
  const filters = { uuid, id: deviceId, fleet_id: appId, "devices.uuid": grant.device };
  const given = Object.entries(filters).filter(([, value]) => value !== undefined);
  return db.all<{ uuid: string; deviceId: number; fleetId: number }>(
    `SELECT uuid, id AS deviceId, fleet_id AS fleetId FROM devices
     WHERE ${[visible, ...given.map(([column]) => `${column} = ?`)].join(" AND ")} ORDER BY id`,
    ...fleets,
    ...given.map(([, value]) => value ?? null),
  );
}

/** The devices of a fleet, or only those that are not pinned to a release. */
export const uuidsOfFleet = (db: Database, fleetId: number, which: "all" | "following" = "all"): string[] =>
  db
    .all<{ uuid: string }>(
      `SELECT uuid FROM devices WHERE fleet_id = ? ${which === "following" ? "AND pinned_release_id IS NULL" : ""}`,
      fleetId,
    )
    .map(({ uuid }) => uuid);
