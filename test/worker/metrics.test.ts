import { describe, expect, test } from "vitest";
import { readExposition } from "../metrics/read-exposition.ts";
import { adminSecret, startCloud } from "./cloud.ts";
import { newDevice, newFleet, newToken, type Registered } from "./people.ts";
import { joinAgent, startRelay } from "./devices.ts";

describe("the metrics of a cloud", () => {
  const cloud = startCloud();

  const read = async (key: string, accept = "*/*") => {
    const response = await fetch(`${cloud.url()}/metrics`, { headers: { authorization: `Bearer ${key}`, accept } });
    const text = await response.text();
    return { status: response.status, type: response.headers.get("content-type"), text };
  };

  const report = (device: Registered, fields: object) =>
    cloud.ask("PATCH", "/device/v3/state", { [device.uuid]: fields }, device.api_key);

  test("count the devices of each fleet that a token covers, by state", async () => {
    const [shop, other] = [await newFleet(cloud, 'shop "one"'), await newFleet(cloud, "other")];
    const devices = [];
    for (let n = 0; n < 4; n++) devices.push(await newDevice(cloud, shop));
    const [done, updating, rejected] = devices;
    if (!done || !updating || !rejected) throw new Error("There are four devices");
    const apps = (update_status: string) => ({ apps: { [shop.uuid]: { releases: { c1: { update_status } } } } });
    const problem = {
      ...{ appId: 1, app: "a", service: "web", kind: "crashLoop" },
      message: "",
      since: "2026-01-01T00:00:00.000Z",
    };
    await report(done, { ...apps("done"), problems: [problem] });
    await report(updating, apps("downloading"));
    await report(rejected, apps("rejected"));

    const { token } = await newToken(cloud, { fleets: [shop.id] });
    const { status, type, text } = await read(token);
    expect([status, type]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"]);
    const labels = { fleet_id: String(shop.id), fleet: 'shop "one"' };
    expect(readExposition(text)).toEqual([
      { name: "fairlead_fleet_devices", labels, value: 4 },
      { name: "fairlead_fleet_devices_online", labels, value: 3 },
      { name: "fairlead_fleet_devices_offline", labels, value: 1 },
      { name: "fairlead_fleet_devices_updating", labels, value: 1 },
      { name: "fairlead_fleet_devices_rejected", labels, value: 1 },
      { name: "fairlead_fleet_devices_with_problems", labels, value: 1 },
      ...["done", "refused", "failed"].map((result) => ({
        ...{ name: "fairlead_relayed_requests_last_hour", labels: { result }, value: 0 },
      })),
    ]);
    // The device is not connected: the relay refuses, and records it a moment later.
    await cloud.ask("POST", "/supervisor/v1/update", { uuid: done.uuid, data: {} });
    const refused = async () =>
      readExposition((await read(adminSecret)).text).find(({ labels: { result } }) => result === "refused")?.value;
    await expect.poll(refused, { timeout: 20_000 }).toBe(1);
    const open = await read(adminSecret, "application/openmetrics-text;version=1.0.0,*/*;q=0.1");
    expect(open.type).toBe("application/openmetrics-text; version=1.0.0; charset=utf-8");
    expect(open.text).toMatch(/\n# EOF\n$/);
    expect(open.text).toContain(`fairlead_fleet_devices{fleet_id="${other.id}",fleet="other"} 0`);
  });

  test("are refused without a token, and to a device", async () => {
    const device = await newDevice(cloud, await newFleet(cloud, "refused"));
    expect((await fetch(`${cloud.url()}/metrics`)).status).toBe(401);
    for (const key of ["wrong", device.api_key]) expect((await read(key)).status).toBe(401);
  });
});

describe("the metrics of a device through the relay", () => {
  const cloud = startRelay();

  test("are in the form that the client asks for, with what its services use if it wants that", async () => {
    const { uuid, agent } = await joinAgent(cloud);
    const services = { "1": { serviceName: "web", imageId: 1, image: "web:1", environment: {}, labels: {} } };
    const apps = { "1": { name: "shop", commit: "c1", releaseId: 1, services } };
    await cloud.relay("/v2/local/target-state", {
      uuid,
      method: "POST",
      data: { local: { name: "d", config: {}, apps } },
    });
    await agent.settled();
    const accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    const body = { uuid, method: "GET", data: { collect: "containers" } };
    const response = await cloud.relay("/metrics", body, { headers: { accept } });
    expect(response.headers.get("content-type")).toBe("application/openmetrics-text; version=1.0.0; charset=utf-8");
    const text = await response.text();
    expect(text).toContain('fairlead_service_memory_used_bytes{app_id="1",service="web"} 1048576\n');
    expect(text).toMatch(/\n# EOF\n$/);
    const history = await cloud.relay("/v3/metrics", { uuid, method: "GET" });
    expect(await history.json()).toMatchObject({ sampleSeconds: 60, services: [{ service: "web", state: "running" }] });
  });
});
