import { describe, expect, test } from "vitest";
import { app, testDevice, type TestDevice } from "../support/device.ts";
import { failed, json, locked, ok, seen, text, type Seen } from "./answers.ts";
import { cloudApp, managedDevice, twoApps } from "./managed.ts";

const unauthorized = failed(401, "Unauthorized");
const purged = json(200, { Data: "OK", Error: "" });

/** The four requests that create an application's containers again, and their answers. */
const ways = [
  { way: "POST /v1/restart", path: () => "/v1/restart", body: (appId: unknown) => ({ appId }), done: ok },
  { way: "POST /v1/purge", path: () => "/v1/purge", body: (appId: unknown) => ({ appId }), done: purged },
  {
    way: "POST /v2/applications/:appId/restart",
    path: (appId: unknown) => `/v2/applications/${String(appId)}/restart`,
    body: () => ({}),
    done: ok,
  },
  {
    way: "POST /v2/applications/:appId/purge",
    path: (appId: unknown) => `/v2/applications/${String(appId)}/purge`,
    body: () => ({}),
    done: ok,
  },
];

describe.each(ways)("$way", ({ way, path, body, done }) => {
  const ask = async (device: TestDevice, appId: unknown, more: object = {}, headers = {}): Promise<Seen> =>
    seen(await device.post(path(appId), { ...body(appId), ...more }, headers));

  test("creates every container of the application again, and no other", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {}, two: {} }), "2": app({ three: {} }, { name: "other" }) });
    const ids = async () => Promise.all(["one", "two", "three"].map(async (name) => (await device.container(name)).id));
    const before = await ids();
    expect(await ask(device, 1)).toEqual(done);
    const after = await ids();
    expect(after[0]).not.toBe(before[0]);
    expect(after[1]).not.toBe(before[1]);
    expect(after[2]).toBe(before[2]);
    expect((await device.container("one")).state).toBe("running");
    expect((await device.container("two")).state).toBe("running");
  });

  test("accepts the id as a string of digits too", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    expect(await ask(device, "1")).toEqual(done);
  });

  test("works for a service in the network of another service", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {}, two: { network_mode: "service:one" } }) });
    expect(await ask(device, 1)).toEqual(done);
    const one = await device.container("one");
    expect((await device.container("two")).spec.networkMode).toBe(`container:${one.id}`);
  });

  test("starts a stopped service again", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    await device.post("/v1/apps/1/stop");
    expect(await ask(device, 1)).toEqual(done);
    expect((await device.container("one")).state).toBe("running");
  });

  test("during the download of an update creates the running containers again", async () => {
    const device = await testDevice({ pullMs: 1e9 });
    device.engine.addImage("one:latest");
    await device.run({ "1": app({ one: {} }) });
    const { id, spec } = await device.container("one");
    await device.post("/v2/local/target-state", { local: { apps: { "1": app({ one: { image: "one:2" } }) } } });
    await device.supervisor.loop.look();
    expect(await ask(device, 1)).toEqual(done);
    const after = await device.container("one");
    expect(after.id).not.toBe(id);
    expect(after).toMatchObject({ state: "running", spec: { image: spec.image } });
  });

  test("succeeds for two requests at the same time", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    expect(await Promise.all([ask(device, 1), ask(device, 1)])).toEqual([done, done]);
    expect((await device.container("one")).state).toBe("running");
  });

  test("is refused while any service of the application holds its lock, and stops nothing", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {}, two: {} }) });
    const { id } = await device.container("one");
    device.folders.lock(1, "two");
    expect(await ask(device, 1)).toEqual(locked(1, "two"));
    expect(await device.container("one")).toMatchObject({ id, state: "running" });
    expect((await device.get("/v1/device")).json).toMatchObject({ update_pending: false, update_failed: false });
  });

  test("ignores the lock of another application", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }), "2": app({ two: {} }, { name: "other" }) });
    device.folders.lock(2, "two");
    expect(await ask(device, 1)).toEqual(done);
  });

  test("with force overrides the lock", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    const { id } = await device.container("one");
    device.folders.lock(1, "one");
    expect(await ask(device, 1, { force: true })).toEqual(done);
    expect((await device.container("one")).id).not.toBe(id);
    expect(device.folders.isLocked(1, "one")).toBe(false);
  });

  test.each([2, -1])("answers that application %i does not exist", async (appId) => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    expect(await ask(device, appId)).toEqual(failed(503, `Application with ID ${appId} is not in the current state`));
  });

  test("passes on the engine's error", async () => {
    const device = await testDevice();
    const onPort80 = { ports: ["0.0.0.0:80:80"] };
    await device.run({ "1": app({ one: onPort80 }) });
    await device.post("/v1/apps/1/stop");
    await device.run({ "1": app({ one: onPort80 }), "2": app({ two: onPort80 }, { name: "other" }) });
    const answer = await ask(device, 1);
    expect(answer).toMatchObject({ status: 503, body: { status: "failed" } });
    expect(JSON.stringify(answer.body)).toContain("Bind for 0.0.0.0:80/tcp failed: port is already allocated");
  });

  test("accepts the application's own keys and the global key", async () => {
    const device = await twoApps();
    expect(await ask(device, 1, {}, await device.keyOf(2, "db"))).toEqual(unauthorized);
    expect(await ask(device, 1, {}, await device.keyOf(1, "web"))).toEqual(done);
    expect(await ask(device, 1, {}, device.globalKey())).toEqual(done);
  });

  test(way.endsWith("purge") ? "removes the application's volumes, and no others" : "keeps the volumes", async () => {
    const device = await testDevice();
    await device.run({
      "1": app({ one: { volumes: ["data:/data"] } }, { volumes: { data: {}, cache: {} } }),
      "2": app({ two: { volumes: ["data:/data"] } }, { name: "other", volumes: { data: {} } }),
    });
    const gone: string[] = [];
    device.engine.onEvent((event) => {
      if (event.of === "volume" && event.what === "gone") gone.push(event.id);
    });
    expect(await ask(device, 1)).toEqual(done);
    expect(gone.sort()).toEqual(way.endsWith("purge") ? ["1_cache", "1_data"] : []);
    const { volumes } = await device.engine.look();
    expect(volumes.map(({ name }) => name).sort()).toEqual(["1_cache", "1_data", "2_data"]);
  });
});

describe("ids of applications", () => {
  const bodies = [undefined, {}, { appId: null }, { appId: "abc" }, { appId: "1abc" }, { appId: "" }, { appId: 1.5 }];
  const odd = [{ appId: true }, { appId: {} }, [1]];

  test.each([...bodies, ...odd])("POST /v1/restart refuses the body %j", async (body) => {
    const device = await testDevice();
    expect(seen(await device.post("/v1/restart", body))).toEqual(text(400, "Missing app id"));
  });

  test.each([...bodies, ...odd])("POST /v1/purge refuses the body %j", async (body) => {
    const device = await testDevice();
    expect(seen(await device.post("/v1/purge", body))).toEqual(text(400, "Invalid or missing appId"));
  });

  test.each(["/v1/restart", "/v1/purge"])("POST %s does not read the id from the query", async (path) => {
    const device = await testDevice();
    expect((await device.post(`${path}?appId=1`)).status).toBe(400);
  });

  test("POST /v1/restart accepts 0 as an id", async () => {
    const device = await testDevice();
    expect(seen(await device.post("/v1/restart", { appId: 0 }))).toEqual(
      failed(503, "Application with ID 0 is not in the current state"),
    );
  });

  test.each(["abc", "0", "1.5", "1abc", "%20"])(
    "POST /v2/applications/%s/restart and …/purge are refused",
    async (id) => {
      const device = await testDevice();
      for (const action of ["restart", "purge"])
        expect(seen(await device.post(`/v2/applications/${id}/${action}`))).toEqual(failed(400, "Missing app id"));
    },
  );

  test.each(["abc", "1.5", "1abc"])("GET /v1/apps/%s is refused", async (id) => {
    const device = await testDevice();
    expect(seen(await device.get(`/v1/apps/${id}`))).toEqual(text(400, "Missing app id"));
  });

  test.each(["abc", "0", "1.5", "1abc"])("GET /v2/applications/%s/state is refused", async (id) => {
    const device = await testDevice();
    expect(seen(await device.get(`/v2/applications/${id}/state`))).toEqual(
      failed(400, `Invalid application ID: ${id}`),
    );
  });
});

describe("GET /v1/apps/:appId", () => {
  test("shows the container of an application that has only one", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: { environment: { FOO: "bar" } } }) });
    const { id, spec } = await device.container("one");
    const both = (name: string, value: string) => ({ [`BALENA_${name}`]: value, [`RESIN_${name}`]: value });
    expect(seen(await device.get("/v1/apps/1"))).toEqual(
      json(200, {
        appId: 1,
        commit: "c1",
        containerId: id,
        imageId: spec.image,
        releaseId: 1,
        env: {
          FOO: "bar",
          ...both("APP_ID", "1"),
          ...both("APP_UUID", "1"),
          ...both("APP_NAME", "fleet"),
          ...both("SERVICE_NAME", "one"),
          ...both("DEVICE_UUID", "0123456789abcdef0123456789abcdef"),
          ...both("DEVICE_TYPE", "generic-amd64"),
          ...both("DEVICE_ARCH", "amd64"),
          ...both("HOST_OS_VERSION", "Memory 1"),
          ...both("APP_LOCK_PATH", "/tmp/balena/updates.lock"),
          BALENA: "1",
          RESIN: "1",
          USER: "root",
          BALENA_SERVICE_HANDOVER_COMPLETE_PATH: "/tmp/balena/handover-complete",
          RESIN_SERVICE_KILL_ME_PATH: "/tmp/balena/handover-complete",
        },
      }),
    );
  });

  test("does not show the keys of the service", async () => {
    const device = await managedDevice();
    const labels = { "io.balena.features.supervisor-api": "1", "io.balena.features.balena-api": "1" };
    await device.runCloud({ aaaa: cloudApp(1, "first", { web: { labels } }) });
    const { environment } = (await device.container("web")).spec;
    expect(Object.keys(environment).filter((name) => name.endsWith("API_KEY"))).toHaveLength(4);

    const answer = await device.get("/v1/apps/1", device.globalKey());
    expect(answer.status).toBe(200);
    expect(answer.text).not.toContain("API_KEY");
    expect(answer.text).not.toContain("DEVICE_NAME_AT_INIT");
  });

  test.each([1, 0, -1])("does not find application %i on an empty device", async (appId) => {
    const device = await testDevice();
    expect(seen(await device.get(`/v1/apps/${appId}`))).toEqual(text(400, "App not found"));
  });

  test("refuses applications with several containers", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {}, two: {} }) });
    expect(seen(await device.get("/v1/apps/1"))).toEqual(
      text(400, "Some v1 endpoints are only allowed on single-container apps"),
    );
  });

  test("accepts the application's own keys and the global key", async () => {
    const device = await twoApps();
    expect(seen(await device.get("/v1/apps/1", await device.keyOf(2, "db")))).toEqual(
      failed(401, "Application is not available"),
    );
    expect((await device.get("/v1/apps/1", await device.keyOf(1, "web"))).status).toBe(200);
    expect((await device.get("/v1/apps/1", device.globalKey())).status).toBe(200);
  });
});

describe("GET /v2/applications/state", () => {
  const state = async (device: TestDevice, headers = {}) => (await device.get("/v2/applications/state", headers)).json;

  test("is empty without an application", async () => {
    const device = await testDevice();
    expect(seen(await device.get("/v2/applications/state"))).toEqual(json(200, {}));
  });

  test("shows every application and service by name", async () => {
    const device = await testDevice();
    const release = { releaseId: 2, commit: "c2", name: "other" };
    await device.run({ "1": app({ one: {}, two: {} }), "7": app({ three: {} }, release) });
    await device.post("/v2/applications/1/stop-service", { serviceName: "two" });
    await device.settled();
    const running = { status: "Running", downloadProgress: null };
    expect(seen(await device.get("/v2/applications/state"))).toEqual(
      json(200, {
        fleet: {
          appId: 1,
          appUuid: "1",
          commit: "c1",
          updateStatus: "done",
          services: {
            one: { ...running, image: "one:latest", releaseId: 1 },
            two: { ...running, status: "exited", image: "two:latest", releaseId: 1 },
          },
        },
        other: {
          appId: 7,
          appUuid: "7",
          commit: "c2",
          updateStatus: "done",
          services: { three: { ...running, image: "three:latest", releaseId: 2 } },
        },
      }),
    );
  });

  test("shows no update as done that the device has not looked at", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    expect(await state(device)).toMatchObject({ fleet: { updateStatus: "done" } });
    const apps = { "1": app({ one: { environment: { A: "2" } } }) };
    await device.post("/v2/local/target-state", { local: { name: "device", config: {}, apps } });
    expect(await state(device)).toMatchObject({ fleet: { updateStatus: "applying changes" } });
    await device.settled();
    expect(await state(device)).toMatchObject({ fleet: { updateStatus: "done" } });
  });

  test("shows an image that is being downloaded", async () => {
    const device = await testDevice({ pullMs: 600_000 });
    await device.post("/v2/local/target-state", { local: { apps: { "1": app({ one: {} }) } } });
    await device.supervisor.loop.look();
    expect(await state(device)).toMatchObject({
      fleet: { updateStatus: "downloading", services: { one: { status: "Downloading", downloadProgress: 0 } } },
    });
  });

  test("shows a failed download as in progress, because it is retried", async () => {
    const device = await testDevice({ registry: () => undefined });
    await device.run({ "1": app({ one: {} }) });
    expect(await state(device)).toMatchObject({
      fleet: { updateStatus: "downloading", services: { one: { status: "Downloading", downloadProgress: 0 } } },
    });
  });

  test("shows an update that waits for a lock as downloaded", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    device.folders.lock(1, "one");
    await device.run({ "1": app({ one: { image: "one:2" } }) });
    expect(await state(device)).toMatchObject({
      fleet: { updateStatus: "downloaded", services: { one: { status: "Running", image: "one:2" } } },
    });
  });

  test("shows a release as rejected if the device does not meet its contract", async () => {
    const device = await testDevice();
    const contract = { type: "sw.container", requires: [{ type: "sw.supervisor", version: ">=99.0.0" }] };
    await device.run({ "1": app({ one: { contract } }) });
    expect(await state(device)).toMatchObject({ fleet: { updateStatus: "rejected", services: {} } });
  });

  test("shows a key's own application only", async () => {
    const device = await twoApps();
    expect(Object.keys(Object(await state(device, await device.keyOf(2, "db"))))).toEqual(["second"]);
    expect(Object.keys(Object(await state(device, device.globalKey())))).toEqual(["first", "second"]);
  });
});

describe("GET /v2/applications/:appId/state", () => {
  test("shows the services by image id", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: { imageId: 601 } }), "2": app({ two: {} }, { name: "other" }) });
    expect(seen(await device.get("/v2/applications/1/state"))).toEqual(
      json(200, {
        local: { "1": { services: { "601": { status: "Running", releaseId: 1, download_progress: null } } } },
        dependent: {},
        commit: "c1",
      }),
    );
  });

  test("has no commit until the release is reached", async () => {
    const device = await testDevice({ pullMs: 600_000 });
    await device.post("/v2/local/target-state", { local: { apps: { "1": app({ one: {} }) } } });
    await device.supervisor.loop.look();
    expect(seen(await device.get("/v2/applications/1/state"))).toEqual(
      json(200, {
        local: { "1": { services: { "1": { status: "Downloading", releaseId: 1, download_progress: 0 } } } },
        dependent: {},
      }),
    );
  });

  test.each(["1", "-1"])("does not find application %s on an empty device", async (id) => {
    const device = await testDevice();
    expect(seen(await device.get(`/v2/applications/${id}/state`))).toEqual(
      failed(409, `Application ID does not exist: ${id}`),
    );
  });

  test("answers a key of another application that it does not exist", async () => {
    const device = await twoApps();
    const path = "/v2/applications/1/state";
    expect(seen(await device.get(path, await device.keyOf(2, "db")))).toEqual(
      failed(409, "Application ID does not exist: 1"),
    );
    expect((await device.get(path, await device.keyOf(1, "web"))).status).toBe(200);
    expect((await device.get(path, device.globalKey())).status).toBe(200);
  });
});
