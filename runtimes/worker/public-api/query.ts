import { own } from "../../../core/model/json.ts";
import type { Database } from "../database.ts";
import type { AuditTarget } from "../directory/audit-entry.ts";
import type { ConnectionStatus } from "../relay/device-session-rpc.ts";
import { Budget, expectWithin, limits } from "./budget.ts";
import {
  every,
  fieldOf,
  filterSql,
  idIn,
  QueryRefusal,
  resourceOf,
  sortable,
  visible,
  type RowPrincipal,
  type Sql,
} from "./conditions.ts";
import type { Filter, Query } from "./odata.ts";
import type { Connection } from "./resources.ts";

/** Queries on the resources. */

export type Answer = Record<string, unknown>;

export interface QueryContext {
  readonly db: Database;
  readonly principal: RowPrincipal;
  /** Calls the session of a device; used only by queries that need it. */
  readonly connectionOf: (uuid: string) => Promise<ConnectionStatus>;
}

/** Rows in the format of the public API. Throws `QueryRefusal`. */
export async function read(
  context: QueryContext,
  name: string,
  key: Filter | undefined,
  query: Query,
): Promise<readonly Answer[]> {
  expectNoLoop([name], query);
  const place = { name, by: "id", budget: new Budget() };
  const found = await rowsOf(context, place, query, key ? [filterSql(name, key, context.principal)] : []);
  expectWithin(sum(found.map(({ rows }) => rows)), sum(found.map(({ bytes }) => bytes)));
  return found.map(({ answer }) => answer);
}

/**
 * Rejects a resource that is expanded within itself, which would multiply rows. An expansion to a single row without further
 * expansions is allowed: the SDK requests the application of a release of an application's devices.
 * `path`: from the outermost resource to that of the query.
 */
function expectNoLoop(path: readonly string[], { expand }: Query): void {
  const name = path.at(-1) ?? "";
  for (const { name: link, query } of expand) {
    const inner = linked(name, link);
    const isLeaf = own(resourceOf(name).one, link) !== undefined && query.expand.length === 0;
    if (path.includes(inner) && !isLeaf)
      throw new QueryRefusal(`$expand leads back to where it comes from: ${[...path, inner].join(" → ")}`);
    expectNoLoop([...path, inner], query);
  }
}

/** The resource that a link leads to. */
function linked(name: string, link: string): string {
  const { one, many } = resourceOf(name);
  const to = own(one, link)?.to ?? own(many, link)?.of;
  if (to === undefined) throw new QueryRefusal(`${name} has nothing to expand called ${link}`);
  return to;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);

/** How many rows there are. Throws `QueryRefusal`. */
export function count(
  { db, principal }: QueryContext,
  name: string,
  key: Filter | undefined,
  { filter }: Query,
): number {
  const where = every([
    visible(name, principal),
    ...[key, filter].flatMap((one) => (one ? [filterSql(name, one, principal)] : [])),
  ]);
  return (
    db.one<{ n: number }>(`SELECT count(*) AS n FROM ${resourceOf(name).from} WHERE ${where.text}`, ...where.values)
      ?.n ?? 0
  );
}

/** The ids of the rows that the filters select and the principal may read. Throws `QueryRefusal`. */
export function idsOf(
  { db, principal }: Pick<QueryContext, "db" | "principal">,
  name: string,
  filters: readonly Filter[],
): readonly number[] {
  const where = every([visible(name, principal), ...filters.map((one) => filterSql(name, one, principal))]);
  const found = db.all<{ id: number }>(
    `SELECT id FROM ${resourceOf(name).from} WHERE ${where.text} LIMIT ?`,
    ...where.values,
    limits.changed + 1,
  );
  if (found.length > limits.changed)
    throw new QueryRefusal(
      `$filter is true for more than ${limits.changed} rows, which are too many to change at once`,
    );
  return found.map(({ id }) => id);
}

interface Found {
  readonly id: SqlStorageValue;
  /** The id that links it to the row that it is expanded in. */
  readonly by: SqlStorageValue;
  readonly answer: Answer;
  /** Expansions included: a row counts in each row that it is expanded in. */
  rows: number;
  bytes: number;
}

/** The place of rows in an answer. */
interface Place {
  readonly name: string;
  /** SQL: the id that links a row to the one that it is expanded in. */
  readonly by: string;
  readonly budget: Budget;
}

async function rowsOf(
  context: QueryContext,
  { name, by, budget }: Place,
  query: Query,
  conditions: readonly Sql[],
): Promise<readonly Found[]> {
  const resource = resourceOf(name);
  const { filter, select, expand, orderBy, top, skip } = query;
  const expanded = new Set(expand.map((one) => one.name));
  const wanted = [...new Set(select ?? [...Object.keys(resource.fields), ...Object.keys(resource.one)])].filter(
    (field) => !expanded.has(field),
  );
  const answers = wanted.map((field) => ({ field, ...fieldOf(name, field, context.principal) }));
  const isLive = answers.some((one) => "live" in one);
  const where = every([
    visible(name, context.principal),
    ...conditions,
    ...(filter ? [filterSql(name, filter, context.principal)] : []),
  ]);
  // Grouped by id: `device_type` is a view with a row for each use.
  const picked = [
    "id AS '0 id'",
    `${by} AS '0 by'`,
    ...answers.flatMap((one) => ("sql" in one ? [`${one.sql} AS '1 ${one.field}'`] : [])),
    ...expand.flatMap((one) => {
      const to = own(resource.one, one.name);
      return to ? [`${to.by} AS '2 ${one.name}'`] : [];
    }),
    ...(isLive ? ["uuid AS '0 uuid'", "heard_at AS '0 heard'", `${isUpdating} AS '0 updating'`] : []),
  ];
  // The last order is by id, so that pages fit together.
  const order = [
    ...orderBy.map((one) => `${sortable(name, one.field, context.principal)} ${one.descending ? "DESC" : "ASC"}`),
    "id",
  ];
  const isNested = by !== "id";
  const rows: Record<string, SqlStorageValue>[] = [];
  for (const row of context.db.each<Record<string, SqlStorageValue>>(
    `SELECT ${picked.join(", ")} FROM ${resource.from} WHERE ${where.text} GROUP BY id ORDER BY ${order.join(", ")}
     LIMIT ? OFFSET ?`,
    ...where.values,
    isNested ? -1 : (top ?? -1),
    isNested ? 0 : (skip ?? 0),
  )) {
    budget.read(row);
    rows.push(row);
  }
  if (isLive) budget.askLive(rows.length);
  const made = await Promise.all(
    rows.map(async (row): Promise<Found> => {
      const connection = isLive ? await liveConnection(context, row) : undefined;
      const answer = Object.fromEntries(
        answers.map((one) => {
          if ("live" in one) return [one.field, connection ? one.live(connection) : null];
          const value = row[`1 ${one.field}`] ?? null;
          if (one.isId) return [one.field, value === null ? null : { __id: value }];
          return [one.field, one.isBoolean ? value === 1 : value];
        }),
      );
      const bytes = JSON.stringify(answer).length;
      return { id: row["0 id"] ?? null, by: row["0 by"] ?? null, answer, rows: 1, bytes };
    }),
  );

  for (const { name: link, query: nested } of expand) {
    const to = own(resource.one, link);
    const of = own(resource.many, link);
    const place = { name: linked(name, link), by: of?.by ?? "id", budget };
    const ids = made.map(({ id }, n) => (to ? (rows[n]?.[`2 ${link}`] ?? null) : id));
    const found = Map.groupBy(await rowsOf(context, place, nested, [idIn(place.by, ids)]), (one) =>
      to ? one.id : one.by,
    );
    const { skip: from = 0, top: most = Infinity } = to ? {} : nested;
    for (const [n, row] of made.entries()) {
      const attached = (found.get(ids[n] ?? null) ?? []).slice(from, from + most);
      row.answer[link] = attached.map(({ answer }) => answer);
      row.rows += sum(attached.map((one) => one.rows));
      row.bytes += sum(attached.map((one) => one.bytes));
    }
  }
  return made;
}

const isUpdating =
  "EXISTS (SELECT 1 FROM installs WHERE device_id = devices.id AND status IN ('Downloading', 'Installing'))";

async function liveConnection(
  { connectionOf }: QueryContext,
  row: Record<string, SqlStorageValue>,
): Promise<Connection> {
  const heard = row["0 heard"];
  return {
    ...(await connectionOf(String(row["0 uuid"]))),
    heardAt: typeof heard === "string" ? heard : null,
    isUpdating: row["0 updating"] === 1,
  };
}

/** Rows as the audit log describes a change: their names, and the device and fleet that they share. */
export function describeRows(db: Database, name: string, ids: readonly number[]): AuditTarget {
  const { from, fields, fleet, device = "NULL" } = resourceOf(name);
  const label = [fields["tag_key"], fields["device_name"], fields["name"]].find((field) => field !== undefined);
  const rows = db.all<{ label: string; fleetId: number | null; uuid: string | null }>(
    `SELECT ${label && "sql" in label ? label.sql : "id"} AS label, ${fleet} AS fleetId,
       (SELECT uuid FROM devices WHERE devices.id = ${device}) AS uuid
     FROM ${from} WHERE id IN (SELECT value FROM json_each(?))`,
    JSON.stringify(ids),
  );
  const common = <T>(values: readonly (T | null)[]) =>
    new Set(values).size === 1 ? (values[0] ?? undefined) : undefined;
  return {
    uuid: common(rows.map(({ uuid }) => uuid)),
    fleetId: common(rows.map(({ fleetId }) => fleetId)),
    about: [name, rows.map((row) => row.label).join(", ")].join(" "),
  };
}
