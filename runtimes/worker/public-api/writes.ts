import * as z from "zod";
import { longestTag, TagKey } from "../../../core/api/cloud/tags.ts";
import { own } from "../../../core/model/json.ts";
import { coversFleet } from "../auth/grant.ts";
import { isoTime, type Database } from "../database.ts";
import type { DirectoryContext } from "../directory/context.ts";
import { tagsFault } from "../directory/tags.ts";
import { ConfigName, EnvName, expectFewVariables, limited, SingleLine, VariableValue } from "../directory/variables.ts";
import { grantOf, type RowPrincipal } from "./conditions.ts";

/** What may be created and changed through the public API: variables, tags, and a device's own fields. */

export interface Refusal {
  readonly ok: false;
  readonly status: 400 | 403 | 404 | 409;
  readonly message: string;
}
const refusal = (status: Refusal["status"], message: string): Refusal => ({ ok: false, status, message });

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

/** Creates a row. On a 409 with the word "unique" the SDK sends a PATCH. */
export function create(
  resource: string,
  body: Readonly<Record<string, unknown>>,
  principal: RowPrincipal,
  context: DirectoryContext,
): { readonly ok: true; readonly id: number } | Refusal {
  const what = own(writable, resource);
  if (!what) return refusal(400, `A ${resource} cannot be created here`);
  const owner = OwnerId.safeParse(body[what.owner]);
  const name = what.name.safeParse(body[what.nameField]);
  const value = what.value.safeParse(body["value"]);
  if (!owner.success) return refusal(400, `Expected the id of the ${what.owner} as ${what.owner}`);
  if (!name.success) return refusal(400, sentence(name.error));
  if (!value.success) return refusal(400, sentence(value.error));
  if (!mayWriteTo(principal, what.owner, owner.data, context)) return refusal(404, `There is no such ${what.owner}`);
  if (isForbidden(principal, what)) return forbidden;

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
  if (isThere) return refusal(409, `"${what.owner}" and "${what.nameField}" must be unique.`);
  const fault = what.kind ? undefined : tagsFault(db, owner.data, [name.data]);
  if (fault !== undefined) return refusal(400, fault);
  const made = limited(db, () => {
    const inserted = db.one<{ id: number }>(
      `INSERT INTO ${what.table} (${names.join(", ")}) VALUES (${names.map(() => "?").join(", ")}) RETURNING id`,
      ...Object.values(row),
    );
    if (what.kind && inserted) {
      expectFewVariables(db, [inserted.id]);
      context.requestUpdates(devicesOf([inserted.id], db));
    }
    return inserted;
  });
  if (typeof made === "string") return refusal(400, made);
  if (!made) return refusal(409, "The row could not be made");
  return { ok: true, id: made.id };
}

/** The devices whose target state contains these variables. */
const devicesOf = (variableIds: readonly number[], db: Database): readonly string[] =>
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
  principal: RowPrincipal,
  { db, requestUpdates }: DirectoryContext,
): Refusal | undefined {
  if (resource === "device") return changeDevices(ids, body, principal, { db, requestUpdates });
  const what = own(writable, resource);
  if (!what) return refusal(400, `A ${resource} cannot be changed here`);
  if (isForbidden(principal, what)) return forbidden;
  const parsed = z.strictObject({ value: what.value }).safeParse(body);
  if (!parsed.success) return refusal(400, sentence(parsed.error));
  const { value } = parsed.data;
  const fault = limited(db, () => {
    db.run(`UPDATE ${what.table} SET value = ? WHERE ${among}`, value, JSON.stringify(ids));
    if (!what.kind) return;
    expectFewVariables(db, ids);
    requestUpdates(devicesOf(ids, db));
  });
  return fault === undefined ? undefined : refusal(400, fault);
}

function changeDevices(
  ids: readonly number[],
  body: Readonly<Record<string, unknown>>,
  principal: RowPrincipal,
  { db, requestUpdates }: Pick<DirectoryContext, "db" | "requestUpdates">,
): Refusal | undefined {
  const parsed = DeviceChanges.safeParse(body);
  if (!parsed.success) return refusal(400, sentence(parsed.error));
  const { device_name: name, note, is_pinned_on__release: pin } = parsed.data;
  if (pin !== undefined && isService(principal)) return forbidden;
  const devices = db.all<{ id: number; uuid: string; fleetId: number }>(
    `SELECT id, uuid, fleet_id AS fleetId FROM devices WHERE ${among}`,
    JSON.stringify(ids),
  );
  const fleetOfPin =
    pin == null ? undefined : db.one<{ fleetId: number }>("SELECT fleet_id AS fleetId FROM releases WHERE id = ?", pin);
  if (pin != null && devices.some(({ fleetId }) => fleetId !== fleetOfPin?.fleetId))
    return refusal(400, "A device can be pinned to a release of its own fleet only");
  db.transaction(() => {
    for (const [column, value] of Object.entries({ name, note, pinned_release_id: pin }))
      if (value !== undefined) db.run(`UPDATE devices SET ${column} = ? WHERE ${among}`, value, JSON.stringify(ids));
    if (name !== undefined || pin !== undefined) requestUpdates(devices.map(({ uuid }) => uuid));
  });
  return undefined;
}

/** Deletes rows by id. */
export function remove(
  resource: string,
  ids: readonly number[],
  principal: RowPrincipal,
  { db, requestUpdates }: DirectoryContext,
): Refusal | undefined {
  const what = own(writable, resource);
  if (!what) return refusal(400, `A ${resource} cannot be deleted here`);
  if (isForbidden(principal, what)) return forbidden;
  db.transaction(() => {
    if (what.kind) requestUpdates(devicesOf(ids, db));
    db.run(`DELETE FROM ${what.table} WHERE ${among}`, JSON.stringify(ids));
  });
  return undefined;
}

/**
 * A device reads what belongs to its fleet, but writes only what is its own. Its services may not write its configuration,
 * which could open its API to everybody (SUPERVISOR_LOCAL_MODE), nor select its release.
 */
const isForbidden = (principal: RowPrincipal, { owner, kind }: Writable): boolean =>
  principal.is === "device" && (owner === "application" || (kind === "config" && isService(principal)));
const isService = (principal: RowPrincipal): boolean => principal.is === "device" && principal.key === "service";
const forbidden = refusal(
  403,
  "A device may change what is its own only, and a service of it neither its configuration nor its release",
);

const sentence = ({ issues }: z.ZodError): string =>
  issues.map(({ path, message }) => [...path.map(String), message].join(": ")).join("; ");

/** Whether a principal may write to a device or fleet; a device may write only to itself. */
function mayWriteTo(
  principal: RowPrincipal,
  owner: "device" | "application",
  id: number,
  { db }: DirectoryContext,
): boolean {
  if (principal.is === "device") return owner === "device" && id === principal.id;
  const row =
    owner === "device"
      ? db.one<{ fleetId: number }>("SELECT fleet_id AS fleetId FROM devices WHERE id = ?", id)
      : db.one<{ fleetId: number }>("SELECT id AS fleetId FROM fleets WHERE id = ?", id);
  return row !== undefined && coversFleet(grantOf(principal), row.fleetId);
}
