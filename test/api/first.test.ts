import { expect, test } from "vitest";
import { app, testDevice } from "../support/device.ts";

test("the specification's example runs both services", async () => {
  const device = await testDevice();
  await device.run({ "1": app({ one: {}, two: { network_mode: "container:one" } }) });
  expect((await device.get("/v2/applications/state")).json).toEqual({
    fleet: {
      appId: 1,
      appUuid: "1",
      commit: "c1",
      updateStatus: "done",
      services: {
        one: { status: "Running", image: "one:latest", downloadProgress: null, releaseId: 1 },
        two: { status: "Running", image: "two:latest", downloadProgress: null, releaseId: 1 },
      },
    },
  });
});
