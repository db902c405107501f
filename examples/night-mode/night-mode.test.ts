import { afterEach, beforeEach, expect, test } from "vitest";
import { createClient, type DeviceClient } from "fairlead/client";
import { createMemoryDevice, type MemoryDevice } from "fairlead/testing";
import { setNight } from "./night-mode.ts";

/** An app tests itself against a device in memory: the real supervisor, on an engine without containers. */

let memory: MemoryDevice;
let device: DeviceClient;

const service = (serviceName: string, imageId: number) => ({
  ...{ serviceName, imageId, image: `${serviceName}:1` },
  ...{ environment: {}, labels: {} },
});

const target = (services: readonly object[]) => ({
  local: {
    name: "porch",
    config: {},
    apps: { 7: { name: "my-app", commit: "c1", releaseId: 1, services: Object.fromEntries(services.entries()) } },
  },
});

async function run(services: readonly object[]): Promise<void> {
  await device.setTargetState({ body: target(services) });
  await memory.settled();
}

const states = () => memory.supervisor.view().current.containers.map(({ service, state }) => `${service} ${state}`);

beforeEach(async () => {
  memory = await createMemoryDevice();
  device = createClient({ fetch: memory.fetch });
  await run([service("night", 1), service("camera", 2)]);
});

afterEach(() => memory.stop());

test("the camera stops at night, and runs again in the morning", async () => {
  expect(await setNight(true, device, 7)).toBe("done");
  await memory.settled();
  expect(states()).toEqual(["night running", "camera exited"]);

  expect(await setNight(false, device, 7)).toBe("done");
  await memory.settled();
  expect(states()).toEqual(["night running", "camera running"]);
});

test("a camera that is recording is not stopped", async () => {
  memory.folders.lock(7, "camera");
  expect(await setNight(true, device, 7)).toBe("later");
  expect(states()).toEqual(["night running", "camera running"]);

  memory.folders.unlock(7, "camera");
  expect(await setNight(true, device, 7)).toBe("done");
});

test("a device without a camera is an error that says so", async () => {
  await run([service("night", 1), service("screen", 2)]);
  await expect(setNight(true, device, 7)).rejects.toThrow(/refused with 404: Service not found/);
});
