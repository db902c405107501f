import * as z from "zod";
import type { Composition } from "../../../core/fleet/release.ts";
import type { FleetRelease, TargetInput, Variable } from "../../../core/fleet/target.ts";
import { isoTime, type Database } from "../database.ts";
import type { DirectoryContext } from "./context.ts";

/** Releases and variables in the directory, and the target states that result from them. */

/** SQL: the release that a row of `devices` should run. */
export const targetOfDevice =
  "ifnull(devices.pinned_release_id, (SELECT release_id FROM fleets WHERE fleets.id = devices.fleet_id))";

/** SQL: the download progress of a row of `devices`, in percent; null when it downloads nothing. */
export const progressOfDevice = `(SELECT CAST(round(avg(iif(status = 'Downloading', ifnull(download_progress, 0), 100))) AS INTEGER)
  FROM installs WHERE device_id = devices.id AND status <> 'deleted' HAVING sum(status = 'Downloading') > 0)`;

/** Adds a release, which becomes the fleet's target unless the fleet is pinned. */
export function addRelease(
  { db, now }: DirectoryContext,
  fleetId: number,
  commit: string,
  composition: Composition,
): number {
  return db.transaction(() => {
    const id = idOf(
      db.one(
        "INSERT INTO releases (fleet_id, release_uuid, composition, created_at) VALUES (?, ?, ?, ?) RETURNING id",
        ...[fleetId, commit, JSON.stringify(composition), isoTime(now())],
      ),
    );
    for (const [name, { image }] of Object.entries(composition.services)) {
      db.run("INSERT OR IGNORE INTO services (fleet_id, name) VALUES (?, ?)", fleetId, name);
      const serviceId = idOf(db.one("SELECT id FROM services WHERE fleet_id = ? AND name = ?", fleetId, name));
      db.run("INSERT OR IGNORE INTO images (service_id, location) VALUES (?, ?)", serviceId, image);
      const imageId = idOf(db.one("SELECT id FROM images WHERE service_id = ? AND location = ?", serviceId, image));
      db.run("INSERT INTO release_images (release_id, image_id) VALUES (?, ?)", id, imageId);
    }
    db.run("UPDATE fleets SET release_id = ? WHERE id = ? AND tracks_latest = 1", id, fleetId);
    return id;
  });
}

const Id = z.object({ id: z.int() });
const idOf = (row: unknown): number => Id.parse(row).id;

const StoredComposition = z.object({
  services: z.record(z.string(), z.looseObject({ image: z.string() })),
  networks: z.record(z.string(), z.looseObject({})),
  volumes: z.record(z.string(), z.looseObject({})),
  configs: z.record(z.string(), z.looseObject({})).optional(),
  secrets: z.record(z.string(), z.looseObject({})).optional(),
});

interface ImageRow extends Record<string, SqlStorageValue> {
  readonly imageId: number;
  readonly serviceId: number;
  readonly service: string;
  readonly location: string;
}

export const imagesOf = (db: Database, releaseId: number): readonly ImageRow[] =>
  db.all<ImageRow>(
    `SELECT images.id AS imageId, services.id AS serviceId, services.name AS service, location
     FROM release_images JOIN images ON images.id = image_id JOIN services ON services.id = service_id
     WHERE release_id = ?`,
    releaseId,
  );

function readRelease(db: Database, id: number): FleetRelease | undefined {
  const row = db.one<{ commit: string; composition: string }>(
    'SELECT release_uuid AS "commit", composition FROM releases WHERE id = ?',
    id,
  );
  if (!row) return undefined;
  const { services, ...definitions } = StoredComposition.parse(JSON.parse(row.composition));
  const images = new Map(imagesOf(db, id).map((image) => [image.service, image]));
  return {
    id,
    commit: row.commit,
    services: Object.entries(services).flatMap(([name, entry]) => {
      const image = images.get(name);
      return image ? [{ name, serviceId: image.serviceId, imageId: image.imageId, entry }] : [];
    }),
    ...definitions,
  };
}

/** The target release of a fleet; undefined if it has none yet. */
export function compositionOfFleet(db: Database, fleetId: number): Composition | undefined {
  const row = db.one<{ composition: string }>(
    "SELECT composition FROM releases JOIN fleets ON release_id = releases.id WHERE fleets.id = ?",
    fleetId,
  );
  return row && StoredComposition.parse(JSON.parse(row.composition));
}

/** What a release, and the one that was made before it, consist of. */
export function compositionsOf(db: Database, releaseId: number): readonly [Composition, Composition] | undefined {
  const [now, before] = db
    .all<{ composition: string }>(
      `SELECT composition FROM releases WHERE fleet_id = (SELECT fleet_id FROM releases WHERE id = ?1) AND id <= ?1
       ORDER BY id DESC LIMIT 2`,
      releaseId,
    )
    .map(({ composition }) => StoredComposition.parse(JSON.parse(composition)));
  return now && [now, before ?? nothing];
}

/** What a fleet without a release consists of. */
export const nothing: Composition = { services: {}, networks: {}, volumes: {} };

/** Of a fleet and one of its devices, without those for services of fleets that the device has left. */
const readVariables = (db: Database, fleetId: number, deviceId: number | null): readonly Variable[] =>
  db
    .all<{ kind: "env" | "config"; of: "fleet" | "device"; service: string | null; name: string; value: string }>(
      `SELECT kind, iif(device_id IS NULL, 'fleet', 'device') AS "of", services.name AS service, variables.name, value
       FROM variables LEFT JOIN services ON services.id = service_id
       WHERE (variables.fleet_id = ?1 OR device_id = ?2) AND ifnull(services.fleet_id = ?1, TRUE) ORDER BY variables.id`,
      fleetId,
      deviceId,
    )
    .map(({ service, ...variable }) => ({ ...variable, ...(service !== null && { service }) }));

/** The input for the target state of a device. */
export function targetInputOfDevice(db: Database, uuid: string): TargetInput | undefined {
  const row = db.one<{
    id: number;
    name: string;
    fleetId: number;
    fleetUuid: string;
    fleetName: string;
    forbidden: string;
    releaseId: number | null;
  }>(
    `SELECT devices.id, devices.name, fleets.id AS fleetId, fleets.uuid AS fleetUuid, fleets.name AS fleetName, forbidden,
       ifnull(pinned_release_id, release_id) AS releaseId
     FROM devices JOIN fleets ON fleets.id = fleet_id WHERE devices.uuid = ?`,
    uuid,
  );
  return (
    row && {
      uuid,
      name: row.name,
      fleet: { id: row.fleetId, uuid: row.fleetUuid, name: row.fleetName, forbidden: toWords(row.forbidden) },
      release: row.releaseId === null ? undefined : readRelease(db, row.releaseId),
      variables: readVariables(db, row.fleetId, row.id),
    }
  );
}

/** The input for the target state of a fleet's devices, with its target release or another one. Undefined if it has no such release. */
export function targetInputOfFleet(db: Database, uuid: string, commit: string | undefined): TargetInput | undefined {
  const fleet = db.one<{ id: number; name: string; forbidden: string; releaseId: number | null }>(
    "SELECT id, name, forbidden, release_id AS releaseId FROM fleets WHERE uuid = ?",
    uuid,
  );
  if (!fleet) return undefined;
  const { id, name } = fleet;
  const releaseId = commit === undefined ? fleet.releaseId : releaseIdOf(db, id, commit);
  if (releaseId === undefined) return undefined;
  return {
    uuid,
    name,
    fleet: { id, uuid, name, forbidden: toWords(fleet.forbidden) },
    release: releaseId === null ? undefined : readRelease(db, releaseId),
    variables: readVariables(db, id, null),
  };
}

const toWords = (json: string): readonly string[] => z.array(z.string()).parse(JSON.parse(json));

export const releaseIdOf = (db: Database, fleetId: number, commit: string): number | undefined =>
  db.one<{ id: number }>("SELECT id FROM releases WHERE fleet_id = ? AND release_uuid = ?", fleetId, commit)?.id;
