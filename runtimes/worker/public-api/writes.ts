import * as z from "zod";
import { longestTag, TagKey } from "../../../core/api/cloud/tags.ts";
import { own } from "../../../core/model/json.ts";
import { coversFleet } from "../auth/access.ts";
import type { Database } from "../directory/database.ts";
import { isoTime, type DirectoryContext } from "../directory/context.ts";
import { grantOfReader, type Reader } from "./resources.ts";

/** What may be created and changed through the public API: variables, tags, and a device's own fields. */

export interface Refusal {
  readonly ok: false;
  readonly status: 400 | 403 | 404 | 409;
  readonly message: string;
}
const no = (status: Refusal["status"], message: string): Refusal => ({ ok: false, status, message });

const SingleLine = (longest: number) =>
  z
    .string({ error: "The value must be a text" })
    .max(longest, { error: `The value must have at most ${longest} characters` })
    .regex(/^[^\r\n]*$/, { error: "The value must not contain line breaks" });
export const VariableValue = SingleLine(32 * 1024);

const Name = z.string().max(255, { error: "The name of a variable must have at most 255 characters" });
export const ConfigName = Name.regex(/^(RESIN|BALENA)_[A-Za-z0-9_]+$/, {
  error: "The name of a configuration variable must begin with RESIN_ or BALENA_, and have letters, digits and _ only",
});
export const EnvName = Name.regex(/^[A-Za-z_][A-Za-z0-9_]*$/, {
  error: "The name of a variable must begin with a letter or _, and have letters, digits and _ only",
}).regex(/^(?!(RESIN|BALENA)(_|$)|USER$)/, {
  error: "The names RESIN, BALENA and USER, and what begins with RESIN_ or BALENA_, are reserved",
});

const mostTags = 100;

/** Why a device cannot have these tags beside its others, if it cannot. */
export function tagsFault(db: Database, deviceId: number, keys: readonly string[]): string | undefined {
  const others = db.one<{ n: number }>(
    "SELECT count(*) AS n FROM tags WHERE device_id = ? AND tag_key NOT IN (SELECT value FROM json_each(?))",
    ...[deviceId, JSON.stringify(keys)],
  );
  const count = (others?.n ?? 0) + keys.length;
  return count > mostTags ? `A device has at most ${mostTags} tags, and would have ${count}` : undefined;
}

/** Of one fleet or device. The bytes are those of names and values, which each service gets. */
const mostVariables = { count: 1000, bytes: 256 * 1024 };

/** The owners of too many variables, or too large ones, cannot have them: thrown within a transaction, it undoes it. */
class TooManyVariables extends Error {}

/** Throws `TooManyVariables`, if the owners of these have too many. */
export function expectFewVariables(db: Database, ids: readonly number[]): void {
  const owner = db.one<{ n: number; bytes: number }>(
    `SELECT count(*) AS n, sum(length(CAST(all_of.name || all_of.value AS BLOB))) AS bytes
     FROM (SELECT DISTINCT fleet_id, device_id FROM variables WHERE id IN (SELECT value FROM json_each(?))) AS owners
     JOIN variables AS all_of ON all_of.fleet_id IS owners.fleet_id AND all_of.device_id IS owners.device_id
     GROUP BY all_of.fleet_id, all_of.device_id HAVING n > ? OR bytes > ?`,
    ...[JSON.stringify(ids), mostVariables.count, mostVariables.bytes],
  );
  if (!owner) return;
  const { count, bytes } = mostVariables;
  throw new TooManyVariables(
    `A fleet or a device has at most ${count} variables, of ${bytes} bytes together, and would have ${owner.n}, of ${owner.bytes} bytes`,
  );
}

interface Writable {
  readonly table: "variables" | "tags";
  readonly kind?: "config" | "env";
  readonly owner: "device" | "application";
  readonly nameField: "name" | "tag_key";
  readonly name: z.ZodType<string>;
  readonly value: z.ZodType<string>;
}

const variables = (kind: "config" | "env", owner: "device" | "application"): Writable => ({
  table: "variables",
  kind,
  owner,
  nameField: "name",
  name: kind === "config" ? ConfigName : EnvName,
  value: VariableValue,
});

const writable: Readonly<Record<string, Writable>> = {
  device_config_variable: variables("config", "device"),
  device_environment_variable: variables("env", "device"),
  application_config_variable: variables("config", "application"),
  application_environment_variable: variables("env", "application"),
  device_tag: { table: "tags", owner: "device", nameField: "tag_key", name: TagKey, value: SingleLine(longestTag) },
};

const OwnerId = z.coerce.number({ error: "expected an id" }).int();

/** A new row: its id, or why not. 409 with the word "unique" is what the SDK answers with a PATCH. */
export function create(
  resource: string,
  body: Readonly<Record<string, unknown>>,
  reader: Reader,
  context: DirectoryContext,
): { readonly ok: true; readonly id: number } | Refusal {
  const what = own(writable, resource);
  if (!what) return no(400, `A ${resource} cannot be created here`);
  const owner = OwnerId.safeParse(body[what.owner]);
  const name = what.name.safeParse(body[what.nameField]);
  const value = what.value.safeParse(body["value"]);
  if (!owner.success) return no(400, `Expected the id of the ${what.owner} as ${what.owner}`);
  if (!name.success) return no(400, sentence(name.error));
  if (!value.success) return no(400, sentence(value.error));
  if (!isOf(reader, what.owner, owner.data, context)) return no(404, `There is no such ${what.owner}`);
  if (isBeyond(reader, what)) return beyond;

  const { db, now } = context;
  const column = what.owner === "device" ? "device_id" : "fleet_id";
  const row: Record<string, string | number> = {
    [column]: owner.data,
    [what.nameField]: name.data,
    value: value.data,
    ...(what.kind && { kind: what.kind, created_at: isoTime(now()) }),
  };
  const names = Object.keys(row);
  const same = what.kind ? "kind = ? AND service_id IS NULL AND" : "";
  const isThere = db.one(
    `SELECT 1 FROM ${what.table} WHERE ${same} ${column} = ? AND ${what.nameField} = ?`,
    ...(what.kind ? [what.kind] : []),
    owner.data,
    name.data,
  );
  if (isThere) return no(409, `"${what.owner}" and "${what.nameField}" must be unique.`);
  const fault = what.kind ? undefined : tagsFault(db, owner.data, [name.data]);
  if (fault !== undefined) return no(400, fault);
  const made = within(db, () => {
    const inserted = db.one<{ id: number }>(
      `INSERT INTO ${what.table} (${names.join(", ")}) VALUES (${names.map(() => "?").join(", ")}) RETURNING id`,
      ...Object.values(row),
    );
    if (what.kind && inserted) expectFewVariables(db, [inserted.id]);
    return inserted;
  });
  if (typeof made === "string") return no(400, made);
  if (!made) return no(409, "The row could not be made");
  if (what.kind) context.requestUpdates(devicesOf([made.id], db));
  return { ok: true, id: made.id };
}

/** What a transaction gives, or why it is undone. */
export function within<T>(db: Database, work: () => T): T | string {
  try {
    return db.transaction(work);
  } catch (error) {
    if (error instanceof TooManyVariables) return error.message;
    throw error;
  }
}

/** The devices whose target state these variables are in. */
const devicesOf = (variableIds: readonly number[], db: DirectoryContext["db"]): readonly string[] =>
  db
    .all<{ uuid: string }>(
      `WITH those AS (SELECT * FROM variables WHERE id IN (SELECT value FROM json_each(?)))
       SELECT uuid FROM devices
       WHERE id IN (SELECT device_id FROM those) OR fleet_id IN (SELECT fleet_id FROM those)`,
      JSON.stringify(variableIds),
    )
    .map(({ uuid }) => uuid);

/** SQL: rows by their ids, as JSON. */
const among = "id IN (SELECT value FROM json_each(?))";

const DeviceChanges = z.strictObject({
  device_name: z.string().trim().min(1).max(255).optional(),
  note: z.string().max(10_000).nullable().optional(),
  is_pinned_on__release: z.int().nullable().optional(),
});

/** Changes rows by id. */
export function changes(
  resource: string,
  ids: readonly number[],
  body: Readonly<Record<string, unknown>>,
  reader: Reader,
  { db, requestUpdates }: DirectoryContext,
): Refusal | undefined {
  if (resource === "device") return changeDevices(ids, body, reader, { db, requestUpdates });
  const what = own(writable, resource);
  if (!what) return no(400, `A ${resource} cannot be changed here`);
  if (isBeyond(reader, what)) return beyond;
  const parsed = z.strictObject({ value: what.value }).safeParse(body);
  if (!parsed.success) return no(400, sentence(parsed.error));
  const { value } = parsed.data;
  const fault = within(db, () => {
    db.run(`UPDATE ${what.table} SET value = ? WHERE ${among}`, value, JSON.stringify(ids));
    if (what.kind) expectFewVariables(db, ids);
  });
  if (fault !== undefined) return no(400, fault);
  if (what.kind) requestUpdates(devicesOf(ids, db));
  return undefined;
}

function changeDevices(
  ids: readonly number[],
  body: Readonly<Record<string, unknown>>,
  reader: Reader,
  { db, requestUpdates }: Pick<DirectoryContext, "db" | "requestUpdates">,
): Refusal | undefined {
  const parsed = DeviceChanges.safeParse(body);
  if (!parsed.success) return no(400, sentence(parsed.error));
  const { device_name: name, note, is_pinned_on__release: pin } = parsed.data;
  if (pin !== undefined && isService(reader)) return beyond;
  const devices = db.all<{ id: number; uuid: string; fleetId: number }>(
    `SELECT id, uuid, fleet_id AS fleetId FROM devices WHERE ${among}`,
    JSON.stringify(ids),
  );
  const fleetOfPin =
    pin == null ? undefined : db.one<{ fleetId: number }>("SELECT fleet_id AS fleetId FROM releases WHERE id = ?", pin);
  if (pin != null && devices.some(({ fleetId }) => fleetId !== fleetOfPin?.fleetId))
    return no(400, "A device can be pinned to a release of its own fleet only");
  for (const [column, value] of Object.entries({ name, note, pinned_release_id: pin }))
    if (value !== undefined) db.run(`UPDATE devices SET ${column} = ? WHERE ${among}`, value, JSON.stringify(ids));
  if (name !== undefined || pin !== undefined) requestUpdates(devices.map(({ uuid }) => uuid));
  return undefined;
}

/** Deletes rows by id. */
export function remove(
  resource: string,
  ids: readonly number[],
  reader: Reader,
  { db, requestUpdates }: DirectoryContext,
): Refusal | undefined {
  const what = own(writable, resource);
  if (!what) return no(400, `A ${resource} cannot be deleted here`);
  if (isBeyond(reader, what)) return beyond;
  const devices = what.kind ? devicesOf(ids, db) : [];
  db.run(`DELETE FROM ${what.table} WHERE ${among}`, JSON.stringify(ids));
  requestUpdates(devices);
  return undefined;
}

/**
 * A device reads what is its fleet's, but writes what is its own. Its services do not write its configuration, by which
 * they could open its API to everybody (SUPERVISOR_LOCAL_MODE), nor say what it runs.
 */
const isBeyond = (reader: Reader, { owner, kind }: Writable): boolean =>
  reader.is === "device" && (owner === "application" || (kind === "config" && isService(reader)));
const isService = (reader: Reader): boolean => reader.is === "device" && reader.key === "service";
const beyond = no(
  403,
  "A device may change what is its own only, and a service of it neither its configuration nor its release",
);

const sentence = ({ issues }: z.ZodError): string =>
  issues.map(({ path, message }) => [...path.map(String), message].join(": ")).join("; ");

/** Whether a device or fleet is one of the reader's; a device may write to itself alone. */
function isOf(reader: Reader, owner: "device" | "application", id: number, { db }: DirectoryContext): boolean {
  if (reader.is === "device") return owner === "device" && id === reader.id;
  const row =
    owner === "device"
      ? db.one<{ fleetId: number }>("SELECT fleet_id AS fleetId FROM devices WHERE id = ?", id)
      : db.one<{ fleetId: number }>("SELECT id AS fleetId FROM fleets WHERE id = ?", id);
  return row !== undefined && coversFleet(grantOfReader(reader), row.fleetId);
}
