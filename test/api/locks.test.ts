import { describe, expect, test } from "vitest";
import type { MemoryDeviceOptions } from "../../core/embedded/device.ts";
import { MemoryStore } from "../../core/embedded/ports.ts";
import { everything } from "../../core/model/scope.ts";
import { app, testDevice, type Answer, type TestDevice } from "../support/device.ts";
import { Chance, SimClock } from "../simulation/clock.ts";
import { bearer, cloudApp, managedDevice, twoApps } from "./managed.ts";

/** Leases: update locks over HTTP. */

const put = (device: TestDevice, path: string, body: object, headers: Record<string, string> = {}) =>
  device.send("PUT", path, {
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
const del = (device: TestDevice, path: string, headers: Record<string, string> = {}) =>
  device.send("DELETE", path, { headers });

const field = (answer: Answer, name: string): unknown => Object(answer.json)[name];
const idOf = (answer: Answer): string => String(field(answer, "id"));
const listed = async (device: TestDevice, headers: Record<string, string> = {}): Promise<unknown> =>
  field(await device.get("/v3/locks", headers), "locks");

const upload = { appId: 1, service: "web", reason: "firmware upload", ttl: 1800 };
const gone = {
  type: "/docs/errors#unknown-lease",
  detail: "There is no such lease: it has ended, was released, or was overridden by force. An update may begin",
};
const blocked =
  /^Lockfile exists for \{ appId: 1, service: web \}: locked by caller without a key: firmware upload, until \d\d:\d\d UTC$/;

describe("a service", () => {
  test("takes, lists, renews and releases a lease of its application", async () => {
    const device = await twoApps();
    const key = await device.keyOf(1, "web");
    const taken = await device.post("/v3/locks", upload, key);
    expect(taken).toMatchObject({ status: 201, json: { id: expect.stringMatching(/^[0-9a-f]{32}$/), owner: "web" } });
    const id = idOf(taken);
    const inMs = (answer: Answer) => Date.parse(String(field(answer, "expiresAt"))) - Date.now();
    expect(inMs(taken)).toBeGreaterThan(1_700_000);
    const { ttl: _, ...shown } = upload;
    expect(await listed(device, key)).toEqual([
      { ...shown, id, owner: "web", held: "lease", expiresAt: expect.stringMatching(/^\d{4}-.*Z$/) },
    ]);
    expect(device.folders.isLeased(1, "web")).toBe(true);

    const renewed = await put(device, `/v3/locks/${id}`, { ttl: 86_400 }, key);
    expect(renewed).toMatchObject({ status: 200, json: { id, owner: "web" } });
    expect(inMs(renewed)).toBeGreaterThan(86_000_000);

    expect(await del(device, `/v3/locks/${id}`, key)).toMatchObject({ status: 204, text: "" });
    expect([await listed(device, key), device.folders.isLeased(1, "web")]).toEqual([[], false]);
    expect(await put(device, `/v3/locks/${id}`, { ttl: 60 }, key)).toMatchObject({ status: 404, json: gone });
    expect(await del(device, `/v3/locks/${id}`, key)).toMatchObject({ status: 404, json: gone });
  });

  test("has no lease of another application, and neither sees, renews nor releases one", async () => {
    const device = await managedDevice();
    await device.runCloud(
      { aaaa: cloudApp(1, "first", { web: {} }), bbbb: cloudApp(2, "second", { db: {} }) },
      { SUPERVISOR_API_SCOPE: "application" },
    );
    const [web, db] = [await device.keyOf(1, "web"), await device.keyOf(2, "db")];
    expect(await device.post("/v3/locks", upload, db)).toMatchObject({ status: 401 });
    const id = idOf(await device.post("/v3/locks", upload, web));
    device.folders.lock(1, "web");
    expect(await listed(device, db)).toEqual([]);
    expect(await put(device, `/v3/locks/${id}`, { ttl: 60 }, db)).toMatchObject({ status: 404, json: gone });
    expect(await del(device, `/v3/locks/${id}`, db)).toMatchObject({ status: 404, json: gone });
    expect(await listed(device, web)).toMatchObject([{ id }]);
  });

  test("cannot take a lease in another one's name", async () => {
    const device = await twoApps();
    const body = { ...upload, owner: "cloud", id: "mine" };
    expect(await device.post("/v3/locks", body, await device.keyOf(1, "web"))).toMatchObject({
      json: { owner: "web", id: expect.stringMatching(/^[0-9a-f]{32}$/) },
    });
  });
});

describe("the owner", () => {
  const ownerOf = (answer: Answer) => field(answer, "owner");

  test("with the global key is the device key, or the cloud that relays the request", async () => {
    const device = await twoApps();
    expect(ownerOf(await device.post("/v3/locks", upload, device.globalKey()))).toBe("device key");
    const request = new Request("http://device/v3/locks", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(upload),
    });
    expect(await (await device.fetch(request, { scope: everything })).json()).toMatchObject({ owner: "cloud" });
  });

  test("without a known key is not named", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ web: {} }) });
    expect(ownerOf(await device.post("/v3/locks", upload))).toBe("caller without a key");
    expect(ownerOf(await device.post("/v3/locks", upload, bearer("unknown")))).toBe("caller without a key");
  });
});

test("without a service, a lease is for all services of the application", async () => {
  const device = await testDevice();
  await device.run({ "1": app({ web: {}, db: {} }) });
  const { service: _, ...all } = upload;
  const id = idOf(await device.post("/v3/locks", all));
  expect([device.folders.isLeased(1, "web"), device.folders.isLeased(1, "db")]).toEqual([true, true]);
  expect(await device.post("/v1/restart", { appId: 1 })).toMatchObject({ status: 423 });
  await del(device, `/v3/locks/${id}`);
  expect([device.folders.isLeased(1, "web"), device.folders.isLeased(1, "db")]).toEqual([false, false]);
  expect(await device.post("/v1/restart", { appId: 1 })).toMatchObject({ status: 200 });
});

/** A device whose time passes only in the test. */
async function timed(options: MemoryDeviceOptions = {}) {
  const clock = new SimClock(new Chance(1));
  const device = await testDevice({ clock, ...options });
  /** Lets time pass until the promise has settled. */
  const during = async <T>(promise: Promise<T>): Promise<T> => {
    let ended = false;
    const end = () => void (ended = true);
    promise.then(end, end);
    while (!ended) await clock.advance(10);
    return promise;
  };
  const releases = async () => (await device.engine.look()).containers.map(({ name }) => name.split("_").at(-1));
  const setRelease = (commit: string, more: object = {}) =>
    device.post("/v2/local/target-state", {
      local: { name: "device", config: {}, apps: { "1": app({ web: { environment: { V: commit } } }, { commit }) } },
      ...more,
    });
  await during(device.run({ "1": app({ web: {} }) }));
  return { clock, device, during, releases, setRelease };
}

describe("an update", () => {
  test("waits for the last of several leases, names the owner and the reason, and then begins at once", async () => {
    const { clock, device, releases, setRelease } = await timed();
    const one = await device.post("/v3/locks", { ...upload, ttl: 600 });
    const other = await device.post("/v3/locks", upload);
    expect([one.status, other.status]).toEqual([201, 201]);
    await setRelease("c2");
    await clock.advance(60_000);
    expect(await releases()).toEqual(["c1"]);
    const message = expect.stringMatching(blocked);
    expect(device.supervisor.loop.failureOf(1)).toMatchObject({ is: "locked", message });
    expect((await device.get("/v3/problems")).text).toContain(
      "locked by caller without a key: firmware upload, until ",
    );
    expect(device.log.lines.filter((line) => line.startsWith("warning: Lockfile exists"))).toHaveLength(1);
    await del(device, `/v3/locks/${idOf(other)}`);
    await clock.advance(60_000);
    expect(await releases()).toEqual(["c1"]);
    await del(device, `/v3/locks/${idOf(one)}`);
    await clock.advance(500);
    expect(await releases()).toEqual(["c2"]);
  });

  test("begins when the lease has ended by itself; the lease is unknown then", async () => {
    const { clock, device, releases, setRelease } = await timed();
    const id = idOf(await device.post("/v3/locks", { ...upload, ttl: 100 }));
    await setRelease("c2");
    await clock.advance(50_000);
    expect((await put(device, `/v3/locks/${id}`, { ttl: 100 })).status).toBe(200);
    await clock.advance(99_000);
    expect(await releases()).toEqual(["c1"]);
    await clock.advance(1500);
    expect(await releases()).toEqual(["c2"]);
    expect(await put(device, `/v3/locks/${id}`, { ttl: 100 })).toMatchObject({ status: 404, json: gone });
  });

  test("prevents new leases while it replaces services, and shows who holds the locks", async () => {
    const { clock, device, releases, setRelease } = await timed({ stopMs: 5000 });
    await setRelease("c2");
    await clock.advance(1000);
    expect(await listed(device)).toEqual([{ appId: 1, service: "web", owner: "agent", held: "agent" }]);
    expect(await device.post("/v3/locks", upload)).toMatchObject({
      status: 423,
      json: {
        type: "/docs/errors#locked",
        detail: "The agent replaces services of application 1 now. Try again in some seconds",
      },
    });
    await clock.advance(10_000);
    expect(await releases()).toEqual(["c2"]);
    expect((await device.post("/v3/locks", upload)).status).toBe(201);
  });

  test("that is forced ends the leases, which is recorded", async () => {
    const { clock, device, releases, setRelease } = await timed();
    const id = idOf(await device.post("/v3/locks", upload));
    await setRelease("c2");
    await clock.advance(1000);
    expect(await releases()).toEqual(["c1"]);
    await device.post("/v1/update", { force: true });
    await clock.advance(1000);
    expect(await releases()).toEqual(["c2"]);
    expect(await put(device, `/v3/locks/${id}`, { ttl: 100 })).toMatchObject({ status: 404, json: gone });
    const { entries } = await device.supervisor.events.read(0, 1000);
    expect(entries.filter(({ kind }) => kind === "leaseBroken")).toMatchObject([
      {
        ...{ appId: 1, service: "web", level: "warn", audience: "everyone" },
        text: "The lease of caller without a key for service 'web' was ended by force: firmware upload",
      },
    ]);
  });

  test("ends the leases with SUPERVISOR_OVERRIDE_LOCK, too", async () => {
    const { clock, device, releases } = await timed();
    await device.post("/v3/locks", upload);
    const config = { SUPERVISOR_OVERRIDE_LOCK: "1" };
    const apps = { "1": app({ web: { environment: { V: "2" } } }, { commit: "c2" }) };
    await device.post("/v2/local/target-state", { local: { name: "device", config, apps } });
    await clock.advance(1000);
    expect([await releases(), await listed(device)]).toEqual([["c2"], []]);
    expect(device.log.lines).toContainEqual(expect.stringContaining("was ended by force: firmware upload"));
  });
});

describe("while a lease is held", () => {
  test.each<[string, string, object, unknown]>([
    ["POST", "/v1/restart", { appId: 1 }, { message: expect.stringMatching(blocked) }],
    ["POST", "/v2/applications/1/stop-service", { serviceName: "web" }, { message: expect.stringMatching(blocked) }],
    ["POST", "/v1/reboot", {}, { Error: expect.stringMatching(blocked) }],
    ["PATCH", "/v1/device/host-config", { network: { hostname: "new" } }, { message: expect.stringMatching(blocked) }],
  ])("%s %s is refused without force, and with it ends the lease", async (method, path, body, refusal) => {
    const device = await testDevice();
    await device.run({ "1": app({ web: {} }) });
    const { id } = Object((await device.post("/v3/locks", upload)).json);
    const send = (force: boolean) =>
      device.send(method, path, {
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ ...body, force }),
      });
    const refused = await send(false);
    expect(refused.status).toBe(423);
    expect(method === "PATCH" ? { message: refused.text } : refused.json).toMatchObject(Object(refusal));
    expect(await listed(device)).toMatchObject([{ id }]);
    expect((await send(true)).status).toBeLessThan(300);
    expect(await listed(device)).toEqual([]);
  });

  test("the lock file of a service is listed beside it, and holds the update up after it", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ web: {} }) });
    device.folders.lock(1, "web");
    const { id } = Object((await device.post("/v3/locks", upload)).json);
    expect(await listed(device)).toMatchObject([
      { id, held: "lease" },
      { appId: 1, service: "web", owner: "web", held: "file" },
    ]);
    await del(device, `/v3/locks/${id}`);
    expect(await device.post("/v1/restart", { appId: 1 })).toMatchObject({
      status: 423,
      json: { message: "Lockfile exists for { appId: 1, service: web }" },
    });
  });
});

test("a lease holds up the update after a restart of the agent, and ends by itself", async () => {
  const store = new MemoryStore();
  const first = await timed({ ports: { store } });
  const id = idOf(await first.device.post("/v3/locks", { ...upload, ttl: 100 }));
  await first.clock.advance(40_000);
  await first.device.stop();

  const clock = new SimClock(new Chance(2));
  const device = await testDevice({ clock, ports: { store } });
  await clock.advance(1000);
  expect(device.folders.isLeased(1, "web")).toBe(true);
  expect(await listed(device)).toMatchObject([{ id, owner: "caller without a key", reason: "firmware upload" }]);
  await clock.advance(58_000);
  expect(await listed(device)).toMatchObject([{ id }]);
  await clock.advance(2000);
  expect([await listed(device), device.folders.isLeased(1, "web")]).toEqual([[], false]);
});

describe("bad requests", () => {
  const { reason: _, ...unexplained } = upload;
  test.each<[object, number, string]>([
    [{ ...upload, ttl: 0 }, 400, "ttl: expected a number of 1 or more"],
    [{ ...upload, ttl: 86_401 }, 400, "ttl: expected a number of 86400 or less"],
    [{ ...upload, ttl: "30m" }, 400, "ttl: expected a number"],
    [{ ...upload, ttl: 1.5 }, 400, "ttl: expected a whole number"],
    [{ ...upload, appId: 0 }, 400, "appId: "],
    [unexplained, 400, "reason: expected a string"],
    [{ ...upload, reason: " " }, 400, "reason: expected a string that is not empty"],
    [{ ...upload, reason: "a".repeat(201) }, 400, "reason: expected at most 200 characters"],
    [{ ...upload, reason: "a\nwarning: b" }, 400, "reason: expected a single line"],
    [{ ...upload, appId: 7 }, 404, "This device has no application 7"],
    [{ ...upload, service: "wbe" }, 404, "Application 1 has no service wbe, only: db, web"],
  ])("%j is answered %i", async (body, status, message) => {
    const device = await testDevice();
    await device.run({ "1": app({ web: {}, db: {} }) });
    expect(await device.post("/v3/locks", body)).toMatchObject({
      ...{ status, json: { status, detail: expect.stringContaining(message) } },
    });
    expect(await listed(device)).toEqual([]);
  });

  test("the 101st lease is refused", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ web: {} }) });
    for (let n = 0; n < 100; n++) expect((await device.post("/v3/locks", upload)).status).toBe(201);
    expect(await device.post("/v3/locks", upload)).toMatchObject({
      status: 409,
      json: {
        type: "/docs/errors#limit-reached",
        detail: "The device has 100 leases, the most that there can be. Release some of them",
      },
    });
  });
});
