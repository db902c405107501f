import { expect, test } from "vitest";
import * as z from "zod";
import { memoryIdentity } from "../../core/embedded/device.ts";
import { startCloud, type Asked, type FakeCloud } from "../support/fake-cloud.ts";
import { deviations } from "./deviations.ts";
import { FastClock, member, part, until } from "./fleet.ts";
import { exchange, measured, uuid, type Exchange } from "./recorded.ts";

/** Compares our agent's requests with the reference implementation's. deviations.ts lists each difference and its reason. */

const commit = `11111111${"a".repeat(32)}`;
const web = `127.0.0.1:5000/v2/4f9ef689f5cf6bb8d5482ff67c68fb54@sha256:${"ab".repeat(32)}`;
const nextCommit = `22222222${"b".repeat(32)}`;
const nextWeb = `127.0.0.1:5000/v2/f9ef1f42d7fc0ff0eb098c32dbc3edbe@sha256:${"ab".repeat(32)}`;
const db = "127.0.0.1:5000/v2/5f21fffe9215f95f8f119dea0cfd8845";

/** A device's requests from its registration to a running release, and to the next one. */
async function life(): Promise<FakeCloud> {
  const clock = new FastClock();
  const cloud = await startCloud({ now: () => clock.now(), shortestPollMs: 1000 });
  const { id: applicationId, key } = cloud.fleet;
  const device = await member(cloud, {
    pullMs: 40_000,
    identity: { ...memoryIdentity, uuid, cloudUrl: cloud.url, osVersion: "balenaOS 6.0.12", osVariant: "dev" },
    cloudSettings: { provisioning: { key, applicationId }, pollIntervalMs: 1000 },
    ports: { metrics: { measure: () => Promise.resolve(measured) } },
  });
  await until("it is registered", () => cloud.devices.has(uuid));
  const release = { id: 1, services: { web: part(1, web), db: part(2, db) } };
  cloud.setTarget(uuid, commit, release, { RESIN_SUPERVISOR_POLL_INTERVAL: "1000" });
  device.supervisor.cloud?.update({ force: false });
  await until("it runs", () => cloud.device(uuid).running === commit);
  await until("it asks once more", () => cloud.asked.some(({ method, status }) => method === "GET" && status === 304));
  await until("its log has arrived", () => cloud.device(uuid).logs.length > 2);
  cloud.setTarget(uuid, nextCommit, { id: 2, services: { web: part(1, nextWeb) } });
  device.supervisor.cloud?.update({ force: false });
  await until("it runs the next one", () => cloud.device(uuid).running === nextCommit);
  return cloud;
}

/** Headers that fetch adds to every request and no cloud reads. */
const ofTransport = /^(host|connection|accept.*|user-agent|sec-fetch-mode|content-length|transfer-encoding)$/;

const headerNames = (headers: object): string[] =>
  Object.keys(headers)
    .map((name) => name.toLowerCase())
    .filter((name) => !ofTransport.test(name));

/** Each leaf of a value: its path and its type. */
function leaves(value: unknown, path = ""): string[] {
  if (typeof value !== "object" || value === null) return [`${path} ${value === null ? "null" : typeof value}`];
  return Object.entries(value).flatMap(([name, part]) => leaves(part, path ? `${path}.${name}` : name));
}

const nameOf = ({ method, path }: { method: string; path: string }): string =>
  `${method} ${path.replace(uuid, ":uuid")}`;

function differences(original: Exchange, ours: Asked | undefined, body = (value: unknown) => leaves(value)): string[] {
  const name = nameOf(original.request);
  if (!ours) return [`${name}: never sent`];
  const [theirHeaders, ourHeaders] = [headerNames(original.request.headers), headerNames(ours.headers)];
  const [theirs, own] = [body(original.request.body ?? null), body(ours.body === "" ? null : JSON.parse(ours.body))];
  return [
    ...theirHeaders.filter((one) => !ourHeaders.includes(one)).map((one) => `${name}: no header ${one}`),
    ...ourHeaders.filter((one) => !theirHeaders.includes(one)).map((one) => `${name}: header ${one}`),
    ...theirs.filter((one) => !own.includes(one)).map((one) => `${name}: no ${one.replace(/ \w+$/, "")}`),
    ...own.filter((one) => !theirs.includes(one)).map((one) => `${name}: ${one}`),
  ];
}

const Reported = z.record(z.string(), z.looseObject({ apps: z.unknown().optional() }));

test("our agent sends what the reference implementation sends, except for the listed deviations", async () => {
  const cloud = await life();
  const find = (method: string, path: RegExp, isIt = (_: Asked) => true) =>
    cloud.asked.find((one) => one.method === method && path.test(one.path) && isIt(one));
  const reports = cloud.asked.filter(({ method, path }) => method === "PATCH" && path === "/device/v3/state");
  const withApps = (status: string, of = commit) =>
    reports.find(({ body }) => body.includes(`"${of}":{"update_status":"${status}"`));

  // The first report has no applications, because the device has no target state yet; later reports complete it.
  const [first] = reports;
  const status = Reported.parse(JSON.parse(first?.body ?? "{}"));
  const downloading = Reported.parse(JSON.parse(withApps("downloading")?.body ?? "{}"));
  const complete = first && { ...first, body: JSON.stringify({ [uuid]: { ...status[uuid], ...downloading[uuid] } }) };

  const logs = find("POST", /log-stream$/);
  const lines = logs?.body.split("\n").filter((line) => line !== "") ?? [];
  const recordedLines = String(exchange("logs", "stream: gzip").request.body).replace(/^\(gzip of\) /, "");
  const asLine = (text: string) => leaves(JSON.parse(text)).sort();

  const found = [
    ...differences(exchange("register", "register: ok"), find("POST", /register$/)),
    ...differences(
      exchange("state-get", "v3 state, If-None-Match = etag"),
      find("GET", /state$/, ({ status }) => status === 304),
    ),
    ...differences(exchange("report-v3", "first report (full)"), complete),
    ...differences(exchange("report-v3", "running; release_uuid set"), withApps("done")),
    ...differences(
      exchange("report-v3", "two releases at once (update in progress)"),
      withApps("downloading", nextCommit),
    ),
    ...headerNames(logs?.headers ?? {})
      .filter((name) => !["content-type", "content-encoding", "authorization"].includes(name))
      .map((name) => `POST /device/v2/:uuid/log-stream: header ${name}`),
    ...(logs?.headers["content-type"] === "application/x-ndjson" ? [] : ["log-stream: content-type"]),
    ...(new Set(lines.flatMap(asLine)).size === asLine(recordedLines).length ? [] : ["log-stream: other fields"]),
    ...(cloud.asked.filter(({ path }) => path.endsWith("/log-stream")).every(({ status }) => status === 201)
      ? ["POST /device/v2/:uuid/log-stream: a request for each batch"]
      : []),
  ].map((one) =>
    /download_progress null$/.test(one) ? "PATCH /device/v3/state: download_progress is null when there is none" : one,
  );
  expect([...new Set(found)].sort()).toEqual(Object.keys(deviations).sort());
});
