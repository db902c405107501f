import { describe, expect, test } from "vitest";
import { appsReport } from "../../core/apps-report.ts";
import { imagesOf } from "../../core/cloud/release-images.ts";
import { app, testDevice, type TestDevice } from "../support/device.ts";
import { failed, json, seen } from "./answers.ts";
import { cloudApp, managedDevice } from "./managed.ts";

/** What the state endpoints and the state report contain while the target and the running containers are of two releases. */

const first = { "1": app({ one: { imageId: 601 } }, { commit: "c1", releaseId: 1 }) };
const second = {
  "1": app({ one: { imageId: 602, environment: { A: "1" } } }, { commit: "c2", releaseId: 2 }),
};

/** A device that runs c1, and whose update to c2 waits for a lock. */
async function lockedDevice(): Promise<TestDevice> {
  const device = await testDevice();
  await device.run(first);
  device.folders.lock(1, "one");
  await device.run(second);
  return device;
}

describe("while a lock holds up an update", () => {
  test("GET /v2/applications/state shows the new release as downloaded, not as running", async () => {
    const device = await lockedDevice();
    const waiting = {
      appId: 1,
      appUuid: "1",
      commit: "c2",
      updateStatus: "downloaded",
      services: { one: { status: "Downloaded", image: "one:latest", downloadProgress: null, releaseId: 2 } },
    };
    expect(seen(await device.get("/v2/applications/state"))).toEqual(json(200, { fleet: waiting }));
    device.folders.unlock(1, "one");
    await device.post("/v1/update", {});
    await device.settled();
    expect((await device.get("/v2/applications/state")).json).toEqual({
      fleet: {
        ...waiting,
        updateStatus: "done",
        services: { one: { ...waiting.services.one, status: "Running" } },
      },
    });
  });

  test("GET /v2/applications/:appId/state shows the old release running and the new one downloaded", async () => {
    const device = await lockedDevice();
    expect(seen(await device.get("/v2/applications/1/state"))).toEqual(
      json(200, {
        local: {
          "1": {
            services: {
              "601": { status: "Running", releaseId: 1, download_progress: null },
              "602": { status: "Downloaded", releaseId: 2, download_progress: null },
            },
          },
        },
        dependent: {},
        commit: "c1",
      }),
    );
  });

  test("GET /v2/state/status shows the container with the ids of its own release", async () => {
    const device = await lockedDevice();
    expect((await device.get("/v2/state/status")).json).toMatchObject({
      appState: "applying",
      containers: [{ serviceName: "one", imageId: 601, status: "Running" }],
      release: "c1",
    });
  });

  test("the state report shows the new release as downloaded, not as running", async () => {
    const device = await managedDevice();
    const release = (version: string, fields: object = {}) => ({
      aaaa: {
        ...cloudApp(1, "first", {}),
        releases: { [version]: { id: 10, services: { web: { id: 1, image_id: 1, image: "web:latest", ...fields } } } },
      },
    });
    await device.runCloud(release("c1"));
    device.folders.lock(1, "web");
    await device.runCloud(release("c2", { environment: { A: "1" } }));
    const { supervisor } = device;
    const body = supervisor.targets.cloudBody() ?? {};
    const images = imagesOf(body, supervisor.identity.uuid);
    const all = { view: supervisor.view(), activity: supervisor.memory.activity, images, targetOnly: false };
    expect(appsReport(all)).toEqual({
      aaaa: {
        releases: {
          c2: {
            update_status: "downloaded",
            services: { web: { image: "web:latest", status: "Downloaded", download_progress: null } },
          },
        },
      },
    });
  });
});

test("a rejected release has no services, while the previous one runs on", async () => {
  const device = await testDevice();
  await device.run(first);
  const contract = { type: "sw.container", requires: [{ type: "sw.supervisor", version: ">=99.0.0" }] };
  await device.run({ "1": app({ one: { imageId: 602, contract } }, { commit: "c2", releaseId: 2 }) });
  expect((await device.get("/v2/applications/state")).json).toMatchObject({
    fleet: { commit: "c2", updateStatus: "rejected", services: {} },
  });
  expect((await device.get("/v2/applications/1/state")).json).toEqual({
    local: { "1": { services: { "601": { status: "Running", releaseId: 1, download_progress: null } } } },
    dependent: {},
    commit: "c1",
  });
  expect((await device.get("/v1/device")).json).toMatchObject({ commit: "c1", status: "Idle" });
});

test("while a restart stops the application, the commit is still the previous one", async () => {
  const device = await testDevice({ pullMs: 600_000 });
  device.engine.addImage("one:latest");
  await device.run(first);
  const coming = app({ one: { imageId: 602, image: "one:2" } }, { commit: "c2", releaseId: 2 });
  await device.post("/v2/local/target-state", { local: { apps: { "1": coming } } });
  expect((await device.post("/v2/applications/1/restart")).status).toBe(200);
  expect((await device.get("/v2/applications/1/state")).json).toMatchObject({ commit: "c1" });
});

describe("in local mode, which keeps images,", () => {
  test("a removed service stays listed as downloaded", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {}, two: {} }, { commit: "c1", releaseId: 1 }) });
    await device.run({ "1": app({ one: {} }, { commit: "c2", releaseId: 2 }) });
    expect((await device.get("/v2/applications/1/state")).json).toEqual({
      local: {
        "1": {
          services: {
            "1": { status: "Running", releaseId: 2, download_progress: null },
            "2": { status: "Downloaded", releaseId: 1, download_progress: null },
          },
        },
      },
      dependent: {},
      commit: "c2",
    });
    expect((await device.get("/v2/state/status")).json).toMatchObject({
      containers: [{ serviceName: "one" }],
      images: [
        { name: "one:latest", status: "Downloaded" },
        { name: "two:latest", status: "Downloaded" },
      ],
    });
    expect((await device.get("/v1/device")).json).toMatchObject({ status: "Idle", commit: "c2" });
  });

  test("a removed application stays listed as downloaded until its image is removed", async () => {
    const device = await testDevice();
    await device.run(first);
    const image = (await device.container("one")).spec.image;
    await device.run({});
    expect(seen(await device.get("/v2/applications/1/state"))).toEqual(
      json(200, {
        local: { "1": { services: { "601": { status: "Downloaded", releaseId: 1, download_progress: null } } } },
        dependent: {},
        commit: "c1",
      }),
    );
    expect(seen(await device.get("/v2/state/status"))).toEqual(
      json(200, {
        status: "success",
        appState: "applied",
        overallDownloadProgress: null,
        containers: [],
        images: [
          {
            name: "one:latest",
            appId: 1,
            serviceName: "one",
            imageId: 601,
            dockerImageId: image,
            status: "Downloaded",
            downloadProgress: null,
          },
        ],
        release: "c1",
      }),
    );
    expect((await device.get("/v1/device")).json).toMatchObject({
      status: "Downloaded",
      download_progress: null,
      commit: "c1",
    });
    expect((await device.get("/v2/applications/state")).json).toEqual({});

    await device.engine.removeImage("one:latest");
    await device.supervisor.loop.look();
    expect(seen(await device.get("/v2/applications/1/state"))).toEqual(failed(409, "Application ID does not exist: 1"));
  });
});

test("on a managed device, a removed service is not listed and its image is removed", async () => {
  const device = await managedDevice();
  await device.runCloud({ aaaa: cloudApp(1, "first", { web: {} }) });
  await device.runCloud({});
  expect(seen(await device.get("/v2/applications/1/state", device.globalKey()))).toEqual(
    failed(409, "Application ID does not exist: 1"),
  );
});
