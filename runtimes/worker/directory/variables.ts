import * as api from "../../../core/api/admin/index.ts";
import type { Database } from "./database.ts";
import { isoTime, type DirectoryContext } from "./context.ts";
import { ConfigName, EnvName, expectFewVariables, VariableValue, within } from "../public-api/writes.ts";

/** Variables as the administration sets them: by name, for all services or for one. */

/** Whose they are; its services are those of `fleetId`. */
export interface Owner {
  readonly is: "fleet" | "device";
  readonly id: number;
  readonly fleetId: number;
}

const columnOf = ({ is }: Owner): string => `${is}_id`;

/** The public cloud's rule, by which a name alone says what it is. */
const kindOf = (name: string): "config" | "env" => (/^(RESIN|BALENA)_/.test(name) ? "config" : "env");

/** Names only. Services of other fleets, where a device has been, are none of it. */
export const listVariables = (db: Database, owner: Owner): readonly api.Variable[] =>
  db.all<{ name: string; kind: "env" | "config"; service: string | null; createdAt: string }>(
    `SELECT variables.name, kind, services.name AS service, created_at AS createdAt
     FROM variables LEFT JOIN services ON services.id = service_id
     WHERE variables.${columnOf(owner)} = ? AND ifnull(services.fleet_id = ?, TRUE) ORDER BY service, variables.name`,
    ...[owner.id, owner.fleetId],
  );

/** Sets all of them or none; the sentence that says why, if none. */
export function setVariables(
  { db, now }: Pick<DirectoryContext, "db" | "now">,
  owner: Owner,
  service: string | undefined,
  variables: Readonly<Record<string, string>>,
): string | undefined {
  const serviceId = findService(db, owner, service);
  if (typeof serviceId === "string") return serviceId;
  const faults = Object.entries(variables).flatMap(([name, value]) => faultsOf(name, value, service));
  if (faults.length > 0) return faults.join("\n");
  return within(db, () => {
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

/** Never with the value, which may be a secret. */
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

/** False: there is no such variable. Else the sentence that says why not, or true. */
export function removeVariable(
  db: Database,
  owner: Owner,
  service: string | undefined,
  name: string,
): boolean | string {
  const serviceId = findService(db, owner, service);
  return typeof serviceId === "string" ? serviceId : remove(db, owner, serviceId, name);
}

const remove = (db: Database, owner: Owner, serviceId: number | null, name: string): boolean =>
  db.run(
    `DELETE FROM variables WHERE ${columnOf(owner)} = ? AND service_id IS ? AND name = ? AND kind = ?`,
    ...[owner.id, serviceId, name, kindOf(name)],
  ) > 0;

/** Services in a sentence; a fleet has those of all its releases. */
const mostListed = 20;

/** Its id, null for all services, or the sentence that says which there are. */
function findService(db: Database, { fleetId }: Owner, name: string | undefined): number | null | string {
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
