import { issueMessage } from "../../../core/model/issue.ts";
import * as z from "zod";
import * as api from "../../../core/api/cloud/report.ts";
import {
  fieldsAfter,
  installsAfter,
  updateOf,
  type Fields,
  type Install,
  type ReportedRelease,
} from "../../../core/fleet/reported-state.ts";
import { ReportedProblem } from "../../../core/api/problem.ts";
import { isoTime, type Database } from "../database.ts";
import type { NewChange } from "../directory/changes.ts";
import { imagesOf, releaseIdOf } from "../directory/releases.ts";
import { emptyError, objectError, type Route } from "../http.ts";
import { deviceRoute, ownPart } from "./route.ts";

/**
 * Differs from the public cloud: numbers are rounded; an unknown release or image does not reject the rest of the report;
 * an image may be reported under two names; no progress or metric is dropped; and 400 has a reason.
 */
const report = deviceRoute("report", {
  answer: async (request, { principal: { principal } }, { db, now, changes }) => {
    const own = await ownPart(request, principal);
    if (own instanceof Response) return own;
    const parsed = api.StateReport.safeParse(own.part);
    if (!parsed.success)
      return objectError(
        400,
        parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issueMessage(issue)}`).join("\n"),
      );
    const before = storedOf(db, own.id);
    db.transaction(() => applyReport(db, own.id, parsed.data, isoTime(now())));
    const after = storedOf(db, own.id);
    if (before && after)
      for (const change of changesBetween(before, after)) changes.record({ uuid: own.uuid, ...change });
    return emptyError(200);
  },
});

interface StoredRow extends Record<string, SqlStorageValue> {
  readonly status: string | null;
  readonly commit: string | null;
  readonly problems: string;
}

/** What a report may change, and readers of changes want to know. */
const storedOf = (db: Database, deviceId: number): StoredRow | undefined =>
  db.one<StoredRow>(
    `SELECT json_extract(report, '$.update_status') AS status, json_extract(report, '$.update_commit') AS "commit", problems
     FROM devices WHERE id = ?`,
    deviceId,
  );

function changesBetween(before: StoredRow, after: StoredRow): readonly Omit<NewChange, "uuid">[] {
  const [old, now] = [before, after].map(({ problems }) => problemsIn(problems));
  const missing = (from: typeof old, others: typeof old) => [...(from ?? [])].filter(([key]) => !others?.has(key));
  return [
    ...(after.status !== null && (before.status !== after.status || before.commit !== after.commit)
      ? [
          {
            kind: "update.changed" as const,
            data: { status: after.status, release: after.commit, before: before.status },
          },
        ]
      : []),
    ...missing(now, old).map(([, problem]) => ({ kind: kindOf(problem, "found"), data: dataOf(problem) })),
    ...missing(old, now).map(([, problem]) => ({ kind: kindOf(problem, "ended"), data: dataOf(problem) })),
  ];
}

const problemsIn = (text: string): ReadonlyMap<string, ReportedProblem> =>
  new Map(
    (text === "[]" ? [] : z.array(ReportedProblem).parse(JSON.parse(text))).map((one) => [
      JSON.stringify([one.appId, one.app, one.service, one.kind]),
      one,
    ]),
  );

/** A held update lock is no fault. */
const kindOf = <const T extends "found" | "ended">({ kind }: ReportedProblem, what: T) =>
  kind === "locked" ? (`lock.${what}` as const) : (`problem.${what}` as const);

const dataOf = ({ appId, service, kind, message, since }: ReportedProblem): NewChange["data"] => ({
  problem: kind,
  ...(appId !== undefined && { appId }),
  ...(service !== undefined && { service }),
  ...{ message, since },
});

interface DeviceRow extends Record<string, SqlStorageValue> {
  readonly fleetId: number;
  readonly fleetUuid: string;
  readonly report: string;
  readonly running: number | null;
  readonly supervisor_version: string | null;
  readonly os_version: string | null;
  readonly os_variant: string | null;
  readonly mac_address: string | null;
}

const StoredReport = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]));

function applyReport(db: Database, deviceId: number, given: api.StateReport, at: string): void {
  const known = db.one<DeviceRow>(
    `SELECT fleet_id AS fleetId, fleets.uuid AS fleetUuid, report, running_release_id AS running,
       supervisor_version, os_version, os_variant, mac_address
     FROM devices JOIN fleets ON fleets.id = fleet_id WHERE devices.id = ?`,
    deviceId,
  );
  if (!known) return;
  const { fleetId, fleetUuid, report: before, running, ...columns } = known;
  const app = given.apps?.[fleetUuid];
  const update = updateOf(app);
  const { supervisor_version, os_version, os_variant, mac_address, ...rest } = fieldsAfter(
    {
      ...columns,
      ...StoredReport.parse(JSON.parse(before)),
      ...(update && { update_status: update.status, update_status_at: at, update_commit: update.commit }),
    },
    given,
  );
  const reached = app?.release_uuid === undefined ? undefined : releaseIdOf(db, fleetId, app.release_uuid);
  db.run(
    `UPDATE devices SET supervisor_version = ?1, os_version = ?2, os_variant = ?3, mac_address = ?4, report = ?5,
       running_since = iif(running_release_id IS ?6, running_since, ?7), running_release_id = ?6, heard_at = ?7,
       problems = ifnull(?8, problems), offline_at = NULL WHERE id = ?9`,
    ...[supervisor_version, os_version, os_variant, mac_address].map(toText),
    ...[JSON.stringify(rest), reached ?? running, at, given.problems ? JSON.stringify(given.problems) : null, deviceId],
  );
  if (given.apps === undefined) return;
  const installs = installsOf(db, deviceId);
  const after = installsAfter(installs, app, reportedReleases(db, fleetId, Object.keys(app?.releases ?? {})));
  for (const install of after)
    if (!installs.some((one) => isSame(one, install))) storeInstall(db, deviceId, install, at);
  pruneDeleted(db, deviceId);
}

/** Deleted installs that are kept for a device: the latest. */
const mostDeleted = 100;

const pruneDeleted = (db: Database, deviceId: number): number =>
  db.run(
    `DELETE FROM installs WHERE id IN
       (SELECT id FROM installs WHERE device_id = ? AND status = 'deleted' ORDER BY id DESC LIMIT -1 OFFSET ?)`,
    ...[deviceId, mostDeleted],
  );

const toText = (value: Fields[string] | undefined): string | null => (typeof value === "string" ? value : null);

const isSame = (a: Install, b: Install): boolean =>
  a.imageId === b.imageId && a.releaseId === b.releaseId && a.status === b.status && a.progress === b.progress;

const installsOf = (db: Database, deviceId: number): readonly Install[] =>
  db.all<{ imageId: number; releaseId: number; status: string; progress: number | null }>(
    `SELECT image_id AS imageId, release_id AS releaseId, status, download_progress AS progress
     FROM installs WHERE device_id = ?`,
    deviceId,
  );

const storeInstall = (
  db: Database,
  deviceId: number,
  { imageId, releaseId, status, progress }: Install,
  at: string,
): number =>
  db.run(
    `INSERT INTO installs (device_id, image_id, release_id, status, download_progress, installed_at)
     VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (device_id, image_id) DO UPDATE SET release_id = excluded.release_id, status = excluded.status,
       download_progress = excluded.download_progress`,
    ...[deviceId, imageId, releaseId, status, progress, at],
  );

const reportedReleases = (db: Database, fleetId: number, commits: readonly string[]): readonly ReportedRelease[] =>
  commits.flatMap((commit) => {
    const id = releaseIdOf(db, fleetId, commit);
    if (id === undefined) return [];
    const images = imagesOf(db, id).map(({ imageId, service, location }) => ({ id: imageId, service, location }));
    return [{ id, commit, images }];
  });

export const reportRoutes: readonly Route[] = [report];
