import { expect, test } from "vitest";
import { app, testDevice } from "../support/device.ts";

const withVolume = (definition: object, more: object = {}) => ({
  "1": app({ one: { volumes: ["data:/data"], ...more } }, { volumes: { data: definition } }),
});

test("a volume whose definition changes is kept, the log says so once for each change, and a purge applies it", async () => {
  const device = await testDevice();
  const warnings = () => device.log.lines.filter((line) => line.includes("keep volume 1_data"));
  const status = async () => (await device.get("/v2/state/status")).json;
  const labels = async () => (await device.engine.look()).volumes[0]?.spec.labels;

  await device.run(withVolume({}));
  const { id } = await device.container("one");
  expect(warnings()).toEqual([]);

  await device.run(withVolume({ labels: { v: "1" } }));
  expect(warnings()).toEqual([
    expect.stringMatching(/^warning: App 1: keep volume 1_data .*\(labels\.v\).*purge app 1/),
  ]);
  expect(await status()).toMatchObject({ appState: "applied", release: "c1" });
  expect((await device.get("/v2/applications/state")).json).toMatchObject({ fleet: { updateStatus: "done" } });
  expect((await device.container("one")).id).toBe(id);

  // Looked at again and again, also while other things change.
  await device.run(withVolume({ labels: { v: "1" } }, { environment: { A: "1" } }));
  await device.post("/v2/applications/1/restart");
  await device.settled();
  expect(warnings()).toHaveLength(1);

  await device.run(withVolume({}));
  await device.run(withVolume({ labels: { v: "1" } }));
  expect(warnings()).toHaveLength(2);
  expect(await labels()).not.toHaveProperty("v");

  await device.post("/v2/applications/1/purge");
  await device.settled();
  expect(await labels()).toMatchObject({ v: "1" });
  await device.run(withVolume({ labels: { v: "1" } }));
  expect(warnings()).toHaveLength(2);
});
