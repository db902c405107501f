import { createHash } from "node:crypto";
import type { Device, Tables } from "./tables.ts";
import { empty, type Answer, type Question } from "./wire.ts";

/** `GET /device/v3/:uuid/state`. For an unknown device, the answer is 304 without an ETag, and no key is needed. */
export function state(tables: Tables, uuid: string, { key, headers }: Question): Answer {
  const device = tables.devices.get(uuid);
  if (tables.database === "down") return empty(401);
  if (!device) return empty(304);
  if (device.key !== key) return empty(401);
  device.askedAt = tables.now();
  const body = JSON.stringify({ [uuid]: targetState(tables, device) });
  const hash = createHash("sha1").update(body).digest("base64").slice(0, 27);
  const etag = `W/"${Buffer.byteLength(body).toString(16)}-${hash}"`;
  const asked = headers["if-none-match"]?.split(/, */) ?? [];
  const matches = asked.some((one) => one === "*" || one.replace(/^W\//, "") === etag.replace(/^W\//, ""));
  if (matches && !headers["cache-control"]?.includes("no-cache")) return empty(304, { etag, ...tables.stateHeaders });
  return {
    status: 200,
    headers: {
      "content-type": "application/json; charset=utf-8",
      etag,
      vary: "Accept-Encoding",
      ...tables.stateHeaders,
    },
    body,
  };
}

/** It always contains the fleet's application, but `releases` only if there is one to run. */
function targetState(tables: Tables, device: Device): object {
  const { fleet, name, told } = device;
  if (told) return { name, ...told };
  const release = tables.targetOf(device);
  const environment = { ...fleet.environment, ...device.environment };
  const services = Object.entries(release?.services ?? {}).map(([service, row]) => [
    service,
    { ...row, environment: { ...Object(row["environment"]), ...environment } },
  ]);
  const { id, networks, volumes } = release ?? {};
  const config: Record<string, string> = { ...fleet.config, ...device.config };
  const poll = Math.max(Number(config["RESIN_SUPERVISOR_POLL_INTERVAL"] ?? defaultPollMs), tables.shortestPollMs);
  return {
    name,
    apps: {
      [fleet.uuid]: {
        ...{ id: fleet.id, name: fleet.name, is_host: false, class: "fleet" },
        ...(release && {
          releases: {
            [release.commit]: {
              id,
              services: Object.fromEntries(services),
              ...(networks && { networks }),
              ...(volumes && { volumes }),
            },
          },
        }),
      },
    },
    config: { ...config, RESIN_SUPERVISOR_POLL_INTERVAL: String(poll) },
  };
}

export const defaultPollMs = 600_000;
