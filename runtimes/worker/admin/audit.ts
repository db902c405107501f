import * as api from "../../../core/api/admin/index.ts";
import { reply } from "../../../core/api/endpoint.ts";
import { isoTime } from "../database.ts";
import { longestMs } from "../directory/audit.ts";
import { inFleets } from "../directory/principal.ts";
import type { Route } from "../http.ts";
import { adminRoute } from "./route.ts";

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

const audit = adminRoute("audit", ({ params: { fleetId, after, before, limit }, grant }, { db, now }) => {
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
