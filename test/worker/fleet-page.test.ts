import { describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { Device, DeviceStatus, FleetSummary } from "../../core/api/admin/index.ts";
import { createMemoryDevice } from "../../core/embedded/device.ts";
import { MemoryLog } from "../../core/embedded/ports.ts";
import { systemClock } from "../../core/ports/clock.ts";
import { startTunnel } from "../../runtimes/node/cloud/tunnel.ts";
import { adminSecret, startCloud } from "./cloud.ts";
import { connected } from "./devices.ts";
import { newDevice, newFleet, newToken, type Registered, type TestFleet } from "./people.ts";

/** What the page of the fleets asks for. */

const cloud = startCloud();
const Devices = z.array(Device);
const Session = z.object({ token: z.string(), expiresAt: z.iso.datetime() });

async function connect({ uuid, api_key: key }: Registered): Promise<{ readonly stop: () => void }> {
  const agent = await createMemoryDevice({ identity: { uuid } });
  onTestFinished(() => agent.stop());
  const tunnel = startTunnel({
    ...{ url: cloud.url(), uuid, key, fetch: agent.fetch, clock: systemClock, log: new MemoryLog() },
  });
  onTestFinished(() => tunnel.stop());
  await connected(tunnel);
  return tunnel;
}

async function report(fleet: TestFleet, { uuid, api_key }: Registered, kinds: readonly string[], more: object = {}) {
  const problems = kinds.map((kind) => ({
    ...{ appId: fleet.id, service: "web", kind, message: `web: ${kind}`, since: "2026-11-23T20:00:00.000Z" },
  }));
  const { status } = await cloud.ask("PATCH", "/device/v3/state", { [uuid]: { problems, ...more } }, api_key);
  expect(status).toBe(200);
}

const listed = (query: string) => cloud.get(Devices, `/admin/v1/devices?${query}`);

describe("GET / of the cloud", () => {
  test("is the page for a browser, with its policy, and 404 for every other client", async () => {
    const get = (accept: string, more: object = {}) =>
      fetch(`${cloud.url()}/`, { headers: { accept, ...more }, redirect: "manual" });
    const page = await get("text/html,*/*;q=0.8");
    expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
    expect(page.headers.get("content-security-policy")).toBe("frame-ancestors 'none'");
    expect(["set-cookie", "access-control-allow-origin"].map((name) => page.headers.get(name))).toEqual([null, null]);
    const text = await page.text();
    expect(text).toMatch(/default-src 'none'; script-src 'sha256-[^']+'; style-src 'sha256-[^']+'; /);
    expect(text).not.toMatch(/\bunsafe-|<(script|link|img)[^>]+(src|href)="(?!data:)/);
    const again = await get("text/html", { "if-none-match": page.headers.get("etag") ?? "" });
    expect(again.status).toBe(304);
    expect((await get("*/*")).status).toBe(404);
  });
});

describe("POST /admin/v1/session", () => {
  test("signs a token with the same id and permissions, of at most 12 hours", async () => {
    const fleet = await newFleet(cloud, "of a session");
    const parent = await newToken(cloud, { fleets: [fleet.id] });
    const before = Date.now();
    const { status, json } = await cloud.ask("POST", "/admin/v1/session", {}, parent.token);
    expect(status).toBe(201);
    const { token, expiresAt } = Session.parse(json);
    expect(Math.abs(Date.parse(expiresAt) - before - 12 * 3_600_000)).toBeLessThan(60_000);
    const who = await cloud.ask("GET", "/admin/v1/whoami", undefined, token);
    expect(who.json).toEqual({
      ...{ tokenId: parent.id, fleets: [fleet.id] },
      ...{ write: false, secrets: false, manage: false, shell: false },
    });
    expect((await cloud.ask("DELETE", `/admin/v1/tokens/${parent.id}`)).status).toBe(200);
    expect((await cloud.ask("GET", "/admin/v1/whoami", undefined, token)).status).toBe(401);
  });

  test("never lasts longer than its parent, and is not prolonged by a session of a session", async () => {
    const parent = await newToken(cloud, { lifetimeDays: 1 / 24 });
    const ofParent = Session.parse((await cloud.ask("POST", "/admin/v1/session", {}, parent.token)).json);
    expect(ofParent.expiresAt).toBe(parent.expiresAt);
    const short = await cloud.make(Session, "/admin/v1/session", { lifetimeSeconds: 60 });
    const first = Session.parse((await cloud.ask("POST", "/admin/v1/session", {}, short.token)).json);
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const second = Session.parse((await cloud.ask("POST", "/admin/v1/session", {}, first.token)).json);
    expect(Date.parse(short.expiresAt) - Date.now()).toBeLessThan(61_000);
    expect(Date.parse(first.expiresAt) - Date.now()).toBeGreaterThan(11 * 3_600_000);
    expect(second.expiresAt).toBe(first.expiresAt);
  });

  test.each([0, 43_201, "x"])("refuses a lifetime of %j seconds", async (lifetimeSeconds) => {
    const { status, text } = await cloud.ask("POST", "/admin/v1/session", { lifetimeSeconds });
    expect([status, text]).toEqual([400, expect.stringContaining("lifetimeSeconds")]);
  });

  test("is refused without a token, and to a device", async () => {
    const device = await newDevice(cloud, await newFleet(cloud, "no session"));
    for (const key of [null, "nobody's", device.api_key])
      expect((await cloud.ask("POST", "/admin/v1/session", {}, key)).status).toBe(401);
  });
});

describe("the list of devices", () => {
  test("knows who is connected without asking a session, and since when", async () => {
    const fleet = await newFleet(cloud, "connected");
    const device = await newDevice(cloud, fleet);
    const [offline] = await listed(`fleetId=${fleet.id}`);
    expect(offline).toMatchObject({ connected: false, connectedSince: null, state: "offline" });
    const tunnel = await connect(device);
    await expect.poll(async () => (await listed(`fleetId=${fleet.id}`))[0]?.connected).toBe(true);
    const [before] = await listed(`fleetId=${fleet.id}`);
    const asked = await cloud.get(Device, `/admin/v1/devices/${device.uuid}`);
    expect(before?.connectedSince).toBe(asked.connectedSince);
    tunnel.stop();
    const state = async (check: boolean) => (await listed(`fleetId=${fleet.id}&check=${check}`))[0]?.state;
    await expect.poll(() => state(true)).toBe("offline");
    // A device that may come back in a moment still counts as connected.
    expect(await state(false)).toBe("well");
    await expect.poll(() => state(false), { timeout: 25_000, interval: 500 }).toBe("offline");
  });

  test("is filtered by state and by text, and counted", async () => {
    const fleet = await newFleet(cloud, "filtered");
    const devices: Registered[] = [];
    for (let n = 0; n < 5; n++) devices.push(await newDevice(cloud, fleet));
    const [failing, waiting, updating, offline, well] = devices;
    if (!failing || !waiting || !updating || !offline || !well) throw new Error("no devices");
    for (const device of [failing, waiting, updating, well]) await connect(device);
    await report(fleet, failing, ["locked", "crashLoop"]);
    await report(fleet, waiting, ["locked"]);
    await report(fleet, offline, ["crashLoop"]);
    const release = { commit: "c1", composition: { services: { web: { image: "nginx:1" } } } };
    await cloud.make(z.unknown(), `/admin/v1/fleets/${fleet.id}/releases`, release);
    await report(fleet, well, [], {
      apps: {
        [fleet.uuid]: {
          release_uuid: "c1",
          releases: { c1: { update_status: "done", services: { web: { image: "nginx:1", status: "Running" } } } },
        },
      },
    });
    const summary = () => cloud.get(FleetSummary, `/admin/v1/fleets/${fleet.id}/summary`);
    await expect.poll(summary).toEqual({
      ...{ devices: 5, target: "c1" },
      states: { failing: 1, waiting: 1, updating: 1, offline: 1, well: 1 },
      releases: [{ commit: "c1", devices: 1 }],
    });
    for (const [state, { uuid }] of Object.entries({ failing, waiting, updating, offline, well }))
      expect((await listed(`fleetId=${fleet.id}&state=${state}`)).map((one) => one.uuid)).toEqual([uuid]);
    expect(await listed(`fleetId=${fleet.id}&search=%25`)).toEqual([]);
    const found = await listed(`fleetId=${fleet.id}&search=${well.uuid.slice(8).toUpperCase()}`);
    expect(found.map(({ uuid }) => uuid)).toEqual([well.uuid]);
    const refused = await cloud.ask("GET", "/admin/v1/devices?state=broken");
    expect([refused.status, refused.text]).toEqual([400, expect.stringContaining("expected one of failing, waiting")]);
  });
});

test("the list of devices is filtered by release and by tags", async () => {
  const fleet = await newFleet(cloud, "tagged");
  const [north, south, none] = [
    await newDevice(cloud, fleet),
    await newDevice(cloud, fleet),
    await newDevice(cloud, fleet),
  ];
  const release = { commit: "9b1c2d0", composition: { services: { web: { image: "nginx:1" } } } };
  await cloud.make(z.unknown(), `/admin/v1/fleets/${fleet.id}/releases`, release);
  const runs = { release_uuid: "9b1c2d0", releases: { "9b1c2d0": { update_status: "done", services: {} } } };
  await report(fleet, north, [], { apps: { [fleet.uuid]: runs } });
  const tag = async ({ uuid, api_key }: Registered, tags: object) =>
    expect((await cloud.ask("PATCH", "/device/v3/tags", { [uuid]: tags }, api_key)).status).toBe(200);
  await tag(north, { site: "north", hall: "1, left", spare: "" });
  await tag(south, { site: "south", spare: "" });
  const found = async (query: object) =>
    (await listed(new URLSearchParams({ fleetId: String(fleet.id), ...query }).toString())).map(({ uuid }) => uuid);
  expect(await found({ release: "9b1" })).toEqual([north.uuid]);
  expect(await found({ release: "b1" })).toEqual([]);
  expect(await found({ release: "%" })).toEqual([]);
  expect(await found({ tag: "site" })).toEqual([north.uuid, south.uuid]);
  expect(await found({ tag: "site=north" })).toEqual([north.uuid]);
  expect(await found({ tag: "spare,site=south" })).toEqual([south.uuid]);
  expect(await found({ tag: "spare=" })).toEqual([north.uuid, south.uuid]);
  expect(await found({ tag: "hall=1\\, left" })).toEqual([north.uuid]);
  expect(await found({ tag: "site=nor" })).toEqual([]);
  expect(await found({ tag: "site", release: "9b1", search: none.uuid })).toEqual([]);
  const refused = await cloud.ask("GET", "/admin/v1/devices?tag==north");
  expect([refused.status, refused.text]).toEqual([400, expect.stringContaining("expected name or name=value")]);
});

test("GET /admin/v1/devices/:uuid/status is the last report, in the form of the device's stream", async () => {
  const fleet = await newFleet(cloud, "reported");
  const device = await newDevice(cloud, fleet);
  const path = `/admin/v1/devices/${device.uuid}/status`;
  expect((await cloud.get(DeviceStatus, path)).state).toEqual({ settled: true, apps: [], problems: [] });
  const release = { commit: "c1", composition: { services: { web: { image: "nginx:1" } } } };
  await cloud.make(z.unknown(), `/admin/v1/fleets/${fleet.id}/releases`, release);
  await report(fleet, device, ["unhealthy"], {
    ...{ ip_address: "192.168.1.7 10.0.0.2", memory_usage: 412, cpu_temp: 54 },
    apps: {
      [fleet.uuid]: {
        release_uuid: "c1",
        releases: { c1: { update_status: "done", services: { web: { image: "nginx:1", status: "Running" } } } },
      },
    },
  });
  expect(await cloud.get(DeviceStatus, path)).toMatchObject({
    state: {
      apps: [{ appId: fleet.id, name: "reported", commit: "c1", services: { web: { status: "Running" } } }],
      problems: [{ kind: "unhealthy", service: "web" }],
    },
    addresses: ["192.168.1.7", "10.0.0.2"],
    figures: { memoryUsedMb: 412, cpuCelsius: 54, cpuPercent: null },
  });
  const { token } = await newToken(cloud, { fleets: [(await newFleet(cloud, "another one")).id] });
  expect((await cloud.ask("GET", path, undefined, token)).status).toBe(404);
  expect((await cloud.ask("GET", path, undefined, adminSecret)).status).toBe(200);
});
