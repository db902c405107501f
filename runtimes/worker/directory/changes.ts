import { changeKinds, type CloudChange, type ChangeKind } from "../../../core/api/admin/index.ts";
import type { Grant } from "../auth/grant.ts";
import { isoTime, type Database } from "../database.ts";
import type { AuditItem } from "./audit-entry.ts";

/** Changes that are kept for readers that come back. */
const mostChanges = 20_000;
/** Changes between two deletions. */
const pruneEach = 256;

export interface NewChange {
  readonly kind: ChangeKind;
  /** Absent: that of the device. */
  readonly fleetId?: number | undefined;
  readonly uuid?: string | undefined;
  readonly data: CloudChange["data"];
}

interface ChangeRow extends Record<string, SqlStorageValue> {
  readonly id: number;
  readonly at: number;
  readonly kind: string;
  readonly fleetId: number | null;
  readonly uuid: string | null;
  readonly data: string;
}

/** Who reads changes: those of a grant's fleets, and of these only some. */
export interface ChangeFilter {
  readonly grant: Pick<Grant, "fleets" | "manage">;
  readonly fleetId?: number | undefined;
  readonly kinds?: readonly string[] | undefined;
}

/** What happens in the cloud, numbered. Its readers are the followers of `GET /admin/v1/changes`, and the webhooks. */
export class Changes {
  readonly #db: Database;
  readonly #now: () => number;
  readonly #readers = new Set<() => void>();

  constructor(db: Database, now: () => number) {
    this.#db = db;
    this.#now = now;
  }

  record(change: NewChange): void {
    const { kind, fleetId, uuid, data } = change;
    const made = this.#db.one<{ id: number }>(
      `INSERT INTO changes (at, kind, fleet_id, uuid, data)
       VALUES (?1, ?2, ifnull(?3, (SELECT fleet_id FROM devices WHERE uuid = ?4)), ?4, ?5) RETURNING id`,
      ...[this.#now(), kind, fleetId ?? null, uuid ?? null, JSON.stringify(data)],
    );
    if (made && made.id % pruneEach === 0) this.#db.run("DELETE FROM changes WHERE id <= ?", made.id - mostChanges);
    for (const read of this.#readers) read();
  }

  /** People's changes that succeeded, in the cloud and on devices. */
  recordAudit(items: readonly AuditItem[]): void {
    for (const { kind, who, operation, about, status, fleetId, uuid } of items)
      if ((kind === "change" || kind === "relay") && status < 400)
        this.record({
          ...{ kind: "audit", fleetId, uuid },
          data: { who, operation, status, ...(about !== undefined && { about }) },
        });
  }

  /** Calls `read` when there is a change. */
  subscribe(read: () => void): () => void {
    this.#readers.add(read);
    return () => void this.#readers.delete(read);
  }

  last(): number {
    return this.#db.one<{ id: number }>("SELECT ifnull(max(id), 0) AS id FROM changes")?.id ?? 0;
  }

  /** The first one after this id that is kept; undefined: there is none. */
  oldestAfter(after: number): number | undefined {
    return this.#db.one<{ id: number }>("SELECT id FROM changes WHERE id > ? ORDER BY id LIMIT 1", after)?.id;
  }

  /** The next changes that a reader may see, in their order. */
  next(after: number, { grant, fleetId, kinds = changeKinds }: ChangeFilter, limit: number): readonly CloudChange[] {
    const visible = grant.manage ? kinds : kinds.filter((kind) => kind !== "audit" && kind !== "webhook.disabled");
    const isAll = grant.fleets === "all";
    return this.#db
      .all<ChangeRow>(
        `SELECT id, at, kind, fleet_id AS fleetId, uuid, data FROM changes
         WHERE id > ?1 AND (?2 OR fleet_id IN (SELECT value FROM json_each(?3))) AND (?4 IS NULL OR fleet_id = ?4)
           AND kind IN (SELECT value FROM json_each(?5)) ORDER BY id LIMIT ?6`,
        ...[after, Number(isAll), JSON.stringify(isAll ? [] : grant.fleets), fleetId ?? null],
        ...[JSON.stringify(visible), limit],
      )
      .map(({ at, kind, data, ...row }) => ({
        ...row,
        at: isoTime(at),
        kind: kindOf(kind),
        data: JSON.parse(data),
      }));
  }
}

/** Stands for changes that were deleted before a reader had them. */
export const lostChange = (after: number, before: number, nowMs: number): CloudChange => ({
  ...{ id: before - 1, at: isoTime(nowMs), kind: "changes.lost", fleetId: null, uuid: null },
  data: { after, before },
});

/** Only kinds that are asked for are read. */
const kindOf = (text: string): ChangeKind => changeKinds.find((kind) => kind === text) ?? "audit";
