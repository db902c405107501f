import { own } from "../../../core/model/json.ts";
import { hidden } from "../../../core/model/secrets.ts";
import type { Grant } from "../auth/grant.ts";
import { deviceGrant, inFleets, readsSecrets, type Principal } from "../directory/principal.ts";
import type { Filter, Literal } from "./odata.ts";
import { resources, type Field, type Resource } from "./resources.ts";

/** Filters and permissions as conditions in SQL. */

/** A query that names an unknown field or exceeds a limit; the message says which. */
export class QueryRefusal extends Error {}

type Values = readonly (string | number | null)[];
export interface Sql {
  readonly text: string;
  readonly values: Values;
}

const sql = (text: string, ...values: Values): Sql => ({ text, values });
export const every = (all: readonly Sql[]): Sql =>
  sql(["TRUE", ...all.map(({ text }) => `(${text})`)].join(" AND "), ...all.flatMap(({ values }) => values));
export const idIn = (text: string, ids: readonly unknown[]): Sql =>
  sql(`${text} IN (SELECT value FROM json_each(?))`, JSON.stringify(ids));

/** Who may read rows. Devices read their own, and those of their fleet as a whole. */
export type RowPrincipal = Extract<Principal, { is: "person" | "device" }>;

export function resourceOf(name: string): Resource {
  const resource = own(resources, name);
  if (!resource) throw new QueryRefusal(`There is no resource ${name}`);
  return resource;
}

/**
 * A field, or the id of a row of another resource. Secrets are hidden in the SQL itself: a filter or an order would reveal
 * them as well.
 */
export function fieldOf(name: string, field: string, principal: RowPrincipal): Field & { readonly isId?: true } {
  const { fields, one } = resourceOf(name);
  const known = own(fields, field);
  if (known && "sql" in known && known.isSecret && !readsSecrets(principal)) return { sql: `'${hidden}'` };
  if (known) return known;
  const link = own(one, field);
  if (!link) throw new QueryRefusal(`${name} has no field ${field}`);
  return { sql: link.by, isId: true };
}

export function sortable(name: string, field: string, principal: RowPrincipal): string {
  const known = fieldOf(name, field, principal);
  if ("sql" in known) return known.sql;
  throw new QueryRefusal(`${name} can neither be filtered nor ordered by ${field}`);
}

export function filterSql(name: string, filter: Filter, principal: RowPrincipal): Sql {
  switch (filter.is) {
    case "and":
      return every(filter.all.map((one) => filterSql(name, one, principal)));
    case "startswith":
      return sql(`substr(${sortable(name, filter.field, principal)}, 1, ?) = ?`, filter.prefix.length, filter.prefix);
    case "eq":
      return sql(`${sortable(name, filter.field, principal)} IS ?`, toValue(filter.value));
    case "ne":
      return sql(`${sortable(name, filter.field, principal)} IS NOT ?`, toValue(filter.value));
  }
}

const toValue = (value: Literal): string | number | null => (typeof value === "boolean" ? Number(value) : value);

/** The rows that the principal may read. */
export function visible(name: string, principal: RowPrincipal): Sql {
  const { fleet, device } = resourceOf(name);
  if (principal.is === "device")
    return device ? sql(`${device} = ?`, principal.id) : sql(`${fleet} = ?`, principal.fleetId);
  const [text, ...values] = inFleets(fleet, principal.grant);
  return sql(text, ...values);
}

export const mayWrite = (principal: RowPrincipal): boolean => principal.is === "device" || principal.grant.write;

/** The principal's grant, for checks that need only its fleets. */
export const grantOf = (principal: RowPrincipal): Grant =>
  principal.is === "person" ? principal.grant : deviceGrant(principal);
