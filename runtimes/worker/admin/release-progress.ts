import * as api from "../../../core/api/admin/index.ts";
import type { UpdateStatus } from "../../../core/api/cloud/report.ts";
import { reply } from "../../../core/api/endpoint.ts";
import { ReportedProblems } from "../../../core/api/problem.ts";
import type { ProblemKind } from "../../../core/model/problem.ts";
import { isoTime } from "../database.ts";
import { releaseIdOf, targetOfDevice } from "../directory/releases.ts";
import { findFleet } from "./fleets.ts";
import { adminRoute, noFleet, noRelease } from "./route.ts";

const inList = (kinds: readonly ProblemKind[]): string => `IN (${kinds.map((kind) => `'${kind}'`).join(", ")})`;

/**
 * SQL: the problems with which a release has failed on a device, by the reported update status. Until a device has the images,
 * its services are those of the release before. A registry that does not answer and an update lock make a device wait.
 */
const failing: readonly (readonly [UpdateStatus, string])[] = [
  ["downloading", inList(["imageNotFound", "registryRefused", "diskFull"])],
  ["applying changes", inList(["refused", "portTaken", "wrongArchitecture", "diskFull"])],
  ["done", "NOT IN ('locked', 'imageUnavailable')"],
];

/**
 * SQL: the devices that should run a release, with their states. Values: the release's id, its commit, its fleet, and the time
 * before which the last report on the application must have come from a device that is done.
 */
const wanted = `WITH wanted AS (
  SELECT id, uuid, name, heard_at AS heardAt, report ->> '$.update_status' AS reported, running_release_id = ?1 AS runs,
    report ->> '$.update_commit' = ?2 AS isOfRelease, report ->> '$.update_status_at' <= ?4 AS isSteady,
    offline_at IS NOT NULL AS isOffline, problems
  FROM devices WHERE fleet_id = ?3 AND ${targetOfDevice} = ?1
), judged AS (
  SELECT *, EXISTS (SELECT 1 FROM json_each(problems) WHERE CASE reported
${failing.map(([status, kinds]) => `    WHEN '${status}' THEN value ->> '$.kind' ${kinds}`).join("\n")} END) AS isFailing
  FROM wanted
), stated AS (
  SELECT *, iif(runs OR isOfRelease, reported, NULL) AS updateStatus, CASE
    WHEN runs AND reported = 'done' AND NOT isFailing THEN iif(isSteady, 'done', 'settling')
    WHEN isOffline THEN 'offline'
    WHEN isOfRelease AND reported IN ('rejected', 'aborted') OR (runs OR isOfRelease) AND isFailing THEN 'failed'
    WHEN isOfRelease OR (runs AND reported IS NOT NULL) THEN 'updating'
    ELSE 'waiting' END AS state
  FROM judged
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
  /** As JSON. */
  readonly problems: string;
}

export const releaseProgress = adminRoute(
  "releaseProgress",
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
      `${wanted} SELECT uuid, name, state, updateStatus, heardAt, problems, ${progress} AS progress
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
      first: first.map(({ problems, ...row }) => ({ ...row, reasons: reasonsOf({ ...row, problems }) })),
    });
  },
);

/** Of a device that is done or offline, the problems are not why it does not get on. */
function reasonsOf({ state, updateStatus, problems }: DeviceRow): string[] {
  if (state === "done" || state === "offline") return [];
  const all = ReportedProblems.parse(JSON.parse(problems));
  // The others are those of the release that has come back.
  const ofUpdate = updateStatus === "rejected" ? all.filter(({ kind }) => kind === "updateFailed") : [];
  const reasons = (ofUpdate.length > 0 ? ofUpdate : all).map(({ service, message }) =>
    service === undefined ? message : `${service}: ${message}`,
  );
  // An older agent reports no problems.
  return state === "failed" && reasons.length === 0
    ? [`The device reports that the update was ${updateStatus}`]
    : reasons;
}
