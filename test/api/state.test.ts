import { describe, expect, test } from "vitest";
import { EmbeddedEngine } from "../../core/embedded/engine.ts";
import { systemClock } from "../../core/ports/clock.ts";
import type { EngineState } from "../../core/ports/engine.ts";
import { app, testDevice, type TestDevice } from "../support/device.ts";
import { failed, json, seen } from "./answers.ts";
import { cloudApp, managedDevice, twoApps } from "./managed.ts";

describe("GET /v2/state/status", () => {
  const status = async (device: TestDevice, headers = {}) => (await device.get("/v2/state/status", headers)).json;

  test("shows an empty device", async () => {
    const device = await testDevice();
    await device.settled();
    expect(seen(await device.get("/v2/state/status"))).toEqual(
      json(200, {
        status: "success",
        appState: "applied",
        overallDownloadProgress: null,
        containers: [],
        images: [],
      }),
    );
  });

  test("shows a running application", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: { imageId: 601 } }) });
    const { id, createdAt, spec } = await device.container("one");
    expect(seen(await device.get("/v2/state/status"))).toEqual(
      json(200, {
        status: "success",
        appState: "applied",
        overallDownloadProgress: null,
        containers: [
          {
            status: "Running",
            serviceName: "one",
            appId: 1,
            imageId: 601,
            serviceId: 1,
            containerId: id,
            createdAt,
          },
        ],
        images: [
          {
            name: "one:latest",
            appId: 1,
            serviceName: "one",
            imageId: 601,
            dockerImageId: spec.image,
            status: "Downloaded",
            downloadProgress: null,
          },
        ],
        release: "c1",
      }),
    );
  });

  test("is applying from the moment a target state is accepted", async () => {
    const device = await testDevice();
    await device.settled();
    await device.post("/v2/local/target-state", { local: { apps: { "1": app({ one: {} }) } } });
    expect(await status(device)).toMatchObject({ appState: "applying" });
    await device.settled();
    expect(await status(device)).toMatchObject({ appState: "applied" });
  });

  test("shows the image that is being downloaded", async () => {
    const device = await testDevice({ pullMs: 600_000 });
    await device.post("/v2/local/target-state", { local: { apps: { "1": app({ one: {} }) } } });
    await device.supervisor.loop.look();
    expect(seen(await device.get("/v2/state/status"))).toEqual(
      json(200, {
        status: "success",
        appState: "applying",
        overallDownloadProgress: 0,
        containers: [],
        images: [
          {
            name: "one:latest",
            appId: 1,
            serviceName: "one",
            imageId: 1,
            status: "Downloading",
            downloadProgress: 0,
          },
        ],
      }),
    );
  });

  test("shows the engine's status of a stopped service", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    await device.post("/v1/apps/1/stop");
    await device.settled();
    expect(await status(device)).toMatchObject({ appState: "applied", containers: [{ status: "exited" }] });
  });

  test("lists each image once, however often its service was restarted and purged", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    for (const action of ["restart", "purge", "restart"]) await device.post(`/v2/applications/1/${action}`);
    await device.run({ "1": app({ one: { environment: { A: "1" } } }) });
    expect(await status(device)).toMatchObject({ images: [{ name: "one:latest" }] });
  });

  test("shows the first application only", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    await device.run({ "1": app({ one: {} }), "2": app({ two: {} }, { name: "other", commit: "c2" }) });
    expect(await status(device)).toMatchObject({
      containers: [{ serviceName: "one" }],
      images: [{ serviceName: "one" }],
      release: "c1",
    });
  });

  test("shows a key's own application", async () => {
    const device = await twoApps();
    expect(await status(device, await device.keyOf(2, "db"))).toMatchObject({
      containers: [{ serviceName: "db" }],
      images: [{ serviceName: "db" }],
      release: "second1",
    });
  });
});

test("GET /v2/version gives the version of the implemented API", async () => {
  const device = await testDevice();
  expect(seen(await device.get("/v2/version"))).toEqual(json(200, { status: "success", version: "19.0.5" }));
});

describe("GET /v2/cleanup-volumes", () => {
  const success = json(200, { status: "success" });
  const volumes = async (device: TestDevice) => (await device.engine.look()).volumes.map(({ name }) => name).sort();

  test("removes only the volumes that the target state no longer has", async () => {
    const device = await testDevice();
    const two = app({ two: {} }, { name: "other", volumes: { old: {} } });
    await device.run({ "1": app({ one: {} }, { volumes: { kept: {}, old: {} } }), "2": two });
    await device.run({ "1": app({ one: {} }, { volumes: { kept: {} } }) });
    expect(await volumes(device)).toEqual(["1_kept", "1_old", "2_old"]);
    expect(seen(await device.get("/v2/cleanup-volumes"))).toEqual(success);
    expect(await volumes(device)).toEqual(["1_kept"]);
  });

  test("does not remove volumes that are not the agent's", async () => {
    const device = await testDevice();
    await device.engine.createVolume("1_backup", { driver: "local", driverOptions: {}, labels: {} });
    expect(seen(await device.get("/v2/cleanup-volumes"))).toEqual(success);
    expect(await volumes(device)).toEqual(["1_backup"]);
  });

  test("does not remove a volume that a container uses", async () => {
    const device = await testDevice();
    const withData = { one: { volumes: ["data:/data"] } };
    await device.run({ "1": app(withData, { volumes: { data: {} } }) });
    device.folders.lock(1, "one");
    await device.run({ "1": app({ one: {} }) });
    expect(seen(await device.get("/v2/cleanup-volumes"))).toEqual(success);
    expect(await volumes(device)).toEqual(["1_data"]);
  });

  test("with a key of an application removes only its volumes", async () => {
    const device = await managedDevice();
    const withData = { volumes: { data: {} } };
    await device.runCloud({
      aaaa: cloudApp(1, "first", { web: {} }, withData),
      bbbb: cloudApp(2, "second", { db: {} }, withData),
    });
    await device.runCloud({ aaaa: cloudApp(1, "first", { web: {} }), bbbb: cloudApp(2, "second", { db: {} }) });
    expect(await volumes(device)).toEqual(["1_data", "2_data"]);
    expect(seen(await device.get("/v2/cleanup-volumes", await device.keyOf(1, "web")))).toEqual(success);
    expect(await volumes(device)).toEqual(["2_data"]);
    expect(seen(await device.get("/v2/cleanup-volumes", device.globalKey()))).toEqual(success);
    expect(await volumes(device)).toEqual([]);
  });

  test("reports an engine that does not answer", async () => {
    class UnpluggedEngine extends EmbeddedEngine {
      override look(): Promise<EngineState> {
        return Promise.reject(new Error("connect ENOENT /var/run/docker.sock"));
      }
    }
    const device = await testDevice({ ports: { engine: new UnpluggedEngine({ clock: systemClock }) } });
    expect(seen(await device.get("/v2/cleanup-volumes"))).toEqual(failed(503, "The engine cannot be reached"));
  });
});
