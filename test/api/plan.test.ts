import { describe, expect, test } from "vitest";
import { MemoryStore } from "../../core/embedded/ports.ts";
import { Chance, SimClock } from "../simulation/clock.ts";
import { app, testDevice, type TestDevice } from "../support/device.ts";
import { cloudApp, managedDevice, twoApps } from "./managed.ts";

/** What an update would do, without doing it. */

const body = (apps: Record<string, object>) => ({ local: { name: "device", config: {}, apps } });
const postPlan = (device: TestDevice, apps: Record<string, object>, headers: Record<string, string> = {}) =>
  device.post("/v3/apps/1/plan", body(apps), headers);
const kept = { action: "keep", why: "nothing differs", differences: [] };

/** A store that counts its writes. */
class CountingStore extends MemoryStore {
  writes = 0;
  override write(...of: Parameters<MemoryStore["write"]>): ReturnType<MemoryStore["write"]> {
    this.writes++;
    return super.write(...of);
  }
}

describe("POST /v3/apps/:appId/plan", () => {
  test("answers what the update would change, and changes and writes nothing", async () => {
    const store = new CountingStore();
    const device = await testDevice({ ports: { store } });
    await device.run({ "1": app({ web: {}, db: { environment: { PASSWORD: "before it" } } }) });
    device.engine.addImage("cache:2");
    const [before, writes] = [await device.engine.look(), store.writes];
    const { entries } = await device.supervisor.events.read(0, 1000);
    const changed = app(
      {
        web: { image: "web:2", ports: ["80:80"] },
        db: { environment: { PASSWORD: "after that", TOKEN: "abc" } },
        cache: { image: "cache:2" },
      },
      { commit: "c2", volumes: { data: {} }, networks: { back: {} } },
    );
    const answer = await postPlan(device, { "1": changed });
    expect(answer).toMatchObject({
      status: 200,
      json: {
        services: [
          {
            ...{ service: "web", action: "replace", downloadBytes: 0 },
            differences: [
              { field: "image", to: '"web:2"' },
              { field: "ports", from: "[]" },
            ],
          },
          {
            ...{ service: "db", action: "replace", downloadBytes: 0 },
            why: "environment.PASSWORD differs; environment.TOKEN is new",
            differences: [{ field: "environment.PASSWORD" }, { field: "environment.TOKEN" }],
          },
          { service: "cache", action: "create", downloadBytes: 0 },
        ],
        networks: [
          { name: "default", ...kept },
          { name: "back", action: "create" },
        ],
        volumes: [{ name: "data", action: "create" }],
        waitsFor: [],
      },
    });
    expect(answer.text).not.toMatch(/before it|after that|abc/);
    await device.settled();
    expect(await device.engine.look()).toEqual(before);
    expect(store.writes).toBe(writes);
    expect((await device.supervisor.events.read(0, 1000)).entries).toEqual(entries);
    expect((await device.get("/v3/apps/1/plan")).json).toMatchObject({
      services: [
        { service: "web", ...kept },
        { service: "db", ...kept },
      ],
    });
  });

  test("says how much is downloaded: layers that are here count for nothing, those that images share for the first", async () => {
    const layer = (diffId: string, bytes: number) => ({ diffId, bytes });
    const base = layer("base", 1000);
    const layers: Record<string, ReturnType<typeof layer>[]> = {
      "web:latest": [base, layer("web1", 10)],
      "web:2": [base, layer("web2", 20)],
      "db:2": [layer("debian", 500), layer("db2", 30)],
      "cache:2": [layer("debian", 500), layer("cache2", 40)],
    };
    const device = await testDevice({ disk: { bytes: 1e12, layers: (name) => layers[name] ?? [] } });
    await device.run({ "1": app({ web: {} }) });
    const target = { "1": app({ web: { image: "web:2" }, db: { image: "db:2" }, cache: { image: "cache:2" } }) };
    expect((await postPlan(device, target)).json).toMatchObject({
      services: [{ downloadBytes: 20 }, { downloadBytes: 530 }, { downloadBytes: 40 }],
    });
  });

  test("does not say how much is downloaded, if the registry does not answer in time or a service asks", async () => {
    const clock = new SimClock(new Chance(1));
    let asked = 0;
    const manifest = () => (asked++, new Promise<never>(() => undefined));
    const device = await managedDevice({ clock, ports: { registry: { manifest } } });
    const running = device.runCloud({ aaaa: cloudApp(1, "first", { web: {} }) });
    for (let n = 0; n < 200; n++) await clock.advance(100);
    await running;
    const target = { "1": app({ web: { image: "web:2" } }) };
    const answer = postPlan(device, target, device.globalKey());
    await clock.advance(6000);
    expect((await answer).json).toMatchObject({ services: [{ downloadBytes: null }] });
    const before = asked;
    expect(before).toBeGreaterThan(0);
    const ofService = await postPlan(device, target, await device.keyOf(1, "web"));
    expect(ofService.json).toMatchObject({ services: [{ downloadBytes: null }] });
    expect(asked).toBe(before);
  });

  test("of a body without the application says that its containers are removed", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ web: {} }) });
    expect((await postPlan(device, {})).json).toMatchObject({
      services: [{ service: "web", action: "remove", why: "no longer in the target state", downloadBytes: 0 }],
      networks: [{ name: "default", action: "remove" }],
    });
  });

  test("works on a managed device, which knows the application by another uuid", async () => {
    const device = await managedDevice();
    await device.runCloud({ aaaa: cloudApp(1, "first", { web: {} }) });
    const labels = { "io.balena.features.supervisor-api": "1" };
    const same = { image: "web:latest", imageId: 1001, labels };
    const apps = (more: object) => ({
      "1": {
        name: "first",
        commit: "c2",
        releaseId: 1,
        services: { "101": { serviceName: "web", environment: {}, ...same, ...more } },
      },
    });
    const answer = await postPlan(device, apps({}), device.globalKey());
    expect(answer.json).toMatchObject({
      services: [{ service: "web", ...kept }],
      networks: [{ name: "default", ...kept }],
    });
    expect((await postPlan(device, apps({ user: "app" }), device.globalKey())).json).toMatchObject({
      services: [{ action: "replace", why: 'user: "" → "app"' }],
    });
  });

  test.each<[object | string, number, string]>([
    [
      body({ "1": { name: "x", services: { "1": { image: 1 } } } }),
      400,
      "local.apps.1.services.1.image: expected a string",
    ],
    [body({ "1": app({ web: { environment: { A: "(hidden)" } } }) }), 400, "which stands for one that was not shown"],
    [[], 400, "but got a list"],
    [{}, 400, "Invalid target state.\nlocal: "],
    [body({}), 404, "This device has no application 7"],
  ])("%j is answered %i, with every fault", async (sent, status, message) => {
    const device = await testDevice();
    await device.run({ "1": app({ web: {} }) });
    const answer = await device.post(`/v3/apps/${status === 404 ? 7 : 1}/plan`, sent);
    expect(answer).toMatchObject({ status, json: { detail: expect.stringContaining(message) } });
  });

  test("a body larger than a target state may be is refused", async () => {
    const device = await testDevice();
    const text = JSON.stringify(body({ "1": app({ web: { environment: { A: "x".repeat(11 * 1024 * 1024) } } }) }));
    const headers = { "content-type": "application/json" };
    expect((await device.send("POST", "/v3/apps/1/plan", { headers, body: text })).status).toBe(413);
  });
});

describe("GET /v3/apps/:appId/plan", () => {
  test("names the leases and lock files that hold the update up, and none when nothing stops", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ web: {} }) });
    device.folders.lock(1, "web");
    await device.post("/v3/locks", { appId: 1, reason: "firmware upload", ttl: 60 });
    expect((await device.get("/v3/apps/1/plan")).json).toMatchObject({ waitsFor: [] });
    await device.run({ "1": app({ web: { user: "app" } }, { commit: "c2" }) });
    expect((await device.get("/v3/apps/1/plan")).json).toMatchObject({
      services: [{ service: "web", action: "replace" }],
      waitsFor: [
        expect.stringMatching(
          /^Lockfile exists for \{ appId: 1, service: all \}: locked by caller without a key: firmware upload, until \d\d:\d\d UTC$/,
        ),
        "Lockfile exists for { appId: 1, service: web }",
      ],
    });
    const config = { SUPERVISOR_OVERRIDE_LOCK: "1" };
    expect((await device.post("/v3/apps/1/plan", { local: { config, apps: {} } })).json).toMatchObject({
      waitsFor: [],
    });
  });

  test("shows an image that was built since", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ web: {} }) });
    device.engine.addImage("web:latest");
    expect((await device.get("/v3/apps/1/plan")).json).toMatchObject({
      services: [{ service: "web", action: "replace", differences: [{ field: "image" }], downloadBytes: 0 }],
    });
  });

  test("before any target state, keeps the containers", async () => {
    const store = new MemoryStore();
    const first = await testDevice();
    await first.run({ "1": app({ web: {} }) });
    const device = await testDevice({ ports: { store, engine: first.engine } });
    await device.settled();
    expect((await device.get("/v3/apps/1/plan")).json).toMatchObject({
      services: [{ service: "web", action: "keep" }],
      waitsFor: ["No target state has been set yet"],
    });
  });

  test("is for the application of the key", async () => {
    const device = await twoApps();
    const config = { SUPERVISOR_API_SCOPE: "application" };
    await device.runCloud({ aaaa: cloudApp(1, "first", { web: {} }), bbbb: cloudApp(2, "second", { db: {} }) }, config);
    const key = await device.keyOf(2, "db");
    expect((await device.get("/v3/apps/2/plan", key)).status).toBe(200);
    expect((await device.get("/v3/apps/1/plan", key)).status).toBe(401);
    expect((await postPlan(device, {}, key)).status).toBe(401);
    expect((await device.get("/v3/apps/1/plan")).status).toBe(401);
  });
});
