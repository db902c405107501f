import { describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { AuditEntry, Fleet, Token } from "../../core/api/admin/index.ts";
import { createMemoryDevice } from "../../core/embedded/device.ts";
import { deriveServiceKey } from "../../core/model/service-key.ts";
import { systemClock } from "../../core/ports/clock.ts";
import { fairShare } from "../../runtimes/worker/directory/fair-share.ts";
import { plainIo } from "../../runtimes/cli/io.ts";
import { runProgram } from "../../runtimes/cli/run.ts";
import { startTunnel } from "../../runtimes/node/cloud/tunnel.ts";
import { startProgram } from "../node/program.ts";
import { adminSecret, startCloud } from "./cloud.ts";
import { connected } from "./devices.ts";
import { newDevice, newFleet, newToken, newUuid, Registered, registration, type TestFleet } from "./people.ts";

/** The audit log: principal, operation, address and result. */
const cloud = startCloud();

const read = (query = "") => cloud.get(z.array(AuditEntry), `/admin/v1/audit?limit=500${query}`);

/** The entries that an action causes, oldest first. The Worker sends its entries within some seconds. */
async function written(act: () => Promise<unknown>, count: number): Promise<readonly AuditEntry[]> {
  const [last] = await read();
  await act();
  let entries: readonly AuditEntry[] = [];
  const after = async () => (entries = await read(`&after=${last?.id ?? 0}`)).length;
  await expect.poll(after, { timeout: 10_000 }).toBeGreaterThanOrEqual(count);
  return entries;
}

/** Whether no more entries arrive in the time in which the Worker sends them. */
async function nothing(act: () => Promise<unknown>): Promise<readonly AuditEntry[]> {
  const marker = newUuid();
  const entries = await written(async () => {
    await act();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await cloud.ask("POST", "/admin/v1/fleets", { name: marker });
  }, 1);
  expect(entries.at(-1)?.about).toBe(marker);
  return entries.slice(0, -1);
}

const brief = ({ who, operation, status, about }: AuditEntry) => [who, operation, status, about];

const rows = async () => {
  const storage = await cloud.worker.getWorker().getDurableObjectStorage("Directory", { name: "directory" });
  return (sql: string) => storage.exec(sql);
};

async function newAgentOf(fleet: TestFleet) {
  const device = await newDevice(cloud, fleet);
  const agent = await createMemoryDevice({ identity: { uuid: device.uuid } });
  onTestFinished(() => agent.stop());
  const { fetch, log } = agent;
  const tunnel = startTunnel({
    ...{ url: cloud.url(), uuid: device.uuid, key: device.api_key },
    fetch,
    log,
    clock: systemClock,
  });
  onTestFinished(() => tunnel.stop());
  await connected(tunnel);
  return device;
}

const relay = (path: string, body: object, key: string) => cloud.ask("POST", `/supervisor${path}`, body, key);

describe("the administration", () => {
  test("has one entry for each change: principal, operation, target and status", async () => {
    const { id: who, token } = await newToken(cloud, { name: "alice", write: true, manage: true });
    const ask = (method: string, path: string, body?: object) => cloud.ask(method, `/admin/v1/${path}`, body, token);
    let fleet = 0;
    let made = { key: 0, token: "" };
    let device: Registered = { id: 0, uuid: "", api_key: "" };
    const entries = await written(async () => {
      fleet = Fleet.parse((await ask("POST", "fleets", { name: "audited" })).json).id;
      await ask("PATCH", `fleets/${fleet}`, { name: "audited, renamed" });
      await ask("POST", `fleets/${fleet}/variables`, { variables: { A: "1", B: "2" } });
      await ask("DELETE", `fleets/${fleet}/variables/A`);
      await ask("POST", `fleets/${fleet}/releases`, { composition: { services: {} }, commit: "one" });
      const key = z
        .object({ id: z.int(), key: z.string() })
        .parse((await ask("POST", `fleets/${fleet}/provisioning-keys`, {})).json);
      const body = { application: fleet, device_type: "generic-amd64", uuid: newUuid() };
      device = Registered.parse((await cloud.ask("POST", "/device/register", body, key.key)).json);
      await ask("PATCH", `devices/${device.uuid}`, { name: "roof" });
      await ask("POST", `devices/${device.uuid}/key`, {});
      const child = Token.parse((await ask("POST", "tokens", { name: "child", fleets: [fleet] })).json);
      await ask("DELETE", `tokens/${child.id}`);
      await ask("DELETE", `devices/${device.uuid}`);
      await ask("DELETE", `fleets/${fleet}/provisioning-keys/${key.id}`);
      made = { key: key.id, token: child.id };
    }, 13);
    expect(entries.map(brief)).toEqual([
      [who, "createFleet", 201, "audited"],
      [who, "changeFleet", 200, "name"],
      [who, "setFleetVariables", 204, "A, B"],
      [who, "deleteFleetVariable", 204, "A"],
      [who, "createRelease", 201, "one"],
      [who, "createProvisioningKey", 201, `key ${made.key}`],
      [`key:${made.key}`, "register", 201, null],
      [who, "changeDevice", 200, "name"],
      [who, "replaceDeviceKey", 200, null],
      [who, "createToken", 201, `token ${made.token}`],
      [who, "revokeToken", 200, `token ${made.token}`],
      [who, "deleteDevice", 204, null],
      [who, "deleteProvisioningKey", 204, `key ${made.key}`],
    ]);
    expect(entries.map(({ fleetId }) => fleetId)).toEqual(entries.map(() => fleet));
    const ofDevice = entries.filter(({ uuid }) => uuid !== null);
    expect(ofDevice.map(({ operation, uuid }) => [operation, uuid])).toEqual(
      ["register", "changeDevice", "replaceDeviceKey", "deleteDevice"].map((operation) => [operation, device.uuid]),
    );
    expect(entries.find(({ operation }) => operation === "deleteFleetVariable")).toMatchObject({
      name: "alice",
      method: "DELETE",
      path: "/admin/v1/fleets/:fleetId/variables/:name",
      count: 1,
    });
  });

  test("has refused requests, and no reads", async () => {
    const fleet = await newFleet(cloud, "refusals");
    const { id: who, token } = await newToken(cloud, { fleets: [fleet.id] });
    const entries = await nothing(async () => {
      await cloud.ask("PATCH", `/admin/v1/fleets/${fleet.id}`, { name: "x" }, token);
      await cloud.ask("DELETE", `/admin/v1/fleets/${fleet.id}9`);
      await cloud.ask("POST", "/admin/v1/fleets", {});
      for (const path of ["fleets", "devices", "tokens", `fleets/${fleet.id}/variables`])
        await cloud.ask("GET", `/admin/v1/${path}`);
      await cloud.ask("GET", "/v7/device", undefined, token);
      await cloud.ask("POST", "/admin/v1/nothing", {});
    });
    expect(entries.map(brief)).toEqual([
      [who, "changeFleet", 403, null],
      ["admin", "deleteFleet", 404, null],
      ["admin", "createFleet", 400, null],
    ]);
  });
});

test("the log has registrations and changes through the public API, and no polls or reports", async () => {
  const fleet = await newFleet(cloud, "rows");
  const device = await newDevice(cloud, fleet);
  const service = await deriveServiceKey(device.api_key);
  const { id, uuid, api_key: key } = device;
  const entries = await nothing(async () => {
    await cloud.ask("POST", "/v7/device_tag", { device: id, tag_key: "place", value: "a value" });
    await cloud.ask("PATCH", `/v7/device_tag?$filter=device eq ${id}`, { value: "a value" }, key);
    await cloud.ask("DELETE", `/v7/device_tag(device=${id},tag_key='place')`, undefined, service);
    await cloud.ask("POST", "/v7/device_config_variable", { device: id, name: "RESIN_A", value: "a value" }, service);
    await cloud.ask("PATCH", `/v7/device(${id})`, { device_name: "roof" }, key);
    await cloud.ask("PATCH", "/device/v3/tags", { [uuid]: { floor: "a value" } }, key);
    await cloud.ask("PATCH", "/device/v3/state", { [uuid]: { status: "Idle" } }, key);
    await cloud.ask("GET", `/device/v3/${uuid}/state`, undefined, key);
    await cloud.ask("POST", "/device/register", registration(fleet, { uuid }), fleet.key);
  });
  expect(
    entries.map(({ uuid: on, fleetId, ...entry }) => [...brief({ ...entry, uuid: on, fleetId }), on, fleetId]),
  ).toEqual(
    [
      ["admin", "createRow", 201, "device_tag place"],
      [`device:${id}`, "changeRows", 200, "device_tag place"],
      [`service:${id}`, "deleteRows", 200, "device_tag place"],
      [`service:${id}`, "createRow", 403, null],
      [`device:${id}`, "changeRows", 200, expect.stringMatching(/^device \w+-\w+$/)],
      [`device:${id}`, "setTags", 200, null],
      [expect.stringMatching(/^key:\d+$/), "register", 409, null],
    ].map((entry) => [...entry, entry[2] === 403 ? null : uuid, entry[2] === 403 ? null : fleet.id]),
  );
});

describe("the relay", () => {
  test("has one entry for each request that is not a read, written after the answer", async () => {
    const fleet = await newFleet(cloud, "relayed");
    const [one, two] = [await newAgentOf(fleet), await newAgentOf(fleet)];
    const { id: who, token } = await newToken(cloud, { fleets: [fleet.id], write: true });
    const { id: reader, token: reading } = await newToken(cloud, { fleets: [fleet.id] });
    const path = (of: string) => `/supervisor${of}`;
    const expected = [
      [who, "blink", "POST", path("/v1/blink"), 200, one.uuid, null],
      [who, "blink", "POST", path("/v1/blink"), 200, two.uuid, null],
      [who, "update", "POST", path("/v1/update"), 207, null, "2 devices"],
      [who, "cleanupVolumes", "HEAD", path("/v2/cleanup-volumes"), 200, one.uuid, null],
      [who, "restart", "POST", path("/v1/restart"), 400, one.uuid, null],
      [who, "unknown", "POST", null, 404, one.uuid, null],
      [reader, "blink", "POST", path("/v1/blink"), 403, one.uuid, null],
      [`device:${one.id}`, "blink", "POST", path("/v1/blink"), 200, one.uuid, null],
    ];
    const entries = await nothing(async () => {
      await relay("/v1/blink", { uuid: one.uuid }, token);
      await relay("/v1/blink", { deviceId: two.id }, token);
      await relay("/v1/update", { appId: fleet.id }, token);
      await relay("/V2/cleanup-volumes/", { uuid: one.uuid, method: "HEAD" }, token);
      await relay("/v1/restart?a=1", { uuid: one.uuid, data: {} }, token);
      await relay("/v1/nothing", { uuid: one.uuid }, token);
      await relay("/v1/blink", { uuid: one.uuid }, reading);
      await relay("/v1/blink", { uuid: one.uuid }, one.api_key);
      for (const read of ["/v1/device", "/v2/version", "/v1/nothing"])
        await relay(read, { uuid: one.uuid, method: "GET" }, token);
      await relay("/v1/blink", {}, token);
    });
    expect(
      entries.map(({ who: by, operation, method, path: of, status, uuid, about }) => [
        by,
        operation,
        method,
        of,
        status,
        uuid,
        about,
      ]),
    ).toEqual(expected);
    expect(new Set(entries.map(({ fleetId }) => fleetId))).toEqual(new Set([fleet.id]));

    const burst = await written(
      () => Promise.all(Array.from({ length: 60 }, () => relay("/v1/blink", { uuid: one.uuid }, token))),
      60,
    );
    expect(burst.filter(({ operation }) => operation === "blink").length).toBe(60);
  });
});

describe("refused keys and tokens", () => {
  const from = (address: string, key = "fl_nonsense.nonsense", path = "/admin/v1/fleets") =>
    fetch(cloud.url() + path, { headers: { authorization: `Bearer ${key}`, "cf-connecting-ip": address } });
  const refusals = async () => (await read()).filter(({ operation }) => operation === "authenticate");

  test("are counted by address and minute, on every endpoint", async () => {
    const revoked = await newToken(cloud);
    await cloud.ask("DELETE", `/admin/v1/tokens/${revoked.id}`);
    await nothing(async () => {
      for (let n = 0; n < 5; n++) await from("192.0.2.1");
      await from("192.0.2.1", revoked.token);
      await from("192.0.2.1", "0".repeat(64), "/v7/device");
      await from("192.0.2.1", "0".repeat(64), `/device/v2/${"0".repeat(32)}/logs`);
      await fetch(`${cloud.url()}/supervisor/ping`, {
        method: "POST",
        headers: { authorization: "Bearer x", "cf-connecting-ip": "192.0.2.1" },
      });
      // A request without a key does not count as a try.
      await fetch(`${cloud.url()}/admin/v1/fleets`, { headers: { "cf-connecting-ip": "192.0.2.1" } });
    });
    const mine = (await refusals()).filter(({ address }) => address === "192.0.2.1");
    expect(mine.reduce((sum, { count }) => sum + count, 0)).toBe(9);
    // The minute may end during the test.
    expect(mine.length).toBeLessThanOrEqual(2);
    expect(mine[0]).toMatchObject({ who: "nobody", status: 401, path: null, uuid: null, fleetId: null });
  });

  test("are counted together if they come from too many addresses", async () => {
    // Only the first 60 requests of a network or with a key are checked in a minute.
    await nothing(() =>
      Promise.all(Array.from({ length: 150 }, (_, n) => from(`2001:db8:0:${n}::1`, `fl_nonsense.${n}`))),
    );
    const all = (await refusals()).filter(({ address }) => /^2001:db8:|^others$/.test(address ?? ""));
    expect(all.reduce((sum, { count }) => sum + count, 0)).toBe(150);
    expect(all.length).toBeLessThanOrEqual(42);
    expect(all.some(({ address }) => address === "others")).toBe(true);
  });

  test("have no address if the header is not a valid one", async () => {
    const counted = async () => (await refusals()).reduce((sum, { count }) => sum + count, 0);
    const before = await counted();
    await nothing(() => from("<script>"));
    expect(await counted()).toBe(before + 1);
    expect((await refusals()).some(({ address }) => address?.includes("script"))).toBe(false);
  });
});

test("the log has no secrets, even if they are in a wrong place of a request", async () => {
  const fleet = await newFleet(cloud, "mistakes");
  const device = await newAgentOf(fleet);
  const { token } = await newToken(cloud, { write: true, manage: true, secrets: true });
  const secrets = [token, fleet.key, device.api_key, adminSecret, "a-secret-value"];
  await nothing(async () => {
    await cloud.ask("DELETE", `/admin/v1/tokens/${token}`);
    await cloud.ask("DELETE", `/admin/v1/fleets/${fleet.id}/provisioning-keys/${fleet.key}`);
    await cloud.ask("POST", `/admin/v1/fleets?apikey=${token}`, { name: "by query" }, null);
    await cloud.ask("DELETE", `/admin/v1/fleets/${fleet.id}/variables/A=a-secret-value`);
    await cloud.ask("POST", `/admin/v1/devices/${device.uuid}/variables`, { variables: { A: "a-secret-value" } });
    await cloud.ask("DELETE", `/v7/device_config_variable(device=${device.id},value='a-secret-value')`);
    await cloud.ask("POST", "/v7/device_tag", { device: device.id, tag_key: "t", value: "a-secret-value" });
    await relay("/v1/restart?token=a-secret-value", { uuid: device.uuid, data: { x: "a-secret-value" } }, token);
    await relay("/v1/a-secret-value", { uuid: device.uuid }, token);
    await cloud.ask("GET", "/admin/v1/fleets", undefined, `${token}x`);
  });
  const kept = JSON.stringify(await (await rows())("SELECT * FROM audit"));
  expect(kept.length).toBeGreaterThan(1000);
  for (const secret of secrets) expect(kept.includes(secret)).toBe(false);
});

describe("the audit log can be read", () => {
  test("by the owner, and by tokens with the permission to manage for their own fleets", async () => {
    const [ours, theirs] = [await newFleet(cloud, "our log"), await newFleet(cloud, "their log")];
    for (const { id } of [ours, theirs]) await cloud.ask("PATCH", `/admin/v1/fleets/${id}`, { release: "latest" });
    const { token } = await newToken(cloud, { fleets: [ours.id], manage: true });
    const { token: writer } = await newToken(cloud, { fleets: [ours.id], write: true, secrets: true });
    const fleets = async (key: string, query = "") => {
      const { json } = await cloud.ask("GET", `/admin/v1/audit?limit=500${query}`, undefined, key);
      return new Set(
        z
          .array(AuditEntry)
          .parse(json)
          .map(({ fleetId }) => fleetId),
      );
    };
    expect(await fleets(token)).toEqual(new Set([ours.id]));
    expect(await fleets(token, `&fleetId=${theirs.id}`)).toEqual(new Set());
    expect(await fleets(adminSecret, `&fleetId=${theirs.id}`)).toEqual(new Set([theirs.id]));
    expect((await fleets(adminSecret)).size).toBeGreaterThan(2);
    expect((await cloud.ask("GET", "/admin/v1/audit", undefined, writer)).status).toBe(403);
    const device = await newDevice(cloud, ours);
    for (const key of [device.api_key, ours.key, null])
      expect((await cloud.ask("GET", "/admin/v1/audit", undefined, key)).status).toBe(401);
  });

  test("in pages, backwards and forwards", async () => {
    const fleet = await newFleet(cloud, "pages");
    for (let n = 0; n < 7; n++) await cloud.ask("PATCH", `/admin/v1/fleets/${fleet.id}`, { name: `pages ${n}` });
    const page = async (more: string) =>
      (await cloud.get(z.array(AuditEntry), `/admin/v1/audit?fleetId=${fleet.id}&limit=3${more}`)).map(({ id }) => id);
    const all = (await read(`&fleetId=${fleet.id}`)).map(({ id }) => id);
    expect(all).toEqual(all.toSorted((a, b) => b - a));
    const first = await page("");
    expect(first).toEqual(all.slice(0, 3));
    expect(await page(`&before=${first[2]}`)).toEqual(all.slice(3, 6));
    expect(await page(`&after=${all.at(-1)}`)).toEqual(all.toReversed().slice(1, 4));
    expect(await page(`&after=${all[0]}`)).toEqual([]);
  });
});

test("the command prints the audit log", async () => {
  const fleet = await newFleet(cloud, "typed log");
  const device = await newDevice(cloud, fleet);
  await newToken(cloud, { name: "\u001b[31mred", fleets: [fleet.id] });
  const environment = { FAIRLEAD_CLOUD_URL: cloud.url(), FAIRLEAD_CLOUD_TOKEN: adminSecret };
  let columns: number | undefined;
  const said = async (...args: readonly string[]) => {
    let printed = "";
    const io = plainIo(environment, (text) => void (printed += text));
    expect(await runProgram(["cloud", "audit", ...args], { ...io, columns })).toBe(0);
    return printed;
  };
  const lines = (await said("--fleet", "typed log")).split("\n");
  expect(lines[0]).toMatch(/^TIME +STATUS +WHO +DID +ON +ADDRESS +ABOUT$/);
  expect(lines.slice(1, 4).join("\n")).toMatch(
    new RegExp(
      `createFleet +fleet ${fleet.id} [^]*createProvisioningKey +fleet ${fleet.id} .* key \\d+\\n.* 201 +key:\\d+ +register +${device.uuid.slice(0, 12)}`,
    ),
  );
  const { token } = await newToken(cloud, { name: "\u001b[31mred", fleets: [fleet.id], write: true });
  await cloud.ask("PATCH", `/admin/v1/fleets/${fleet.id}`, { release: "latest" }, token);
  expect(await said("--fleet", "typed log", "--count", "1")).toMatch(/200 +\?\[31mred +changeFleet/);
  expect(z.array(AuditEntry).parse(JSON.parse(await said("--json", "--count", "600"))).length).toBeGreaterThan(4);
  await expect(said("--count", "0")).rejects.toThrow('--count: expected a whole number of 1 or more, but got "0"');

  columns = 60;
  const narrow = (await said("--fleet", "typed log")).trimEnd().split("\n");
  expect(Math.max(...narrow.map(({ length }) => length))).toBe(60);
  expect(narrow.at(-1)).toMatch(/…$/);

  const following = startProgram(["cloud", "audit", "--fleet", "typed log", "--follow", "--count", "1"], environment);
  await expect.poll(() => following.stdout(), { timeout: 20_000 }).toMatch(/changeFleet/);
  await cloud.ask("PATCH", `/admin/v1/devices/${device.uuid}`, { name: "roof" });
  await expect.poll(() => following.stdout(), { timeout: 20_000 }).toMatch(/changeDevice +0000/);
});

test("entries are kept for 90 days and up to a number of each kind; the largest sources lose their oldest", async () => {
  const exec = await rows();
  const dayMs = 24 * 60 * 60 * 1000;
  const now = Date.now();
  await exec("DELETE FROM audit");
  const series = (first: number, count: number, kind: string, at: number, who: string) =>
    exec(
      `WITH RECURSIVE n (id) AS (SELECT ${first} UNION ALL SELECT id + 1 FROM n WHERE id < ${first + count - 1})
       INSERT INTO audit (id, kind, at, who, operation, status, count) SELECT id, '${kind}', ${at}, '${who}', 'x', 200, 1 FROM n`,
    );
  await series(1_000_000, 10, "change", now - 91 * dayMs, "alice");
  await series(1_000_100, 10, "change", now - 89 * dayMs, "alice");
  await series(1_001_000, 100, "relay", now, "alice");
  await series(1_002_000, 50_005, "relay", now, "mallory");
  await series(1_060_000, 20_005, "device", now, "device:1");
  expect((await read("&before=1000050")).length).toBe(0);
  // The clean-up runs at each 256th entry.
  await exec(`UPDATE sqlite_sequence SET seq = ${256 * 5000 - 1} WHERE name = 'audit'`);
  await cloud.ask("POST", "/admin/v1/fleets", { name: "the 256th" });
  const counts = z
    .array(z.object({ kind: z.string(), who: z.string(), n: z.int(), first: z.int() }))
    .parse(await exec("SELECT kind, who, count(*) AS n, min(id) AS first FROM audit GROUP BY kind, who"));
  expect(counts.map(({ kind, who, n, first }) => [kind, who, n, first])).toEqual([
    ["change", "admin", 1, 256 * 5000],
    ["change", "alice", 10, 1_000_100],
    ["device", "device:1", 20_000, 1_060_005],
    ["relay", "alice", 100, 1_001_000],
    ["relay", "mallory", 49_900, 1_002_105],
  ]);
  expect((await read("&before=1000200")).length).toBe(10);
});

test.each([
  [[5, 5], 10, Infinity],
  [[5, 6], 10, 5],
  [[1, 100], 10, 9],
  [[1, 100, 100], 11, 5],
  [[], 10, Infinity],
  [[3, 3, 3], 2, 0],
])("with %j entries and a limit of %s, each source may have %s", (counts, most, share) => {
  expect(fairShare(counts, most)).toBe(share);
});
