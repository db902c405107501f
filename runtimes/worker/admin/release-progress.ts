import * as api from "../../../core/api/admin/index.ts";
import { reply } from "../../../core/api/endpoint.ts";
import { isoTime } from "../database.ts";
import { releaseIdOf, targetOfDevice } from "../directory/releases.ts";
import { findFleet } from "./fleets.ts";
import { adminRoute, noFleet, noRelease } from "./route.ts";

/**
 * SQL: the devices that should run a release, with their states. Values: the release's id, its commit, its fleet, and the time
 * before which the last report on the application must have come from a device that is done.
 */
const wanted = `WITH wanted AS (
  SELECT id, uuid, name, heard_at AS heardAt, report ->> '$.update_status' AS reported, running_release_id = ?1 AS runs,
    report ->> '$.update_commit' = ?2 AS isOfRelease, report ->> '$.update_status_at' <= ?4 AS isSteady,
    offline_at IS NOT NULL AS isOffline
  FROM devices WHERE fleet_id = ?3 AND ${targetOfDevice} = ?1
), stated AS (
  SELECT *, iif(runs OR isOfRelease, reported, NULL) AS updateStatus, CASE
    WHEN runs AND reported = 'done' THEN iif(isSteady, 'done', 'settling')
    WHEN isOffline THEN 'offline'
    WHEN isOfRelease AND reported IN ('rejected', 'aborted') THEN 'failed'
    WHEN isOfRelease OR (runs AND reported IS NOT NULL) THEN 'updating'
    ELSE 'waiting' END AS state
  FROM wanted
)`;

/** SQL: percent of what a device has to download for the release; null when it downloads nothing. */
const progress = `(
  SELECT CAST(round(avg(iif(status = 'Downloading', ifnull(download_progress, 0), 100))) AS INTEGER)
  FROM installs WHERE device_id = stated.id AND release_id = ?1 AND status <> 'deleted' HAVING sum(status = 'Downloading') > 0)`;

const order = `CASE state ${api.updateStates.map((state, n) => `WHEN '${state}' THEN ${n}`).join(" ")} END`;

interface CountRow extends Record<string, SqlStorageValue> {
  readonly state: api.UpdateState;
  readonly n: number;
  readonly progress: number | null;
}

interface DeviceRow extends Record<string, SqlStorageValue> {
  readonly uuid: string;
  readonly name: string;
  readonly state: api.UpdateState;
  readonly updateStatus: string | null;
  readonly progress: number | null;
  readonly heardAt: string | null;
}

export const releaseProgress = adminRoute(
  api.releaseProgress,
  ({ params: { fleetId, commit, stayUp, limit }, grant }, context) => {
    if (!findFleet(context, grant, fleetId)) return noFleet;
    const { db, now } = context;
    const releaseId = releaseIdOf(db, fleetId, commit);
    if (releaseId === undefined) return noRelease;
    const values = [releaseId, commit, fleetId, isoTime(now() - stayUp * 1000)];
    const rows = db.all<CountRow>(
      `${wanted} SELECT state, count(*) AS n,
         CAST(round(avg(iif(state = 'updating', ${progress}, NULL))) AS INTEGER) AS progress
       FROM stated GROUP BY state`,
      ...values,
    );
    const countOf = (state: api.UpdateState) => rows.find((row) => row.state === state)?.n ?? 0;
    const first = db.all<DeviceRow>(
      `${wanted} SELECT uuid, name, state, updateStatus, heardAt, ${progress} AS progress
       FROM stated ORDER BY ${order}, id LIMIT ?5`,
      ...[...values, limit],
    );
    return reply(200, {
      commit,
      devices: rows.reduce((sum, { n }) => sum + n, 0),
      counts: {
        ...{ done: countOf("done"), settling: countOf("settling"), updating: countOf("updating") },
        ...{ waiting: countOf("waiting"), failed: countOf("failed"), offline: countOf("offline") },
      },
      progress: rows.find(({ state }) => state === "updating")?.progress ?? null,
      first: first.map((row) => ({ ...row, reasons: reasonsOf(row) })),
    });
  },
);

const reasonsOf = ({ state, updateStatus }: DeviceRow): string[] =>
  state === "failed" ? [`The device reports that the update was ${updateStatus}`] : [];
