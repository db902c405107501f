import * as api from "../../../core/api/admin/index.ts";
import { reply } from "../../../core/api/endpoint.ts";
import type { Database } from "./database.ts";
import { inFleets, isoTime, type AuditTarget, type Principal } from "./context.ts";
import { fairShare } from "./fair-share.ts";
import { route, type Route } from "../http.ts";

/** Who has changed what, from where, and what came of it: never with a key, a body or a value. */

/**
 * Each kind has room of its own, and in it each who asks has as much as the others: those that may do little, and those that
 * do much, must not be able to push out what others have done.
 */
export type AuditKind = keyof typeof mostEntries;

export interface AuditItem extends AuditTarget {
  readonly kind: AuditKind;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly who: string;
  readonly address: string | undefined;
  /** That of the endpoint. */
  readonly operation: string;
  readonly method?: string | undefined;
  /** That of the endpoint: what stands in its place in a request may be a secret that was pasted there. */
  readonly path?: string | undefined;
  readonly status: number;
  readonly count?: number;
}

/** When there are more of a kind, the oldest go of those who have the most; and all that are older than that. */
const mostEntries = {
  /** By people, in the directory. */
  change: 50_000,
  /** By people, on devices. */
  relay: 50_000,
  /** By devices and provisioning keys. */
  device: 20_000,
  /** Keys and tokens that nobody knows: an entry for each address and minute. */
  refused: 10_000,
} as const;
const longestMs = 90 * 24 * 60 * 60 * 1000;

/** Looked for at each so many entries. */
const pruneEach = 256;

/** Of addresses with refusals in one minute; those of more are counted together. */
const mostAddresses = 20;
const furtherAddresses = "others";

const longestText = 200;

export function writeAudit(db: Database, items: readonly AuditItem[]): void {
  db.transaction(() => {
    for (const item of items) {
      const { kind, at, who, operation, method, path, status, uuid, fleetId, about, count = 1 } = item;
      const address = kind === "refused" ? countedAddress(db, at, item.address) : item.address;
      const made = db.one<{ id: number }>(
        `INSERT INTO audit (kind, at, who, address, operation, method, path, fleet_id, uuid, about, status, count)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ifnull(?8, (SELECT fleet_id FROM devices WHERE uuid = ?9)), ?9, ?10, ?11, ?12)
         ON CONFLICT (at, address) WHERE kind = 'refused' DO UPDATE SET count = count + excluded.count RETURNING id`,
        ...[kind, at, who, address ?? null, operation, method ?? null, path ?? null],
        ...[fleetId ?? null, uuid ?? null, about?.slice(0, longestText) ?? null, status, count],
      );
      if (made && made.id % pruneEach === 0) prune(db, at);
    }
  });
}

function countedAddress(db: Database, minute: number, address = "unknown"): string {
  const known = db.all<{ address: string }>("SELECT address FROM audit WHERE kind = 'refused' AND at = ?", minute);
  return known.length < mostAddresses || known.some((one) => one.address === address) ? address : furtherAddresses;
}

function prune(db: Database, nowMs: number): void {
  for (const [kind, most] of Object.entries(mostEntries)) {
    const counts = db.all<{ who: string; n: number }>(
      "SELECT who, count(*) AS n FROM audit WHERE kind = ? GROUP BY who",
      kind,
    );
    const share = fairShare(
      counts.map(({ n }) => n),
      most,
    );
    for (const { who, n } of counts)
      if (n > share)
        db.run(
          `DELETE FROM audit WHERE kind = ?1 AND who = ?2 AND id <=
             (SELECT id FROM audit WHERE kind = ?1 AND who = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)`,
          ...[kind, who, share],
        );
  }
  // Entries come nearly in the order of their times; the newest is never too old.
  db.run("DELETE FROM audit WHERE id < (SELECT id FROM audit WHERE at >= ? ORDER BY id LIMIT 1)", nowMs - longestMs);
}

/** What a path says of a target. */
export function targetOf(path: string, params: Readonly<Record<string, string>>, db: Database): AuditTarget {
  const named = (name: string, pattern: RegExp) => {
    const value = path.includes(`:${name}`) ? params[name] : undefined;
    return value !== undefined && pattern.test(value) ? value : undefined;
  };
  const fleetId = named("fleetId", /^\d{1,15}$/);
  const uuid = named("uuid", /^[0-9a-f]{32,62}$/);
  // Before the device moves, or is deleted.
  const of = uuid && db.one<{ fleetId: number }>("SELECT fleet_id AS fleetId FROM devices WHERE uuid = ?", uuid);
  return { uuid, fleetId: fleetId === undefined ? (of || undefined)?.fleetId : Number(fleetId) };
}

/** As the log names who asks. */
export function nameOf(principal: Principal): string {
  switch (principal.is) {
    case "person":
      return principal.grant.tokenId;
    case "device":
      return `${principal.key === "own" ? "device" : "service"}:${principal.id}`;
    case "provisioning":
      return `key:${principal.keyId}`;
    case "nobody":
      return "nobody";
  }
}

interface AuditRow extends Record<string, SqlStorageValue> {
  readonly id: number;
  readonly at: number;
  readonly who: string;
  readonly name: string | null;
  readonly address: string | null;
  readonly operation: string;
  readonly method: string | null;
  readonly path: string | null;
  readonly fleetId: number | null;
  readonly uuid: string | null;
  readonly about: string | null;
  readonly status: number;
  readonly count: number;
}

const columns = `audit.id, at, who, name, address, operation, method, path, fleet_id AS fleetId, uuid, about, status, count`;

const audit = route(api.audit, ({ params: { fleetId, after, before, limit }, grant }, { db, now }) => {
  const [visible, ...fleets] = inFleets("fleet_id", grant);
  const rows = db.all<AuditRow>(
    `SELECT ${columns} FROM audit LEFT JOIN tokens ON tokens.id = who
     WHERE ${visible} AND (fleet_id = ? OR ?) AND ifnull(audit.id > ?, TRUE) AND ifnull(audit.id < ?, TRUE) AND at >= ?
     ORDER BY audit.id ${after === undefined ? "DESC" : "ASC"} LIMIT ?`,
    ...[
      ...fleets,
      fleetId ?? null,
      Number(fleetId === undefined),
      after ?? null,
      before ?? null,
      now() - longestMs,
      limit,
    ],
  );
  return reply(
    200,
    rows.map((row): api.AuditEntry => ({ ...row, at: isoTime(row.at) })),
  );
});

export const auditRoutes: readonly Route[] = [audit];
