import { reply } from "../../../core/api/endpoint.ts";
import { render, type Reading, type Sample } from "../../../core/metrics/exposition.ts";
import { ofCloud } from "../../../core/metrics/cloud-families.ts";
import { isoTime } from "../database.ts";
import { inFleets } from "../directory/principal.ts";
import type { Route } from "../http.ts";
import { adminRoute } from "./route.ts";

/** A device asks for its target state at least as often, unless its configuration says otherwise. */
const heardMs = 30 * 60_000;
const hourMs = 60 * 60_000;

interface FleetRow extends Record<string, SqlStorageValue> {
  readonly id: number;
  readonly name: string;
  readonly devices: number;
  readonly online: number;
  readonly updating: number;
  readonly rejected: number;
  readonly withProblems: number;
}

interface RelayedRow extends Record<string, SqlStorageValue> {
  readonly result: string;
  readonly n: number;
}

/** From the tables alone: neither a device nor its session is asked. */
const fleetMetrics = adminRoute("fleetMetrics", ({ grant, accepted }, { db, now }) => {
  const [visible, ...values] = inFleets("fleets.id", grant);
  const fleets = db.all<FleetRow>(
    `SELECT fleets.id, fleets.name, count(devices.id) AS devices,
       ifnull(sum(heard_at >= ? AND offline_at IS NULL), 0) AS online,
       ifnull(sum(report ->> '$.update_status' IN ('downloading', 'downloaded', 'applying changes')), 0) AS updating,
       ifnull(sum(report ->> '$.update_status' IN ('rejected', 'aborted')), 0) AS rejected,
       ifnull(sum(problems <> '[]'), 0) AS withProblems
     FROM fleets LEFT JOIN devices ON fleet_id = fleets.id WHERE ${visible} GROUP BY fleets.id`,
    ...[isoTime(now() - heardMs), ...values],
  );
  const [seen, ...ids] = inFleets("fleet_id", grant);
  const relayed = db.all<RelayedRow>(
    `SELECT CASE WHEN status < 400 THEN 'done' WHEN status < 499 THEN 'refused' ELSE 'failed' END AS result, sum(count) AS n
     FROM audit WHERE (kind = 'relay' OR kind = 'device' AND path LIKE '/supervisor%') AND at >= ? AND ${seen} GROUP BY result`,
    ...[now() - hourMs, ...ids],
  );
  const each = (valueOf: (fleet: FleetRow) => number): readonly Sample[] =>
    fleets.map((fleet) => ({ labels: { fleet_id: fleet.id, fleet: fleet.name }, value: valueOf(fleet) }));
  const readings: readonly Reading[] = [
    { family: ofCloud.devices, samples: each(({ devices }) => devices) },
    { family: ofCloud.online, samples: each(({ online }) => online) },
    { family: ofCloud.offline, samples: each(({ devices, online }) => devices - online) },
    { family: ofCloud.updating, samples: each(({ updating }) => updating) },
    { family: ofCloud.rejected, samples: each(({ rejected }) => rejected) },
    { family: ofCloud.withProblems, samples: each(({ withProblems }) => withProblems) },
    {
      family: ofCloud.relayed,
      samples: ["done", "refused", "failed"].map((result) => ({
        labels: { result },
        value: relayed.find((row) => row.result === result)?.n ?? 0,
      })),
    },
  ];
  return reply(200, render(readings, accepted?.startsWith("application/openmetrics-text") ? "openMetrics" : "text"));
});

export const metricsRoutes: readonly Route[] = [fleetMetrics];
