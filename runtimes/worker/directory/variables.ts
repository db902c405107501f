import * as z from "zod";
import type { Variable } from "../../../core/api/admin/index.ts";
import { isoTime, type Database } from "../database.ts";
import type { DirectoryContext } from "./context.ts";

/** Variables of fleets and devices, for all services or for one, and what they may look like. */

export const SingleLine = (longest: number) =>
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

/** Of one fleet or device. Bytes of names and values: each service receives all of them. */
const mostVariables = { count: 1000, bytes: 256 * 1024 };

/** An owner has too many variables, or too large ones. Thrown within a transaction, it rolls back. */
class TooManyVariables extends Error {}

/** Throws `TooManyVariables` if the owner of one of these has too many. */
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

/** The result of a transaction, or the reason why it was rolled back. */
export function limited<T>(db: Database, work: () => T): T | string {
  try {
    return db.transaction(work);
  } catch (error) {
    if (error instanceof TooManyVariables) return error.message;
    throw error;
  }
}

/** The fleet or device that has the variables; its services are those of `fleetId`. */
export interface VariableOwner {
  readonly is: "fleet" | "device";
  readonly id: number;
  readonly fleetId: number;
}

const columnOf = ({ is }: VariableOwner): string => `${is}_id`;

/** The public cloud's rule: the name decides. */
const kindOf = (name: string): "config" | "env" => (/^(RESIN|BALENA)_/.test(name) ? "config" : "env");

/** Names only; without services of fleets that the device has left. */
export const listVariables = (db: Database, owner: VariableOwner): readonly Variable[] =>
  db.all<{ name: string; kind: "env" | "config"; service: string | null; createdAt: string }>(
    `SELECT variables.name, kind, services.name AS service, created_at AS createdAt
     FROM variables LEFT JOIN services ON services.id = service_id
     WHERE variables.${columnOf(owner)} = ? AND ifnull(services.fleet_id = ?, TRUE) ORDER BY service, variables.name`,
    ...[owner.id, owner.fleetId],
  );

/** Sets all of them, or none and returns the reason. */
export function setVariables(
  { db, now }: Pick<DirectoryContext, "db" | "now">,
  owner: VariableOwner,
  service: string | undefined,
  variables: Readonly<Record<string, string>>,
): string | undefined {
  const serviceId = findService(db, owner, service);
  if (typeof serviceId === "string") return serviceId;
  const faults = Object.entries(variables).flatMap(([name, value]) => faultsOf(name, value, service));
  if (faults.length > 0) return faults.join("\n");
  return limited(db, () => {
    let last: { id: number } | undefined;
    for (const [name, value] of Object.entries(variables)) {
      remove(db, owner, serviceId, name);
      last = db.one<{ id: number }>(
        `INSERT INTO variables (kind, ${columnOf(owner)}, service_id, name, value, created_at) VALUES (?, ?, ?, ?, ?, ?)
         RETURNING id`,
        ...[kindOf(name), owner.id, serviceId, name, value, isoTime(now())],
      );
    }
    if (last) expectFewVariables(db, [last.id]);
    return undefined;
  });
}

/** Without the value, which may be a secret. */
function faultsOf(name: string, value: string, service: string | undefined): readonly string[] {
  const isConfig = kindOf(name) === "config";
  const checks = [(isConfig ? ConfigName : EnvName).safeParse(name), VariableValue.safeParse(value)];
  return [
    ...checks.flatMap(({ error }) => error?.issues ?? []).map(({ message }) => `${JSON.stringify(name)}: ${message}`),
    ...(isConfig && service !== undefined
      ? [`${JSON.stringify(name)}: configuration is the whole device's, not one service's`]
      : []),
  ];
}

/** False if there is no such variable; a sentence if there is no such service. */
export function removeVariable(
  db: Database,
  owner: VariableOwner,
  service: string | undefined,
  name: string,
): boolean | string {
  const serviceId = findService(db, owner, service);
  return typeof serviceId === "string" ? serviceId : remove(db, owner, serviceId, name);
}

const remove = (db: Database, owner: VariableOwner, serviceId: number | null, name: string): boolean =>
  db.run(
    `DELETE FROM variables WHERE ${columnOf(owner)} = ? AND service_id IS ? AND name = ? AND kind = ?`,
    ...[owner.id, serviceId, name, kindOf(name)],
  ) > 0;

/** Services that an error lists; a fleet has those of all its releases. */
const mostListed = 20;

/** Its id, null for all services, or a sentence that lists the existing ones. */
function findService(db: Database, { fleetId }: VariableOwner, name: string | undefined): number | null | string {
  if (name === undefined) return null;
  const all = db.all<{ id: number; name: string }>(
    "SELECT id, name FROM services WHERE fleet_id = ? ORDER BY name",
    fleetId,
  );
  const names = all
    .slice(0, mostListed)
    .map((one) => one.name)
    .join(", ");
  return (
    all.find((one) => one.name === name)?.id ??
    `There is no service ${JSON.stringify(name)} in a release of this fleet, only: ${names || "none yet"}`
  );
}
