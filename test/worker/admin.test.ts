import { describe, expect, test } from "vitest";
import * as z from "zod";
import { Device, Fleet } from "../../core/api/admin/index.ts";
import { adminSecret, startCloud } from "./cloud.ts";
import { newDevice, newFleet, newToken, newUuid, registration } from "./people.ts";

const cloud = startCloud();

describe("fleets", () => {
  test("are created, listed, renamed and deleted; names are unique", async () => {
    const fleet = await cloud.make(Fleet, "/admin/v1/fleets", { name: "Cameras", deviceType: "raspberrypi4-64" });
    expect(fleet).toMatchObject({ name: "Cameras", deviceType: "raspberrypi4-64", devices: 0 });
    expect(fleet.uuid).toMatch(/^[0-9a-f]{32}$/);
    const again = await cloud.ask("POST", "/admin/v1/fleets", { name: "cameras" });
    expect([again.status, again.json]).toEqual([
      409,
      expect.objectContaining({ detail: 'There is a fleet "cameras" already' }),
    ]);
    const renamed = await cloud.ask("PATCH", `/admin/v1/fleets/${fleet.id}`, { name: "Doors" });
    expect(renamed.json).toMatchObject({ id: fleet.id, name: "Doors" });
    expect((await cloud.ask("DELETE", `/admin/v1/fleets/${fleet.id}`)).status).toBe(204);
    expect((await cloud.ask("DELETE", `/admin/v1/fleets/${fleet.id}`)).status).toBe(404);
  });

  test("with devices cannot be deleted", async () => {
    const fleet = await newFleet(cloud, "with devices");
    await newDevice(cloud, fleet);
    const { status, json } = await cloud.ask("DELETE", `/admin/v1/fleets/${fleet.id}`);
    expect([status, json]).toEqual([
      409,
      expect.objectContaining({ detail: "The fleet has 1 devices: delete or move them first" }),
    ]);
  });

  test.each([
    ["POST", "/admin/v1/fleets", {}, /^name: /],
    ["POST", "/admin/v1/fleets", { name: "x", deviceType: "No Slug" }, /^deviceType: expected a slug/],
    ["PATCH", "/admin/v1/fleets/many", { name: "x" }, /^fleetId: expected a whole number/],
    ["POST", "/admin/v1/tokens", { name: "x", fleets: "some" }, /^fleets: expected "all", or a list of fleet ids/],
    ["GET", "/admin/v1/devices?limit=9999", undefined, /^limit: /],
  ])("%s %s %j is refused with a message", async (method, path, body, message) => {
    const { status, json } = await cloud.ask(method, path, body);
    expect([status, json]).toEqual([400, expect.objectContaining({ detail: expect.stringMatching(message) })]);
  });
});

describe("registration, as the public cloud answers", () => {
  const good = (): object => ({ application: 1, device_type: "generic-amd64", uuid: newUuid() });
  const unique = JSON.stringify('"key" must be unique.');
  // Recorded: the body, whether the key belongs to the fleet, the answer.
  const rows: readonly (readonly [string, object, number, string])[] = [
    ["no application", { application: undefined }, 400, '"Application ID must be a valid integer"'],
    ["text as application", { application: "abc" }, 400, '"Application ID must be a valid integer"'],
    ["no device type", { device_type: undefined }, 400, '"Device type must be specified"'],
    ["no uuid", { uuid: undefined }, 400, '"UUID must be specified"'],
    ["an odd device type", { device_type: "no such!" }, 404, '"Unknown device type no such!"'],
    ["a short uuid", { uuid: "abc" }, 400, '"Device UUID must be a 32 or 62 character long lower case hex string."'],
    ["a number as uuid", { uuid: 12 }, 400, ""],
    ["another fleet", { application: 9999 }, 401, ""],
  ];
  test.each(rows)("%s", async (_, more, status, text) => {
    const fleet = await cloud.make(Fleet, "/admin/v1/fleets", { name: `for ${newUuid()}` });
    const key = await keyOf(fleet);
    const answer = await cloud.ask("POST", "/device/register", { ...good(), application: fleet.id, ...more }, key);
    expect([answer.status, answer.text]).toEqual([status, text]);
  });

  test("is refused a second time, or with a key in use", async () => {
    const fleet = await newFleet(cloud, "registering");
    const body = { ...registration(fleet), application: String(fleet.id), api_key: "k".repeat(43) };
    const first = await cloud.ask("POST", "/device/register", body, fleet.key);
    expect([first.status, first.json]).toEqual([201, expect.objectContaining({ api_key: "k".repeat(43) })]);
    const repeated = await cloud.ask("POST", "/device/register", body, fleet.key);
    expect([repeated.status, repeated.text, repeated.headers.get("content-type")]).toEqual([
      409,
      '"uuid" must be unique.',
      "text/html; charset=utf-8",
    ]);
    const inUse = await cloud.ask("POST", "/device/register", { ...body, uuid: newUuid() }, fleet.key);
    expect([inUse.status, inUse.text]).toEqual([409, unique]);
  });

  test.each([null, "unknown", adminSecret])("needs a provisioning key, not %j", async (key) => {
    const { status, json } = await cloud.ask("POST", "/device/register", good(), key);
    expect([status, json]).toEqual([401, { error: "API key required" }]);
  });

  test("rejects a deleted or expired provisioning key", async () => {
    const fleet = await newFleet(cloud, "keys that end");
    const path = `/admin/v1/fleets/${fleet.id}/provisioning-keys`;
    const Made = z.object({ id: z.int(), key: z.string() });
    const short = await cloud.make(Made, path, { lifetimeDays: 1e-9 });
    const deleted = await cloud.make(Made, path);
    expect((await cloud.ask("DELETE", `${path}/${deleted.id}`)).status).toBe(204);
    for (const { key } of [short, deleted])
      expect((await cloud.ask("POST", "/device/register", registration(fleet), key)).status).toBe(401);
    expect((await cloud.ask("POST", "/device/register", registration(fleet), fleet.key)).status).toBe(201);
  });

  async function keyOf({ id }: Fleet): Promise<string> {
    return (await cloud.make(z.object({ key: z.string() }), `/admin/v1/fleets/${id}/provisioning-keys`)).key;
  }
});

describe("devices", () => {
  test("are listed in pages, of one fleet or of all fleets of the token", async () => {
    const fleet = await newFleet(cloud, "many");
    const uuids: string[] = [];
    for (let n = 0; n < 5; n++) uuids.push((await newDevice(cloud, fleet)).uuid);
    const page = (more = "") => cloud.get(z.array(Device), `/admin/v1/devices?fleetId=${fleet.id}&limit=3${more}`);
    const first = await page();
    const second = await page(`&after=${first.at(-1)?.id}`);
    expect([first.length, second.length]).toEqual([3, 2]);
    expect([...first, ...second].map(({ uuid }) => uuid)).toEqual(uuids);
    expect(first[0]).toMatchObject({
      connected: false,
      connectedSince: null,
      name: expect.stringMatching(/^\w+-\w+$/),
    });
  });

  test("are renamed, moved and deleted", async () => {
    const [here, there] = [await newFleet(cloud, "here"), await newFleet(cloud, "there")];
    const { uuid } = await newDevice(cloud, here);
    const path = `/admin/v1/devices/${uuid}`;
    expect((await cloud.ask("PATCH", path, { name: "front door", fleetId: there.id })).json).toMatchObject({
      name: "front door",
      fleetId: there.id,
    });
    const { token } = await newToken(cloud, { fleets: [here.id], write: true });
    expect((await cloud.ask("DELETE", path, undefined, token)).status).toBe(404);
    expect((await cloud.ask("DELETE", path)).status).toBe(204);
    expect((await cloud.ask("GET", path)).status).toBe(404);
    expect((await cloud.ask("POST", "/device/register", { ...registration(here), uuid }, here.key)).status).toBe(201);
  });

  test("are rejected with a replaced key", async () => {
    const device = await newDevice(cloud, await newFleet(cloud, "new key"));
    const { key } = await cloud.make(z.object({ key: z.string() }), `/admin/v1/devices/${device.uuid}/key`);
    const who = async (bearer: string) => (await cloud.ask("GET", "/actor/v1/whoami", undefined, bearer)).status;
    expect([await who(device.api_key), await who(key)]).toEqual([401, 200]);
  });
});

test("the OpenAPI document describes the administration and the API between devices and cloud", async () => {
  const { json } = await cloud.ask("GET", "/openapi.json", undefined, null);
  const Document = z.object({
    openapi: z.string(),
    paths: z.record(z.string(), z.record(z.string(), z.object({ operationId: z.string() }))),
  });
  const { openapi, paths } = Document.parse(json);
  expect(openapi).toBe("3.1.0");
  expect(Object.keys(paths)).toEqual(
    expect.arrayContaining(["/admin/v1/fleets", "/admin/v1/devices/{uuid}", "/admin/v1/tokens/{tokenId}"]),
  );
  expect(paths["/admin/v1/tokens"]?.["post"]?.operationId).toBe("createToken");
  expect(paths["/device/v3/state"]?.["patch"]?.operationId).toBe("report");
});

test("the public API refuses with a message", async () => {
  for (const [path, status, message] of [
    ["/v7/device?$filter=id gt 1", 400, /^Expected eq or ne/],
    ["/v7/device?$select=secret", 400, /^device has no field secret/],
    ["/v7/device?$filter=is_online eq true", 400, /^device can neither be filtered nor ordered by is_online/],
    ["/v7/device?$expand=owner", 400, /^device has nothing to expand called owner/],
    ["/v7/nothing", 404, /^There is no resource nothing/],
    ["/v7/constructor", 404, /^There is no resource constructor/],
  ] as const) {
    const answer = await cloud.ask("GET", path);
    expect([answer.status, answer.json]).toEqual([status, expect.stringMatching(message)]);
  }
});

test("the public API changes variables and tags", async () => {
  const fleet = await newFleet(cloud, "variables");
  const device = await newDevice(cloud, fleet);
  const config = { device: device.id, name: "RESIN_SUPERVISOR_POLL_INTERVAL", value: "900000" };
  const made = await cloud.ask("POST", "/v7/device_config_variable", config);
  expect([made.status, made.json]).toEqual([
    201,
    expect.objectContaining({ name: config.name, value: "900000", device: { __id: device.id } }),
  ]);
  const again = await cloud.ask("POST", "/v7/device_config_variable", config);
  expect([again.status, again.text]).toEqual([409, expect.stringMatching(/unique/)]);
  const own = { ...config, name: "RESIN_OTHER" };
  expect((await cloud.ask("POST", "/v7/device_config_variable", own, device.api_key)).status).toBe(201);

  for (const [path, body, message] of [
    ["device_config_variable", { ...config, name: "OTHER" }, /must begin with RESIN_ or BALENA_/],
    ["device_environment_variable", { ...config, name: "RESIN_X" }, /reserved/],
    ["device_environment_variable", { ...config, name: "1X" }, /must begin with a letter/],
    ["device_environment_variable", { ...config, name: "X", value: "a\nb" }, /line breaks/],
    ["device_tag", { device: device.id, tag_key: "a b", value: "" }, /no white space/],
  ] as const) {
    const answer = await cloud.ask("POST", `/v7/${path}`, body);
    expect([answer.status, answer.json]).toEqual([400, expect.stringMatching(message)]);
  }

  const count = await cloud.ask("GET", `/v7/device_config_variable/$count?$filter=device eq ${device.id}`);
  expect(count.json).toEqual({ d: 2 });
  await cloud.ask("DELETE", `/v7/device_config_variable(device=${device.id},name='RESIN_OTHER')`);
  const left = await cloud.ask(
    "GET",
    `/v7/device(${device.id})?$select=id&$expand=device_config_variable($select=name)`,
  );
  expect(left.json).toEqual({ d: [{ id: device.id, device_config_variable: [{ name: config.name }] }] });

  const fleets = { application: fleet.id, name: "RESIN_X", value: "1" };
  expect((await cloud.ask("POST", "/v7/application_config_variable", fleets)).status).toBe(201);
  const byDevice = await cloud.ask(
    "PATCH",
    "/v7/application_config_variable?$filter=name eq 'RESIN_X'",
    { value: "2" },
    device.api_key,
  );
  expect(byDevice.status).toBe(403);
});
