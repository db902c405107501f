import { describe, expect, test } from "vitest";
import { MemoryStore, memorySystem } from "../../core/embedded/ports.ts";
import { app, testDevice } from "../support/device.ts";
import { empty, failed, json, lockfile, seen, text } from "./answers.ts";
import { twoApps } from "./managed.ts";

describe("POST /v1/blink", () => {
  test("blinks, and answers with an empty 200", async () => {
    const device = await testDevice();
    expect(seen(await device.post("/v1/blink"))).toEqual(empty(200));
    expect(device.led.blinks).toBe(1);
  });

  test("ignores the body", async () => {
    const device = await testDevice();
    const answer = await device.send("POST", "/v1/blink", {
      headers: { "content-type": "application/json" },
      body: "{",
    });
    expect(seen(answer)).toEqual(empty(200));
  });

  test("names what is missing on a machine without an LED", async () => {
    const device = await testDevice({ ports: { led: { missing: "This machine has no LED" } } });
    expect(seen(await device.post("/v1/blink"))).toEqual(failed(501, "This machine has no LED"));
  });
});

describe("POST /v1/update", () => {
  test.each([undefined, {}, { force: true }, { force: false }, { cancel: true }, { force: true, cancel: true }, []])(
    "answers %j with an empty 204",
    async (body) => {
      const device = await testDevice();
      expect(seen(await device.post("/v1/update", body))).toEqual(empty(204));
    },
  );

  const withoutInstantUpdates = { local: { config: { SUPERVISOR_INSTANT_UPDATE_TRIGGER: "false" }, apps: {} } };

  test("answers 202 without force if instant updates are off", async () => {
    const device = await testDevice();
    await device.post("/v2/local/target-state", withoutInstantUpdates);
    expect(seen(await device.post("/v1/update", {}))).toEqual(text(202, "Accepted"));
    expect(seen(await device.post("/v1/update", { force: true }))).toEqual(empty(204));
  });

  test.each([
    [true, 204],
    [1, 204],
    ["1", 204],
    ["true", 204],
    ["TRUE", 204],
    ["on", 204],
    ["On", 204],
    [false, 202],
    [0, 202],
    [2, 202],
    ["yes", 202],
    ["y", 202],
    ["", 202],
    [null, 202],
    [{}, 202],
    [[], 202],
    [[1], 202],
  ])("with a force of %j answers the status %i", async (force, status) => {
    const device = await testDevice();
    await device.post("/v2/local/target-state", withoutInstantUpdates);
    expect((await device.post("/v1/update", { force })).status).toBe(status);
  });

  test("retries a failed download at once", async () => {
    const published = new Set<string>();
    const device = await testDevice({ registry: (name) => (published.has(name) ? {} : undefined) });
    await device.run({ "1": app({ one: {} }) });
    expect((await device.get("/v1/device")).json).toMatchObject({ update_pending: true, update_failed: true });

    published.add("one:latest");
    await device.post("/v1/update");
    await device.settled();
    expect((await device.container("one")).state).toBe("running");
  });

  test("with force overrides the lock that holds up an update", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    device.folders.lock(1, "one");
    await device.run({ "1": app({ one: { environment: { A: "1" } } }) });
    expect((await device.container("one")).spec.environment["A"]).toBeUndefined();

    await device.post("/v1/update", { force: true });
    await device.settled();
    expect((await device.container("one")).spec.environment["A"]).toBe("1");
  });
});

describe.each([
  { path: "/v1/reboot", how: "reboot" },
  { path: "/v1/shutdown", how: "shutdown" },
] as const)("POST $path", ({ path, how }) => {
  const accepted = json(202, { Data: "OK", Error: "" });
  const refused = (status: number, message: string) => json(status, { Data: "", Error: message });

  test("stops every service, then calls the machine's power port", async () => {
    const seenByMachine: string[] = [];
    const device = await testDevice({
      ports: {
        power: {
          updateInProgress: () => Promise.resolve(false),
          goDown: async (asked) => {
            const { containers } = await device.engine.look();
            seenByMachine.push(asked, ...containers.map(({ service, state }) => `${service} ${state}`));
          },
          rebootRequired: () => Promise.resolve(false),
          requireReboot: () => Promise.resolve(),
        },
      },
    });
    await device.run({ "1": app({ one: {} }), "2": app({ two: {} }, { name: "other" }) });
    expect(seen(await device.post(path))).toEqual(accepted);
    expect(seenByMachine).toEqual([how, "one exited", "two exited"]);
  });

  test("on an empty device calls the machine's power port", async () => {
    const device = await testDevice();
    expect(seen(await device.post(path, {}))).toEqual(accepted);
    expect(device.power.asked).toEqual([how]);
  });

  test("is refused while a service of any application holds its lock, and stops nothing", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }), "2": app({ two: {} }, { name: "other" }) });
    device.folders.lock(2, "two");
    expect(seen(await device.post(path))).toEqual(refused(423, lockfile(2, "two")));
    expect(seen(await device.post(path, { force: false }))).toEqual(refused(423, lockfile(2, "two")));
    expect((await device.container("one")).state).toBe("running");
    expect(device.power.asked).toEqual([]);
  });

  test("with force overrides the lock", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    device.folders.lock(1, "one");
    expect(seen(await device.post(path, { force: true }))).toEqual(accepted);
    expect(device.power.asked).toEqual([how]);
  });

  test("overrides the lock if the config says so", async () => {
    const device = await testDevice();
    await device.post("/v2/local/target-state", {
      local: { config: { SUPERVISOR_OVERRIDE_LOCK: "true" }, apps: { "1": app({ one: {} }) } },
    });
    await device.settled();
    device.folders.lock(1, "one");
    expect(seen(await device.post(path))).toEqual(accepted);
  });

  test("is refused while an update of the host waits for its health check", async () => {
    const device = await testDevice();
    device.power.updating = true;
    expect(seen(await device.post(path))).toEqual(refused(423, "Waiting for Host OS update to finish"));
    expect(device.power.asked).toEqual([]);
  });

  test("reports the machine's refusal and starts the services again", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    device.power.refusal = "Interactive authentication required.";
    expect(seen(await device.post(path))).toEqual(refused(500, "Interactive authentication required."));
    await device.settled();
    expect((await device.container("one")).state).toBe("running");
  });

  test("names what is missing on a machine that cannot do it, and stops nothing", async () => {
    const device = await testDevice({ ports: { power: { missing: "There is no logind here" } } });
    await device.run({ "1": app({ one: {} }) });
    expect(seen(await device.post(path))).toEqual(refused(501, "There is no logind here"));
    expect((await device.container("one")).state).toBe("running");
  });
});

describe("GET /v1/device", () => {
  const about = {
    api_port: 48484,
    ip_address: "192.0.2.10",
    os_version: "Memory 1",
    mac_address: "02:00:5E:00:00:01",
    supervisor_version: "19.0.5",
    update_pending: false,
    update_failed: false,
    update_downloaded: false,
  };

  test("without an application shows the device only", async () => {
    const device = await testDevice();
    await device.settled();
    expect(seen(await device.get("/v1/device"))).toEqual(json(200, about));
  });

  test("separates addresses by spaces", async () => {
    const system = {
      ...memorySystem,
      addresses: () => ["192.168.0.114", "10.42.0.3"],
      macAddresses: () => ["02:42:C0:A8:07:0A", "A6:43:F2:23:9A:68"],
    };
    const device = await testDevice({ ports: { system } });
    expect((await device.get("/v1/device")).json).toMatchObject({
      ip_address: "192.168.0.114 10.42.0.3",
      mac_address: "02:42:C0:A8:07:0A A6:43:F2:23:9A:68",
    });
  });

  test("shows a device as Idle if its application runs", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    expect(seen(await device.get("/v1/device"))).toEqual(
      json(200, { ...about, commit: "c1", status: "Idle", download_progress: null }),
    );
  });

  test("shows the engine's status of a stopped service", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    await device.post("/v1/apps/1/stop");
    await device.settled();
    expect((await device.get("/v1/device")).json).toEqual({
      ...about,
      commit: "c1",
      status: "exited",
      download_progress: null,
    });
  });

  test("shows the download progress of an update, and no commit meanwhile", async () => {
    const device = await testDevice({ pullMs: 600_000 });
    await device.post("/v2/local/target-state", { local: { apps: { "1": app({ one: {} }) } } });
    await device.supervisor.loop.look();
    expect((await device.get("/v1/device")).json).toEqual({
      ...about,
      update_pending: true,
      status: "Downloading",
      download_progress: 0,
    });
  });

  test("shows an update that is downloaded and waits for a lock", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    device.folders.lock(1, "one");
    await device.run({ "1": app({ one: { image: "one:2" } }, { commit: "c2" }) });
    expect((await device.get("/v1/device")).json).toEqual({
      ...about,
      update_pending: true,
      update_downloaded: true,
      update_failed: true,
      status: "Idle",
      download_progress: null,
    });
  });

  test("shows an update that could not be downloaded", async () => {
    const device = await testDevice({ registry: () => undefined });
    await device.run({ "1": app({ one: {} }) });
    expect((await device.get("/v1/device")).json).toMatchObject({
      update_pending: true,
      update_downloaded: false,
      update_failed: true,
    });
  });

  test("shows only the application of the key", async () => {
    const device = await twoApps();
    const second = await device.keyOf(2, "db");
    expect((await device.get("/v1/device", second)).json).toMatchObject({ commit: "second1" });
    expect((await device.get("/v1/device", device.globalKey())).json).toMatchObject({ commit: "first1" });
  });
});

describe("GET /v2/device/name", () => {
  test("is `local` until a target state names the device", async () => {
    const device = await testDevice();
    expect(seen(await device.get("/v2/device/name"))).toEqual(json(200, { status: "success", deviceName: "local" }));
  });

  test("is the target state's name, and stays if the next one has no name", async () => {
    const device = await testDevice();
    const named = json(200, { status: "success", deviceName: "Home" });
    await device.post("/v2/local/target-state", { local: { name: "Home", apps: {} } });
    expect(seen(await device.get("/v2/device/name"))).toEqual(named);
    await device.post("/v2/local/target-state", { local: { apps: {} } });
    expect(seen(await device.get("/v2/device/name"))).toEqual(named);
  });
});

describe("GET /v2/device/vpn", () => {
  test.each([
    [{}, true],
    [{ SUPERVISOR_VPN_CONTROL: "true" }, true],
    [{ SUPERVISOR_VPN_CONTROL: "false" }, false],
  ])("with the config %j shows as enabled: %s", async (config, enabled) => {
    const device = await testDevice();
    await device.post("/v2/local/target-state", { local: { config, apps: {} } });
    expect(seen(await device.get("/v2/device/vpn"))).toEqual(
      json(200, { status: "success", vpn: { enabled, connected: false } }),
    );
  });

  test("shows whether the operating system's VPN is connected", async () => {
    const device = await testDevice({ ports: { system: { ...memorySystem, vpnIsUp: () => true } } });
    expect((await device.get("/v2/device/vpn")).json).toMatchObject({ vpn: { connected: true } });
  });
});

describe("/v2/device/tags", () => {
  const tags = (...tags: { id: number; name: string; value: string }[]) => json(200, { status: "success", tags });

  test("are empty at first", async () => {
    const device = await testDevice();
    expect(seen(await device.get("/v2/device/tags"))).toEqual(tags());
  });

  test("PATCH sets the named tags and keeps the others", async () => {
    const device = await testDevice();
    const done = json(202, { status: "success" });
    expect(seen(await device.patch("/v2/device/tags", { loc: "lab", rack: "3" }))).toEqual(done);
    expect(seen(await device.patch("/v2/device/tags", { loc: "roof" }))).toEqual(done);
    expect(seen(await device.get("/v2/device/tags"))).toEqual(
      tags({ id: 1, name: "loc", value: "roof" }, { id: 2, name: "rack", value: "3" }),
    );
  });

  test("PATCH accepts a form too", async () => {
    const device = await testDevice();
    await device.send("PATCH", "/v2/device/tags", { body: new URLSearchParams({ loc: "lab" }) });
    expect(seen(await device.get("/v2/device/tags"))).toEqual(tags({ id: 1, name: "loc", value: "lab" }));
  });

  test("survive a restart of the agent", async () => {
    const store = new MemoryStore();
    const before = await testDevice({ ports: { store } });
    await before.patch("/v2/device/tags", { loc: "lab" });
    before.stop();
    const after = await testDevice({ ports: { store } });
    expect(seen(await after.get("/v2/device/tags"))).toEqual(tags({ id: 1, name: "loc", value: "lab" }));
  });

  test.each([{}, undefined])("PATCH with %j changes nothing", async (body) => {
    const device = await testDevice();
    expect(seen(await device.patch("/v2/device/tags", body))).toEqual(json(202, { status: "success" }));
    expect(seen(await device.get("/v2/device/tags"))).toEqual(tags());
  });

  test.each([
    [{ a: 1 }, "Invalid tags body, must be an object like `{[tagKey: string]: string}`"],
    [{ a: null }, "Invalid tags body, must be an object like `{[tagKey: string]: string}`"],
    [["x"], "Invalid tags body, must be an object like `{[tagKey: string]: string}`"],
    [{ "a b": "c" }, "Tag keys cannot contain whitespace"],
    [{ a: "b", "c\td": "e" }, "Tag keys cannot contain whitespace"],
  ])("PATCH refuses %j", async (body, message) => {
    const device = await testDevice();
    expect(seen(await device.patch("/v2/device/tags", body))).toEqual(failed(400, message));
    expect(seen(await device.get("/v2/device/tags"))).toEqual(tags());
  });
});
