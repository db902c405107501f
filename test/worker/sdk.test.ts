import { getSdk } from "balena-sdk";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { versionFields } from "../../core/cloud/device-registration.ts";
import { createMemoryDevice, type MemoryDevice } from "../../core/embedded/device.ts";
import { systemClock } from "../../core/ports/clock.ts";
import { startTunnel } from "../../runtimes/node/cloud/tunnel.ts";
import { app } from "../support/device.ts";
import { startCloud } from "./cloud.ts";
import { connected } from "./devices.ts";
import { newDevice, newFleet, newToken, newUuid, type TestFleet } from "./people.ts";

/** The published SDK against the Worker, with agents in memory behind their tunnels. */
const cloud = startCloud();

interface Dialled extends MemoryDevice {
  readonly id: number;
  readonly uuid: string;
}

let fleet: TestFleet;
let one: Dialled;
let two: Dialled;
let sdk: ReturnType<typeof getSdk>;

beforeAll(async () => {
  fleet = await newFleet(cloud, "the sdk's");
  [one, two] = [await dial(), await dial()];
  sdk = getSdk({ apiUrl: cloud.url(), dataDirectory: false });
  await sdk.auth.loginWithToken((await newToken(cloud, { write: true, secrets: true })).token);
  return () => {
    for (const device of dialled) device.stop();
  };
});

const dialled: Dialled[] = [];

/** A stock Debian in development mode, as the agent reports it. */
const debian = { supervisorVersion: "19.0.5", osVersion: "12.0.0", osVariant: "dev" } as const;

/** A connected device with two services. A device that is shut down stays down, so it is in another fleet. */
async function dial(to = fleet): Promise<Dialled> {
  const uuid = newUuid();
  const { id, api_key: key } = await newDevice(cloud, to, {
    uuid,
    ...versionFields(debian),
  });
  const device = await createMemoryDevice({ identity: { uuid } });
  const tunnel = startTunnel({ url: cloud.url(), uuid, key, fetch: device.fetch, clock: systemClock, log: device.log });
  await connected(tunnel);
  const target = { local: { name: "device", config: {}, apps: { [to.id]: app({ web: {}, db: {} }) } } };
  const answer = await device.fetch(
    new Request("http://device/v2/local/target-state", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(target),
    }),
  );
  expect(answer.status).toBe(200);
  await device.settled();
  const made = {
    ...device,
    id,
    uuid,
    stop: () => {
      tunnel.stop();
      return device.stop();
    },
  };
  dialled.push(made);
  return made;
}

/** Each service's container: its creation time, and whether it runs. */
async function services({ engine }: MemoryDevice): Promise<Record<string, { id: string; running: boolean }>> {
  const { containers } = await engine.look();
  return Object.fromEntries(
    containers.map((each) => [each.service, { id: each.id, running: each.state === "running" }]),
  );
}

test("whoami and isLoggedIn", async () => {
  expect(await sdk.auth.isLoggedIn()).toBe(true);
  expect(await sdk.auth.whoami()).toMatchObject({ actorType: "user" });
});

test("a device is found by its uuid, its id, and the beginning of its uuid", async () => {
  expect(await sdk.models.device.get(one.uuid, { $select: ["id", "device_name"] })).toMatchObject({ id: one.id });
  expect(await sdk.models.device.get(one.id)).toMatchObject({ uuid: one.uuid, is_online: true });
  await expect(sdk.models.device.get("f".repeat(32))).rejects.toThrow("Device not found");
  expect(await sdk.models.application.get(fleet.id)).toMatchObject({ app_name: "the sdk's" });
});

test("ping reaches the device", async () => {
  await sdk.models.device.ping(one.uuid);
});

test("identify blinks the LED", async () => {
  const before = one.led.blinks;
  await sdk.models.device.identify(one.uuid);
  expect(one.led.blinks).toBe(before + 1);
});

test("restartApplication creates the containers again", async () => {
  const before = await services(one);
  expect(await sdk.models.device.restartApplication(one.uuid)).toBe("OK");
  await one.settled();
  const after = await services(one);
  expect(Object.keys(after)).toEqual(Object.keys(before));
  expect(after["web"]).toMatchObject({ running: true });
  expect(after["web"]?.id).not.toBe(before["web"]?.id);
});

test("purge starts the services again", async () => {
  await sdk.models.device.purge(one.uuid);
  await one.settled();
  expect((await services(one))["db"]).toMatchObject({ running: true });
});

test("reboot and shutdown", async () => {
  const down = await newFleet(cloud, "for power");
  const [rebooted, shutDown] = [await dial(down), await dial(down)];
  await sdk.models.device.reboot(rebooted.uuid);
  await sdk.models.device.shutdown(shutDown.uuid, {});
  await expect.poll(() => [rebooted, shutDown].map(({ power }) => power.asked)).toEqual([["reboot"], ["shutdown"]]);
});

test("update is accepted", async () => {
  await sdk.models.device.update(one.uuid, { force: true });
});

test("getSupervisorState gives the device's state", async () => {
  expect(await sdk.models.device.getSupervisorState(one.uuid)).toMatchObject({
    api_port: 48484,
    supervisor_version: "19.0.5",
    update_pending: false,
  });
});

test("a service is stopped, started and restarted by its image id", async () => {
  const running = async () => (await services(one))["web"]?.running;
  await sdk.models.device.stopService(one.uuid, 1);
  await expect.poll(running).toBe(false);
  await sdk.models.device.startService(one.uuid, 1);
  await expect.poll(running).toBe(true);
  const before = (await services(one))["web"]?.id;
  await sdk.models.device.restartService(one.uuid, 1);
  await one.settled();
  expect(await running()).toBe(true);
  expect(before).toBeDefined();
});

test("local mode and the lock override are set by variables", async () => {
  expect(await sdk.models.device.isInLocalMode(one.uuid)).toBe(false);
  await sdk.models.device.enableLocalMode(one.uuid);
  expect(await sdk.models.device.isInLocalMode(one.uuid)).toBe(true);
  await sdk.models.device.disableLocalMode(one.uuid);
  expect(await sdk.models.device.isInLocalMode(one.uuid)).toBe(false);

  expect(await sdk.models.device.hasLockOverride(one.uuid)).toBe(false);
  await sdk.models.device.enableLockOverride(one.uuid);
  expect(await sdk.models.device.hasLockOverride(one.uuid)).toBe(true);
  expect(await sdk.models.device.hasLockOverride(two.uuid)).toBe(false);
  await sdk.models.device.disableLockOverride(one.uuid);
  expect(await sdk.models.device.hasLockOverride(one.uuid)).toBe(false);
});

test("getWithServiceDetails gives the device and its services by application", async () => {
  expect(await sdk.models.device.getWithServiceDetails(one.uuid)).toMatchObject({
    uuid: one.uuid,
    current_services_by_app: {},
  });
});

describe("the whole fleet", () => {
  test.each(["reboot", "shutdown"] as const)("%s reaches every device", async (how) => {
    const down = await newFleet(cloud, `for ${how}`);
    const devices = [await dial(down), await dial(down)];
    await sdk.models.application[how](down.id);
    await expect.poll(() => devices.map(({ power }) => power.asked)).toEqual([[how], [how]]);
  });

  test("purge reaches every device", async () => {
    const before = await Promise.all([one, two].map(services));
    await sdk.models.application.purge(fleet.id);
    await Promise.all([one.settled(), two.settled()]);
    const after = await Promise.all([one, two].map(services));
    for (const n of [0, 1]) expect(after[n]?.["web"]?.id).not.toBe(before[n]?.["web"]?.id);
  });
});

describe("while a service holds a lock,", () => {
  beforeEach(() => {
    one.folders.lock(fleet.id, "web");
    return () => one.folders.unlock(fleet.id, "web");
  });

  test.each([
    ["restartApplication", () => sdk.models.device.restartApplication(one.uuid)],
    ["purge", () => sdk.models.device.purge(one.uuid)],
    ["reboot", () => sdk.models.device.reboot(one.uuid)],
    ["shutdown", () => sdk.models.device.shutdown(one.uuid, {})],
    ["stopService", () => sdk.models.device.stopService(one.uuid, 1)],
    ["restartService", () => sdk.models.device.restartService(one.uuid, 1)],
  ])("%s throws the SDK's own error", async (_, call) => {
    await expect(call()).rejects.toMatchObject({ code: "BalenaSupervisorLockedError" });
  });

  test("reboot goes through with force", async () => {
    const down = await newFleet(cloud, "for force");
    const locked = await dial(down);
    locked.folders.lock(down.id, "web");
    await sdk.models.device.reboot(locked.uuid, { force: true });
    await expect.poll(() => locked.power.asked).toEqual(["reboot"]);
  });
});

test("a device has all fields that `balena device` of the CLI shows", async () => {
  const shown = await sdk.models.device.get(one.uuid, {
    $select: [
      ...(["id", "uuid", "device_name", "overall_status", "is_online", "is_web_accessible", "note"] as const),
      ...(["ip_address", "public_address", "mac_address", "last_connectivity_event", "os_version"] as const),
      ...(["supervisor_version", "cpu_id", "cpu_usage", "cpu_temp", "is_undervolted"] as const),
      ...(["memory_usage", "memory_total", "storage_block_device", "storage_usage", "storage_total"] as const),
    ],
    $expand: {
      belongs_to__application: { $select: ["app_name", "slug"] },
      is_of__device_type: { $select: "slug" },
      is_running__release: { $select: "commit" },
    },
  });
  expect(shown).toMatchObject({
    uuid: one.uuid,
    overall_status: "operational",
    is_online: true,
    is_web_accessible: false,
    belongs_to__application: [{ app_name: "the sdk's" }],
    is_of__device_type: [{ slug: expect.any(String) }],
    is_running__release: [],
  });
});

test("a device has the details of its services, alone and with its application, the SDK's deepest expansion", async () => {
  const detailed = await sdk.models.device.getWithServiceDetails(one.uuid);
  expect(detailed).toMatchObject({ uuid: one.uuid, image_install: [] });
  const application = await sdk.models.application.getWithDeviceServiceDetails(fleet.id);
  expect(application.owns__device.map(({ uuid }) => uuid)).toEqual(expect.arrayContaining([one.uuid, two.uuid]));
});

test("an unconnected device gives the error text that the CLI expects", async () => {
  const { uuid } = await newDevice(cloud, fleet);
  await expect(sdk.models.device.identify(uuid)).rejects.toThrow("No online device(s) found");
});

test("without a login the SDK reports that", async () => {
  const stranger = getSdk({ apiUrl: cloud.url(), dataDirectory: false });
  await expect(stranger.models.device.get(one.uuid)).rejects.toMatchObject({ code: "BalenaNotLoggedIn" });
});
