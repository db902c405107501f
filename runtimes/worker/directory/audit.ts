import type { Database } from "../database.ts";
import { mostEntries, type AuditItem, type AuditTarget } from "./audit-entry.ts";
import { fairShare } from "./fair-share.ts";

/**
 * Each kind of entry has room of its own, which its principals share equally: one that does much, or may do little, cannot
 * push out the entries of others. Entries older than this are deleted.
 */
export const longestMs = 90 * 24 * 60 * 60 * 1000;

/** Entries between two deletions. */
const pruneEach = 256;

/** Addresses with refusals in one minute that have an entry of their own; further ones share one. */
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
  // Entries arrive nearly in the order of their times; the newest is never too old.
  db.run("DELETE FROM audit WHERE id < (SELECT id FROM audit WHERE at >= ? ORDER BY id LIMIT 1)", nowMs - longestMs);
}

/** The target that a path names. */
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
