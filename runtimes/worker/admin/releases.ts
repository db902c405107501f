import * as api from "../../../core/api/admin/index.ts";
import { reply } from "../../../core/api/endpoint.ts";
import { refuse } from "../../../core/api/refusal.ts";
import { changesBetween } from "../../../core/fleet/changes.ts";
import { forbiddenFaults, parseComposition, type Composition } from "../../../core/fleet/release.ts";
import { newKey } from "../auth/credential.ts";
import type { Database } from "../database.ts";
import { uuidsOfFleet } from "../directory/devices.ts";
import { addRelease, compositionOfFleet, compositionsOf, nothing, releaseIdOf } from "../directory/releases.ts";
import type { Route } from "../http.ts";
import { findFleet } from "./fleets.ts";
import { releaseProgress } from "./release-progress.ts";
import { adminRoute, noFleet, noRelease } from "./route.ts";

/** Of a fleet: a token that may write must not fill the database that all fleets share. */
const mostReleases = 10_000;

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

const releases = adminRoute("releases", ({ params: { fleetId, before, limit }, grant }, context) => {
  if (!findFleet(context, grant, fleetId)) return noFleet;
  const rows = context.db.all<ReleaseRow>(
    `SELECT ${releaseColumns} FROM releases WHERE fleet_id = ? AND ifnull(id < ?, TRUE) ORDER BY id DESC LIMIT ?`,
    ...[fleetId, before ?? null, limit],
  );
  return reply(200, rows.map(toRelease));
});

const changesFrom = (before: Composition, after: Composition): api.Change[] =>
  changesBetween(before, after).map(({ fields, ...one }) => ({ ...one, fields: [...fields] }));

const release = adminRoute("release", ({ params: { fleetId, commit }, grant }, context) => {
  if (!findFleet(context, grant, fleetId)) return noFleet;
  const { db } = context;
  const row = db.one<ReleaseRow>(
    `SELECT ${releaseColumns} FROM releases WHERE fleet_id = ? AND release_uuid = ?`,
    ...[fleetId, commit],
  );
  const [after, before] = (row && compositionsOf(db, row.id)) ?? [];
  return row && after && before
    ? reply(200, { ...toRelease(row), changes: changesFrom(before, after), arrivals: arrivalsAt(db, row) })
    : noRelease;
});

interface ArrivalRow extends Record<string, SqlStorageValue> {
  readonly at: string;
  readonly devices: number;
}

/** The last one, and of the others so many that a hundred are left. */
const arrivalsAt = (db: Database, { id, fleetId }: Pick<ReleaseRow, "id" | "fleetId">): api.Arrival[] => [
  ...db.all<ArrivalRow>(
    `SELECT at, devices FROM (
       SELECT running_since AS at, row_number() OVER (ORDER BY running_since, id) AS devices, count(*) OVER () AS total
       FROM devices WHERE fleet_id = ?1 AND running_release_id = ?2 AND running_since IS NOT NULL)
     WHERE devices % ((total + 99) / 100) = 0 OR devices = total ORDER BY devices`,
    ...[fleetId, id],
  ),
];

const createRelease = adminRoute("createRelease", ({ params: { fleetId }, body, grant, note }, context) => {
  const fleet = findFleet(context, grant, fleetId);
  if (!fleet) return noFleet;
  const { commit = newKey().slice(0, 32) } = body;
  if (releaseIdOf(context.db, fleetId, commit) !== undefined)
    return refuse("already-exists", `There is a release ${commit} of this fleet already`);
  if (context.db.count("releases WHERE fleet_id = ?", fleetId) >= mostReleases)
    return refuse("limit-reached", `The fleet has ${mostReleases} releases already`);
  const parsed = parseComposition(body.composition, { allowUnsupported: body.allowUnsupported ?? false });
  const faults = parsed.ok ? forbiddenFaults(parsed.powers, fleet.forbidden) : parsed.faults;
  if (!parsed.ok || faults.length > 0) return refuse("invalid-request", faults.join("\n"));
  const powers = Object.fromEntries(Object.entries(parsed.powers).map(([service, powers]) => [service, [...powers]]));
  const checked = { warnings: [...parsed.warnings], powers };
  if (body.dryRun) {
    const before = compositionOfFleet(context.db, fleetId) ?? nothing;
    return reply(200, { ...checked, changes: changesFrom(before, parsed.composition) });
  }
  const id = context.db.transaction(() => {
    const added = addRelease(context, fleetId, commit, parsed.composition);
    context.requestUpdates(uuidsOfFleet(context.db, fleetId, "following"));
    return added;
  });
  note({ about: commit });
  const made = context.db.one<ReleaseRow>(`SELECT ${releaseColumns} FROM releases WHERE id = ?`, id);
  return made ? reply(201, { ...toRelease(made), ...checked }) : noFleet;
});

export const releaseRoutes: readonly Route[] = [createRelease, releases, release, releaseProgress];
