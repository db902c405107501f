import * as api from "../../../core/api/admin/index.ts";
import { reply } from "../../../core/api/endpoint.ts";
import { refuse } from "../../../core/api/refusal.ts";
import { coversFleet, type Grant } from "../auth/grant.ts";
import { newKey } from "../auth/credential.ts";
import { isoTime } from "../database.ts";
import type { DirectoryContext } from "../directory/context.ts";
import { reportedState } from "../directory/device-state.ts";
import { uuidsOfFleet } from "../directory/devices.ts";
import { inFleets } from "../directory/principal.ts";
import { releaseIdOf } from "../directory/releases.ts";
import type { Route } from "../http.ts";
import { adminRoute, noFleet, noRelease } from "./route.ts";

const whoami = adminRoute("whoami", ({ grant: { tokenId, fleets, write, secrets, manage, shell } }) =>
  reply(200, { tokenId, fleets: fleets === "all" ? fleets : [...fleets], write, secrets, manage, shell }),
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

const fleets = adminRoute("fleets", ({ grant }, { db }) => {
  const [visible, ...values] = inFleets("id", grant);
  const rows = db.all<FleetRow>(`SELECT ${fleetColumns} FROM fleets WHERE ${visible} ORDER BY id`, ...values);
  return reply(200, rows.map(toFleet));
});

/** Undefined if there is none, or the grant does not cover it. */
export const findFleet = ({ db }: Pick<DirectoryContext, "db">, grant: Grant, id: number): api.Fleet | undefined => {
  const row = coversFleet(grant, id)
    ? db.one<FleetRow>(`SELECT ${fleetColumns} FROM fleets WHERE id = ?`, id)
    : undefined;
  return row && toFleet(row);
};

const createFleet = adminRoute("createFleet", ({ body: { name, deviceType, forbidden }, grant, note }, context) => {
  if (grant.fleets !== "all") return refuse("forbidden", "This token is for certain fleets and cannot make another");
  if (isTaken(context, name)) return taken(name);
  const { db, now } = context;
  if (db.count("fleets") >= mostFleets) return refuse("limit-reached", `There are ${mostFleets} fleets already`);
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

const changeFleet = adminRoute("changeFleet", ({ params: { fleetId }, body, grant, note }, context) => {
  const { name, release, forbidden } = body;
  if (!findFleet(context, grant, fleetId)) return noFleet;
  note({ about: Object.keys(body).join(", ") });
  if (name !== undefined && isTaken(context, name, fleetId)) return taken(name);
  const { db } = context;
  const releaseId = release === undefined || release === "latest" ? null : releaseIdOf(db, fleetId, release);
  if (releaseId === undefined) return noRelease;
  db.transaction(() => {
    if (name !== undefined) db.run("UPDATE fleets SET name = ? WHERE id = ?", name, fleetId);
    if (release !== undefined)
      db.run(
        `UPDATE fleets SET tracks_latest = ?1 IS NULL,
           release_id = ifnull(?1, (SELECT max(id) FROM releases WHERE fleet_id = fleets.id)) WHERE id = ?2`,
        ...[releaseId, fleetId],
      );
    if (forbidden) db.run("UPDATE fleets SET forbidden = ? WHERE id = ?", JSON.stringify(forbidden), fleetId);
    // The target state contains the name and the forbidden powers.
    context.requestUpdates(uuidsOfFleet(db, fleetId, name === undefined && !forbidden ? "following" : "all"));
  });
  const made = findFleet(context, grant, fleetId);
  return made ? reply(200, made) : noFleet;
});

/** A token that may write must not fill the database that all fleets share. */
const mostFleets = 1000;

const isTaken = ({ db }: Pick<DirectoryContext, "db">, name: string, by = 0): boolean =>
  db.one("SELECT 1 FROM fleets WHERE name = ? AND id <> ?", name, by) !== undefined;
const taken = (name: string) => refuse("already-exists", `There is a fleet ${JSON.stringify(name)} already`);

/** Deletes its releases and variables, too. */
const deleteFleet = adminRoute("deleteFleet", ({ params: { fleetId }, grant }, context) => {
  const fleet = findFleet(context, grant, fleetId);
  if (!fleet) return noFleet;
  if (fleet.devices > 0)
    return refuse("fleet-not-empty", `The fleet has ${fleet.devices} devices: delete or move them first`);
  context.db.run("DELETE FROM fleets WHERE id = ?", fleetId);
  return reply(204, undefined);
});

const fleetSummary = adminRoute("fleetSummary", ({ params: { fleetId }, grant }, context) => {
  const fleet = findFleet(context, grant, fleetId);
  if (!fleet) return noFleet;
  const { db } = context;
  const rows = db.all<{ state: api.DeviceState; n: number }>(
    `SELECT iif(connected, ${reportedState}, 'offline') AS state, count(*) AS n FROM devices WHERE fleet_id = ? GROUP BY state`,
    fleetId,
  );
  const releases = db.all<{ commit: string; devices: number }>(
    `SELECT release_uuid AS "commit", count(*) AS devices FROM devices JOIN releases ON releases.id = running_release_id
     WHERE devices.fleet_id = ? GROUP BY running_release_id ORDER BY devices DESC, running_release_id DESC LIMIT 20`,
    fleetId,
  );
  const countOf = (state: api.DeviceState) => rows.find((row) => row.state === state)?.n ?? 0;
  return reply(200, {
    devices: rows.reduce((sum, { n }) => sum + n, 0),
    target: fleet.release,
    states: {
      ...{ failing: countOf("failing"), waiting: countOf("waiting"), updating: countOf("updating") },
      ...{ offline: countOf("offline"), well: countOf("well") },
    },
    releases: [...releases],
  });
});

export const fleetRoutes: readonly Route[] = [whoami, fleets, createFleet, changeFleet, deleteFleet, fleetSummary];
