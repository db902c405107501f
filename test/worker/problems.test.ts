import { describe, expect, test } from "vitest";
import { Device } from "../../core/api/admin/index.ts";
import { mostProblems } from "../../core/model/problem.ts";
import { adminSecret, startCloud } from "./cloud.ts";
import { newDevice, newFleet, type Registered } from "./people.ts";

const cloud = startCloud();

const report = ({ uuid, api_key: key }: Registered, problems: unknown) =>
  cloud.ask("PATCH", "/device/v3/state", { [uuid]: { problems } }, key);
const problemsOf = async ({ uuid }: Registered) => (await cloud.get(Device, `/admin/v1/devices/${uuid}`)).problems;

const problem = {
  ...{ appId: 1, app: "a", service: "web", kind: "crashLoop" },
  ...{ message: "It has exited 3 times", since: "2026-01-01T00:00:00.000Z" },
};

describe("the problems of a device", () => {
  test("are asked for with the target state, by the device's own key alone", async () => {
    const fleet = await newFleet(cloud, "asks");
    const { uuid, api_key: key } = await newDevice(cloud, fleet);
    const state = (as: string, etag = "") =>
      fetch(`${cloud.url()}/device/v3/${uuid}/state`, {
        headers: { authorization: `Bearer ${as}`, "if-none-match": etag, "cache-control": "max-age=0" },
      });
    const seen = ({ status, headers }: Response) => [status, headers.get("fairlead-problems")];
    const first = await state(key);
    expect(seen(first)).toEqual([200, "1"]);
    expect(seen(await state(key, first.headers.get("etag") ?? ""))).toEqual([304, "1"]);
    expect(seen(await state(adminSecret))).toEqual([200, null]);
  });

  test("are those that it has reported last, and stay when a report does not name them", async () => {
    const fleet = await newFleet(cloud, "problems");
    const device = await newDevice(cloud, fleet);
    expect(await problemsOf(device)).toEqual([]);
    expect((await report(device, [problem])).status).toBe(200);
    expect((await report(device, undefined)).status).toBe(200);
    expect(await problemsOf(device)).toEqual([problem]);
    expect((await report(device, [])).status).toBe(200);
    expect(await problemsOf(device)).toEqual([]);
  });

  test("say that an update which is done is failing", async () => {
    const fleet = await newFleet(cloud, "failing");
    const device = await newDevice(cloud, fleet);
    const { uuid, api_key: key } = device;
    const apps = { [fleet.uuid]: { releases: { c1: { update_status: "done" } } } };
    await cloud.ask("PATCH", "/device/v3/state", { [uuid]: { apps } }, key);
    const status = async () => (await cloud.get(Device, `/admin/v1/devices/${uuid}`)).updateStatus;
    expect(await status()).toBe("done");
    await report(device, [problem]);
    expect(await status()).toBe("failing");
    await report(device, []);
    expect(await status()).toBe("done");
  });

  test("are limited in number and length, and refused in another form", async () => {
    const fleet = await newFleet(cloud, "limits of problems");
    const device = await newDevice(cloud, fleet);
    const long = { ...problem, message: "m".repeat(5000), kind: "k".repeat(500), service: "s".repeat(500) };
    expect((await report(device, [long])).status).toBe(200);
    expect(
      (await problemsOf(device)).map(({ message, kind, service }) => [message.length, kind.length, service?.length]),
    ).toEqual([[300, 50, 255]]);
    expect(
      await report(
        device,
        Array.from({ length: mostProblems + 1 }, () => problem),
      ),
    ).toMatchObject({
      status: 400,
      json: { error: `problems: expected at most ${mostProblems} problems` },
    });
    for (const bad of [null, {}, [1], [{ ...problem, since: "yesterday" }], [{ ...problem, message: undefined }]])
      expect((await report(device, bad)).status, JSON.stringify(bad)).toBe(400);
    expect(await problemsOf(device)).toHaveLength(1);
  });

  test("are forgotten when it leaves its fleet", async () => {
    const [one, other] = [await newFleet(cloud, "left"), await newFleet(cloud, "joined")];
    const device = await newDevice(cloud, one);
    await report(device, [problem]);
    await cloud.ask("PATCH", `/admin/v1/devices/${device.uuid}`, { fleetId: other.id });
    expect(await problemsOf(device)).toEqual([]);
  });
});
