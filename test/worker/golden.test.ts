import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { deviations, everywhere } from "./deviations.ts";
import { adminSecret, startCloud } from "./cloud.ts";
import { newDevice, newFleet, type TestFleet } from "./people.ts";
import { exchanges, uuid as recordedUuid, type Exchange } from "../cloud/recorded.ts";
import { ask, follow, found, recordedEvents, recordedFleet, type Said } from "./recorded.ts";

/**
 * The recorded requests to the public cloud, replayed on ours. deviations.ts lists every different answer with its reason.
 * An unlisted difference fails, and so does a listed one that is not found.
 */

const cloud = startCloud();

const keys = { "<device-key>": "1".repeat(64), "<device-key-2>": "2".repeat(64), "<user-jwt>": adminSecret };
const commits = { first: `11111111${"a".repeat(32)}`, second: `22222222${"b".repeat(32)}` };
const replaced: Record<string, string> = { ...keys, "start=1795471252949": "start=4000000000000" };

/** The recorded target state of the device, which has images with labels, variables and contracts. */
const State = z.record(
  z.string(),
  z.object({
    apps: z.record(
      z.string(),
      z.object({
        releases: z.record(
          z.string(),
          z.object({
            services: z.record(z.string(), z.looseObject({ image: z.string(), composition: z.looseObject({}) })),
            networks: z.looseObject({}),
            volumes: z.looseObject({}),
          }),
        ),
      }),
    ),
  }),
);

beforeAll(async () => {
  const fleet = await newFleet(cloud, "fleet-one");
  await newFleet(cloud, "fleet-one-and-a-half");
  const other = await newFleet(cloud, "fleet-two");
  Object.assign(replaced, {
    "<provisioning-key>": fleet.key,
    [recordedFleet]: fleet.uuid,
    df50433f6835487d874dc01737de0738: other.uuid,
  });
  await newDevice(cloud, fleet, { uuid: recordedUuid, api_key: keys["<device-key>"], ...versions });
  await newDevice(cloud, fleet, { uuid: recordedUuid.replace("3333", "4444"), api_key: keys["<device-key-2>"] });
  await rename("weathered-stream");
  const variables = { SHARED: "image-env" };
  await cloud.ask("POST", `/admin/v1/fleets/${fleet.id}/variables`, { variables });
  // The recorded fleet was effectively pinned to the older of its two releases.
  await release(fleet, commits.second, "fleet state v3 of a given release (user)");
  await release(fleet, commits.first, "v3 state");
  await cloud.ask("GET", `/device/v3/${recordedUuid}/state`, undefined, keys["<device-key>"]);
});

const versions = {
  os_version: "balenaOS 6.0.12",
  os_variant: "dev",
  supervisor_version: "17.4.1",
  mac_address: "02:00:00:00:00:01",
};

const rename = (name: string) => cloud.ask("PATCH", `/admin/v1/devices/${recordedUuid}`, { name });

/** The recorded state's release, as a compose file of its images. */
async function release(fleet: TestFleet, commit: string, name: string): Promise<void> {
  const state = State.parse(exchanges("state-get", {}).find((one) => one.name === name)?.response.body);
  const recorded = Object.values(state)[0]?.apps[recordedFleet]?.releases[commit];
  if (!recorded) throw new Error(`${name} has no release ${commit}`);
  const { services, networks, volumes } = recorded;
  const composition = {
    services: Object.fromEntries(
      Object.entries(services).map(([service, { image, composition: entry }]) => [service, { ...entry, image }]),
    ),
    networks,
    volumes,
  };
  const made = await cloud.ask("POST", `/admin/v1/fleets/${fleet.id}/releases`, { commit, composition });
  expect([made.status, made.text]).toEqual([201, expect.any(String)]);
}

/** The lines of the recorded, shortened list that our list does not have, in this order. */
function missing(theirs: Said, ours: Said): readonly string[] {
  const rows = Rows.parse(ours.body);
  return Rows.parse(theirs.body).flatMap((row, n) => {
    const at = rows.findIndex((one) => found({ ...theirs, body: row }, { ...theirs, body: one }).length === 0);
    rows.splice(0, at + 1);
    return at >= 0 ? [] : [`body.${n}`];
  });
}

const Rows = z.array(
  z.looseObject({ message: z.string() }).transform((row) => ({ ...row, message: row.message.slice(0, 100) })),
);

async function compare(file: string): Promise<Record<string, readonly string[]>> {
  const differing: Record<string, readonly string[]> = {};
  let etag = "";
  let blockedS = 0;
  for (const exchange of exchanges(file, replaced)) {
    if (exchange.events) {
      expect(await follow(cloud.url(), exchange, keys["<device-key>"])).toEqual(recordedEvents(exchange));
      continue;
    }
    if (exchange.name === "batch after the block") await sleep(blockedS * 1000);
    const ours = await ask(cloud.url(), withEtag(exchange, etag));
    blockedS = Number(ours.headers.get("retry-after") ?? blockedS);
    etag ||= ours.headers.get("etag") ?? "";
    const theirs: Said = { status: exchange.response.status, body: exchange.response.body ?? null };
    const paths = exchange.note === undefined ? found(theirs, ours) : missing(theirs, ours);
    const unexplained = paths.filter((path) => !everywhere.some((one) => one.differ.test(path)));
    if (unexplained.length > 0) differing[exchange.name] = unexplained;
    const hasTag = exchange.response.headers["etag"] != null && file === "state-get";
    if (hasTag)
      expect([exchange.name, ours.headers.get("etag")]).toEqual([exchange.name, expect.stringMatching(/^W\//)]);
    else if (file === "state-get") expect([exchange.name, ours.headers.get("etag")]).toEqual([exchange.name, null]);
  }
  return differing;
}

/** Replaces the recorded entity tag by ours. */
const withEtag = (exchange: Exchange, etag: string): Exchange => {
  const known = exchange.request.headers["If-None-Match"];
  const bare = etag.replace(/^W\//, "");
  if (typeof known !== "string" || !etag) return exchange;
  const ours = known.replace('"6e9-AcNHunlQw3m31PVSDo0aGjVldxI"', bare);
  return {
    ...exchange,
    request: { ...exchange.request, headers: { ...exchange.request.headers, "If-None-Match": ours } },
  };
};

const listed = (file: keyof typeof deviations) =>
  Object.fromEntries(Object.entries(deviations[file]).map(([name, { differ }]) => [name, differ]));

describe("the recorded answers, except for the listed deviations, match ours", () => {
  test("for the target state", async () => {
    expect(await compare("state-get")).toEqual(listed("state-get"));
  });

  test("for reports, and for the stored state after each", async () => {
    expect(await compare("report-v3")).toEqual(listed("report-v3"));
  });

  test("for logs", async () => {
    expect(await compare("logs")).toEqual(listed("logs"));
  });
});

test("the entity tag is computed like the public cloud's", () => {
  const [first] = exchanges("state-get", {});
  const body = JSON.stringify(first?.response.body);
  const sha1 = createHash("sha1").update(body).digest("base64").slice(0, 27);
  expect(first?.response.headers["etag"]).toBe(`W/"${Buffer.byteLength(body).toString(16)}-${sha1}"`);
});
