import { getSdk } from "balena-sdk";
import { beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { Release } from "../../core/api/admin/index.ts";
import { startCloud } from "./cloud.ts";
import { newDevice, newFleet, newToken, type Registered, type TestFleet } from "./people.ts";

/** The published SDK's requests about a fleet and its devices' reports. */
const cloud = startCloud();

let fleet: TestFleet;
let device: Registered;
let sdk: ReturnType<typeof getSdk>;

const send = (method: string, path: string, body: string, type: string) =>
  fetch(cloud.url() + path, {
    method,
    body,
    headers: { authorization: `Bearer ${device.api_key}`, "content-type": type },
  });

const log = (message: string) =>
  send(
    "POST",
    `/device/v2/${device.uuid}/log-stream`,
    JSON.stringify({ message, timestamp: Date.now() }),
    "application/x-ndjson",
  );

beforeAll(async () => {
  fleet = await newFleet(cloud, "the sdk's fleet");
  device = await newDevice(cloud, fleet);
  const composition = { services: { web: { image: "web:1" } } };
  await cloud.make(Release.loose(), `/admin/v1/fleets/${fleet.id}/releases`, { composition, commit: "one" });
  const services = { web: { image: "web:1", status: "Downloading", download_progress: 30 } };
  const releases = { one: { update_status: "downloading", services } };
  const report = { [device.uuid]: { status: "Idle", apps: { [fleet.uuid]: { release_uuid: "one", releases } } } };
  expect((await send("PATCH", "/device/v3/state", JSON.stringify(report), "application/json")).status).toBe(200);
  await log("hello");
  sdk = getSdk({ apiUrl: cloud.url(), dataDirectory: false });
  await sdk.auth.loginWithToken((await newToken(cloud, { write: true, fleets: [fleet.id] })).token);
});

test("the SDK gets the target state of a device, in both versions, and of a fleet", async () => {
  expect(await sdk.models.device.getSupervisorTargetState(device.uuid)).toMatchObject({
    local: { apps: { [fleet.id]: { commit: "one" } } },
  });
  expect(await sdk.models.device.getSupervisorTargetState(device.uuid, 3)).toMatchObject({
    [device.uuid]: { apps: { [fleet.uuid]: { releases: { one: { services: { web: { image: "web:1" } } } } } } },
  });
  expect(await sdk.models.device.getSupervisorTargetStateForApp(fleet.id)).toMatchObject({
    [fleet.uuid]: { name: fleet.name, apps: { [fleet.uuid]: { releases: { one: {} } } } },
  });
});

test("the SDK gets the services of a device with their release and progress", async () => {
  const found = await sdk.models.device.getWithServiceDetails(device.uuid, {
    $select: ["id", "uuid"],
    $expand: { is_running__release: { $select: ["commit"] }, should_be_running__release: { $select: ["commit"] } },
  });
  expect(found).toMatchObject({
    is_running__release: [{ commit: "one" }],
    should_be_running__release: [{ commit: "one" }],
    image_install: [
      {
        status: "Downloading",
        download_progress: 30,
        installs__image: [{ is_a_build_of__service: [{ service_name: "web" }] }],
        is_provided_by__release: [{ commit: "one" }],
      },
    ],
  });
});

test("the SDK gets the existing and new lines of a device's log", async () => {
  expect(await sdk.logs.history(device.uuid)).toMatchObject([{ message: "hello", isSystem: false }]);
  const subscription = await sdk.logs.subscribe(device.uuid, { count: 1 });
  const lines: string[] = [];
  subscription.on("line", (line) => lines.push(z.object({ message: z.string() }).parse(line).message));
  await expect.poll(() => lines).toEqual(["hello"]);
  await log("live");
  await expect.poll(() => lines).toEqual(["hello", "live"]);
  subscription.unsubscribe();
});
