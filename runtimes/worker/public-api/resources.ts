import { own } from "../../../core/model/json.ts";
import type { Grant } from "../auth/access.ts";
import type { Database } from "../directory/database.ts";
import { hidden } from "../../../core/model/secrets.ts";
import {
  deviceGrant,
  inFleets,
  isoTime,
  readsSecrets,
  type AuditTarget,
  type Principal,
} from "../directory/context.ts";
import type { Filter, Literal, Query } from "./odata.ts";
import { progressOfDevice, targetOfDevice } from "../directory/releases.ts";

/** The directory's tables as the resources of the public cloud's API, version 7; and a query on them as SQL. */
interface Resource {
  readonly from: string;
  readonly fields: Readonly<Record<string, Field>>;
  /** Fields that hold the id of a row elsewhere. */
  readonly one: Readonly<Record<string, { readonly to: string; readonly by: string }>>;
  /** Rows elsewhere that hold the id of this one. */
  readonly many: Readonly<Record<string, { readonly of: string; readonly by: string }>>;
  /** SQL: the fleet that a row belongs to, and the device, if it is of one only. */
  readonly fleet: string;
  readonly device?: string;
}

type Field =
  | { readonly sql: string; readonly isBoolean?: true; readonly isSecret?: true }
  /** Known only when the device's session is asked. */
  | { readonly live: (connection: Connection) => unknown };

/** What a device's session says, and what the directory has heard. */
interface Connection {
  readonly connected: boolean;
  /** Milliseconds since the epoch. */
  readonly since: number | undefined;
  readonly heardAt: string | null;
  readonly isUpdating: boolean;
}

/** A device that asks for its target state every ten minutes, as it is told to, has asked within that time. */
const silentMs = 1.5 * 600_000 + 15_000;
const isAlive = ({ connected, heardAt }: Connection): boolean =>
  connected || (heardAt !== null && Date.now() - Date.parse(heardAt) < silentMs);

const column = (sql: string): Field => ({ sql });
const yes = (sql: string): Field => ({ sql, isBoolean: true });
const live = (of: (connection: Connection) => unknown): Field => ({ live: of });
const columns = (...names: readonly string[]): Record<string, Field> =>
  Object.fromEntries(names.map((name) => [name, column(name)]));
const reported = (...names: readonly string[]): Record<string, Field> =>
  Object.fromEntries(names.map((name) => [name, column(`report ->> '$.${name}'`)]));

const fleetOfDevice = "(SELECT fleet_id FROM devices WHERE id = device_id)";
const fleetOfService = "(SELECT fleet_id FROM services WHERE id = service_id)";

const variable = (kind: "config" | "env", owner: "device" | "application"): Resource => ({
  from: `(SELECT * FROM variables WHERE kind = '${kind}' AND service_id IS NULL
          AND ${owner === "device" ? "device_id" : "fleet_id"} IS NOT NULL)`,
  fields: {
    ...columns("id", "name", "created_at"),
    // What services are given is told to nobody here: who has set it knows it, and the device gets it with its target state.
    ...(kind === "config" && { value: { sql: "value", isSecret: true } }),
  },
  one: { [owner]: { to: owner, by: owner === "device" ? "device_id" : "fleet_id" } },
  many: {},
  fleet: owner === "device" ? fleetOfDevice : "fleet_id",
  ...(owner === "device" && { device: "device_id" }),
});

const resources: Readonly<Record<string, Resource>> = {
  application: {
    from: "fleets",
    fields: {
      ...columns("id", "uuid", "created_at"),
      app_name: column("name"),
      slug: column("lower(replace(name, ' ', '-'))"),
      should_track_latest_release: yes("tracks_latest"),
      is_of__class: column("'fleet'"),
      is_host: yes("0"),
      is_archived: yes("0"),
      is_public: yes("0"),
    },
    one: {
      is_for__device_type: { to: "device_type", by: "device_type" },
      should_be_running__release: { to: "release", by: "release_id" },
    },
    many: {
      owns__device: { of: "device", by: "fleet_id" },
      owns__release: { of: "release", by: "fleet_id" },
      application_config_variable: { of: "application_config_variable", by: "fleet_id" },
      application_environment_variable: { of: "application_environment_variable", by: "fleet_id" },
    },
    fleet: "id",
  },
  device: {
    from: "devices",
    fields: {
      ...columns("id", "uuid", "note", "created_at", "supervisor_version", "os_version", "os_variant", "mac_address"),
      ...reported("status", "ip_address", "provisioning_progress", "provisioning_state", "cpu_id", "update_status"),
      ...reported("memory_usage", "memory_total", "storage_block_device", "storage_usage", "storage_total"),
      ...reported("cpu_temp", "cpu_usage"),
      is_undervolted: yes("ifnull(report ->> '$.is_undervolted', 0)"),
      device_name: column("name"),
      overall_progress: column(progressOfDevice),
      last_update_status_event: column("report ->> '$.update_status_at'"),
      // Devices are called through their tunnels, whatever their address is.
      public_address: column("NULL"),
      is_active: yes("1"),
      is_frozen: yes("0"),
      // Nobody reaches a service of a device through us.
      is_web_accessible: yes("0"),
      is_online: live(({ connected }) => connected),
      is_connected_to_vpn: live(({ connected }) => connected),
      last_connectivity_event: live(({ since, heardAt }) => (since === undefined ? heardAt : isoTime(since))),
      api_heartbeat_state: live((connection) =>
        isAlive(connection) ? "online" : connection.heardAt === null ? "unknown" : "offline",
      ),
      overall_status: live((connection) =>
        !isAlive(connection)
          ? "disconnected"
          : connection.isUpdating
            ? "updating"
            : connection.connected
              ? "operational"
              : "reduced-functionality",
      ),
    },
    one: {
      belongs_to__application: { to: "application", by: "fleet_id" },
      is_of__device_type: { to: "device_type", by: "device_type" },
      is_pinned_on__release: { to: "release", by: "pinned_release_id" },
      is_running__release: { to: "release", by: "running_release_id" },
      should_be_running__release: { to: "release", by: targetOfDevice },
    },
    many: {
      device_config_variable: { of: "device_config_variable", by: "device_id" },
      device_environment_variable: { of: "device_environment_variable", by: "device_id" },
      device_tag: { of: "device_tag", by: "device_id" },
      image_install: { of: "image_install", by: "device_id" },
    },
    fleet: "fleet_id",
    device: "id",
  },
  // There is no table of them: each slug that is in use is one.
  device_type: {
    from: `(SELECT device_type AS id, device_type AS slug, id AS fleet_id FROM fleets
            UNION SELECT device_type, device_type, fleet_id FROM devices)`,
    fields: { ...columns("id", "slug"), name: column("slug") },
    one: {},
    many: {},
    fleet: "fleet_id",
  },
  device_config_variable: variable("config", "device"),
  device_environment_variable: variable("env", "device"),
  application_config_variable: variable("config", "application"),
  application_environment_variable: variable("env", "application"),
  device_tag: {
    from: "tags",
    fields: columns("id", "tag_key", "value"),
    one: { device: { to: "device", by: "device_id" } },
    many: {},
    fleet: fleetOfDevice,
    device: "device_id",
  },
  release: {
    from: "releases",
    fields: {
      ...columns("id", "created_at"),
      commit: column("release_uuid"),
      raw_version: column("ifnull(version, '0.0.0')"),
      status: column("'success'"),
      is_final: yes("1"),
    },
    one: { belongs_to__application: { to: "application", by: "fleet_id" } },
    many: {},
    fleet: "fleet_id",
  },
  service: {
    from: "services",
    fields: { id: column("id"), service_name: column("name") },
    one: { application: { to: "application", by: "fleet_id" } },
    many: {},
    fleet: "fleet_id",
  },
  image: {
    from: "images",
    fields: {
      id: column("id"),
      is_stored_at__image_location: column(
        "iif(instr(location, '@'), substr(location, 1, instr(location, '@') - 1), location)",
      ),
      content_hash: column("iif(instr(location, '@'), substr(location, instr(location, '@') + 1), NULL)"),
    },
    one: { is_a_build_of__service: { to: "service", by: "service_id" } },
    many: {},
    fleet: fleetOfService,
  },
  image_install: {
    from: "installs",
    fields: { ...columns("id", "status", "download_progress"), install_date: column("installed_at") },
    one: {
      device: { to: "device", by: "device_id" },
      installs__image: { to: "image", by: "image_id" },
      image: { to: "image", by: "image_id" },
      is_provided_by__release: { to: "release", by: "release_id" },
    },
    many: {},
    fleet: fleetOfDevice,
    device: "device_id",
  },
};

/** A query that asks for what there is not; the message says what that is. */
export class QueryRefusal extends Error {}

type Values = readonly (string | number | null)[];
interface Sql {
  readonly text: string;
  readonly values: Values;
}

const sql = (text: string, ...values: Values): Sql => ({ text, values });
const every = (all: readonly Sql[]): Sql =>
  sql(["TRUE", ...all.map(({ text }) => `(${text})`)].join(" AND "), ...all.flatMap(({ values }) => values));
const idIn = (text: string, ids: readonly unknown[]): Sql =>
  sql(`${text} IN (SELECT value FROM json_each(?))`, JSON.stringify(ids));

/** Who may read; devices see what is theirs, and what is their whole fleet's. */
export type Reader = Extract<Principal, { is: "person" | "device" }>;

export type Answer = Record<string, unknown>;

interface Ask {
  readonly db: Database;
  readonly reader: Reader;
  /** The connection of a device, by uuid; asked for only where a query wants it. */
  readonly connected: (uuid: string) => Promise<Pick<Connection, "connected" | "since">>;
}

/** What one answer holds at most, each row counted wherever it stands in it. */
const limits = {
  rows: 20_000,
  bytes: 8 * 1024 * 1024,
  /** Devices whose session is asked; an object may make 1,000 such requests where it is not paid for. */
  live: 900,
  /** Rows that are changed or deleted at once. */
  changed: 10_000,
};

const tooMuch = (limit: string): QueryRefusal =>
  new QueryRefusal(`The answer is larger than ${limit}: ask for fewer fields or expansions, or page by $top and $skip`);

/** Refuses what is beyond the limits of an answer, while it is read. Throws `QueryRefusal`. */
class Budget {
  #rows = 0;
  #bytes = 0;
  #live = 0;

  read(row: Record<string, SqlStorageValue>): void {
    this.#rows++;
    for (const value of Object.values(row)) if (typeof value === "string") this.#bytes += value.length;
    expectWithin(this.#rows, this.#bytes);
  }

  askLive(devices: number): void {
    this.#live += devices;
    if (this.#live > limits.live)
      throw new QueryRefusal(
        `Each of ${this.#live} devices must be asked for this: expected $top of at most ${limits.live}`,
      );
  }
}

function expectWithin(rows: number, bytes: number): void {
  if (rows > limits.rows) throw tooMuch(`${limits.rows} rows`);
  if (bytes > limits.bytes) throw tooMuch(`${limits.bytes} bytes`);
}

/** Rows, as the public API writes them. Throws `QueryRefusal`. */
export async function read(ask: Ask, name: string, key: Filter | undefined, query: Query): Promise<readonly Answer[]> {
  expectNoLoop([name], query);
  const place = { name, by: "id", budget: new Budget() };
  const found = await rowsOf(ask, place, query, key ? [filterSql(name, key, ask.reader)] : []);
  expectWithin(sum(found.map(({ rows }) => rows)), sum(found.map(({ bytes }) => bytes)));
  return found.map(({ answer }) => answer);
}

/**
 * Refuses a resource within itself, whose rows would be multiplied by each other. One that a single row is expanded to, and
 * that expands nothing itself, multiplies nothing: the SDK asks for the application of a release of an application's devices.
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

/** The resource that is expanded under that name. */
function linked(name: string, link: string): string {
  const { one, many } = resourceOf(name);
  const to = own(one, link)?.to ?? own(many, link)?.of;
  if (to === undefined) throw new QueryRefusal(`${name} has nothing to expand called ${link}`);
  return to;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);

/** How many rows there are. Throws `QueryRefusal`. */
export function count({ db, reader }: Ask, name: string, key: Filter | undefined, { filter }: Query): number {
  const where = every([
    visible(name, reader),
    ...[key, filter].flatMap((one) => (one ? [filterSql(name, one, reader)] : [])),
  ]);
  return (
    db.one<{ n: number }>(`SELECT count(*) AS n FROM ${resourceOf(name).from} WHERE ${where.text}`, ...where.values)
      ?.n ?? 0
  );
}

/** The ids of the rows that a key and a filter mean, of those the reader may see. Throws `QueryRefusal`. */
export function idsOf(
  { db, reader }: Pick<Ask, "db" | "reader">,
  name: string,
  filters: readonly Filter[],
): readonly number[] {
  const where = every([visible(name, reader), ...filters.map((one) => filterSql(name, one, reader))]);
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

/** What the log says of a change of these rows: what they are called, and their device and fleet, if they have one in common. */
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

export const isResource = (name: string): boolean => Object.hasOwn(resources, name);

interface Found {
  readonly id: SqlStorageValue;
  /** The id by which the row was reached from another one. */
  readonly by: SqlStorageValue;
  readonly answer: Answer;
  /** With what is expanded in it: the same row of another resource counts in each that it is expanded in. */
  rows: number;
  bytes: number;
}

/** Where in an answer rows stand. */
interface Place {
  readonly name: string;
  /** SQL: the id by which a row is reached from the one that it is expanded in. */
  readonly by: string;
  readonly budget: Budget;
}

async function rowsOf(
  ask: Ask,
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
  const answers = wanted.map((field) => ({ field, ...meaning(name, field, ask.reader) }));
  const isLive = answers.some((one) => "live" in one);
  const where = every([
    visible(name, ask.reader),
    ...conditions,
    ...(filter ? [filterSql(name, filter, ask.reader)] : []),
  ]);
  // One row for each id: `device_type` is a view with a row for each use.
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
  // Order by id where nothing else is asked for, so that pages fit together.
  const order = [
    ...orderBy.map((one) => `${sortable(name, one.field, ask.reader)} ${one.descending ? "DESC" : "ASC"}`),
    "id",
  ];
  const isNested = by !== "id";
  const rows: Record<string, SqlStorageValue>[] = [];
  for (const row of ask.db.each<Record<string, SqlStorageValue>>(
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
      const connection = isLive ? await connectionOf(ask, row) : undefined;
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
    const found = Map.groupBy(await rowsOf(ask, place, nested, [idIn(place.by, ids)]), (one) => (to ? one.id : one.by));
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

async function connectionOf({ connected }: Ask, row: Record<string, SqlStorageValue>): Promise<Connection> {
  const heard = row["0 heard"];
  return {
    ...(await connected(String(row["0 uuid"]))),
    heardAt: typeof heard === "string" ? heard : null,
    isUpdating: row["0 updating"] === 1,
  };
}

function resourceOf(name: string): Resource {
  const resource = own(resources, name);
  if (!resource) throw new QueryRefusal(`There is no resource ${name}`);
  return resource;
}

/**
 * A field, or the id of a row elsewhere. What the reader may not read is hidden in SQL already: a filter, or an order, would
 * tell it as well.
 */
function meaning(name: string, field: string, reader: Reader): Field & { readonly isId?: true } {
  const { fields, one } = resourceOf(name);
  const known = own(fields, field);
  if (known && "sql" in known && known.isSecret && !readsSecrets(reader)) return column(`'${hidden}'`);
  if (known) return known;
  const link = own(one, field);
  if (!link) throw new QueryRefusal(`${name} has no field ${field}`);
  return { sql: link.by, isId: true };
}

function sortable(name: string, field: string, reader: Reader): string {
  const known = meaning(name, field, reader);
  if ("sql" in known) return known.sql;
  throw new QueryRefusal(`${name} can neither be filtered nor ordered by ${field}`);
}

function filterSql(name: string, filter: Filter, reader: Reader): Sql {
  switch (filter.is) {
    case "and":
      return every(filter.all.map((one) => filterSql(name, one, reader)));
    case "startswith":
      return sql(`substr(${sortable(name, filter.field, reader)}, 1, ?) = ?`, filter.prefix.length, filter.prefix);
    case "eq":
      return sql(`${sortable(name, filter.field, reader)} IS ?`, toValue(filter.value));
    case "ne":
      return sql(`${sortable(name, filter.field, reader)} IS NOT ?`, toValue(filter.value));
  }
}

const toValue = (value: Literal): string | number | null => (typeof value === "boolean" ? Number(value) : value);

/** What the reader may see. */
function visible(name: string, reader: Reader): Sql {
  const { fleet, device } = resourceOf(name);
  if (reader.is === "device") return device ? sql(`${device} = ?`, reader.id) : sql(`${fleet} = ?`, reader.fleetId);
  const [text, ...values] = inFleets(fleet, reader.grant);
  return sql(text, ...values);
}

export const mayWrite = (reader: Reader): boolean => reader.is === "device" || reader.grant.write;

/** The caller that stands for a reader, where fleets are all that counts. */
export const grantOfReader = (reader: Reader): Grant => (reader.is === "person" ? reader.grant : deviceGrant(reader));
