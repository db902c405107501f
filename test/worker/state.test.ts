import { describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { Device, Fleet, Release, Variable } from "../../core/api/admin/index.ts";
import { MemoryLog } from "../../core/embedded/ports.ts";
import type { Fetch } from "../../core/http/fetch.ts";
import { systemClock } from "../../core/ports/clock.ts";
import { startTunnel } from "../../runtimes/node/cloud/tunnel.ts";
import { startCloud } from "./cloud.ts";
import { connected } from "./devices.ts";
import { newDevice, newFleet, newToken, newUuid, type Registered, type TestFleet } from "./people.ts";

const cloud = startCloud();

const Created = Release.extend({ warnings: z.array(z.string()) });

const release = (fleet: TestFleet, composition: object, commit?: string) =>
  cloud.make(Created, `/admin/v1/fleets/${fleet.id}/releases`, { composition, ...(commit && { commit }) });

const web = (image: string, more: object = {}) => ({ services: { web: { image, ...more } } });

const Service = z.looseObject({ image: z.string(), environment: z.record(z.string(), z.string()) });
const State = z.object({
  name: z.string(),
  config: z.record(z.string(), z.string()),
  apps: z.record(
    z.string(),
    z.looseObject({
      releases: z.record(z.string(), z.looseObject({ services: z.record(z.string(), Service) })).optional(),
    }),
  ),
});

async function stateOf({ uuid, api_key: key }: Registered) {
  const { json } = await cloud.ask("GET", `/device/v3/${uuid}/state`, undefined, key);
  const { name, config, apps } = z.record(z.string(), State).parse(json)[uuid] ?? { name: "", config: {}, apps: {} };
  const [commit, made] = Object.entries(Object.values(apps)[0]?.releases ?? {})[0] ?? ["", { services: {} }];
  return { name, config, commit, services: made.services, environment: made.services["web"]?.environment };
}

const change = (what: string, body: object) => cloud.ask("PATCH", `/admin/v1/${what}`, body);

const report = ({ uuid, api_key: key }: Registered, part: object) =>
  cloud.ask("PATCH", "/device/v3/state", { [uuid]: part }, key);

describe("releases", () => {
  test("become the target state of the fleet's devices", async () => {
    const fleet = await newFleet(cloud, "as composed");
    const device = await newDevice(cloud, fleet);
    const { json } = await cloud.ask("GET", `/device/v3/${device.uuid}/state`, undefined, device.api_key);
    expect(json).toEqual({
      [device.uuid]: {
        name: expect.any(String),
        apps: { [fleet.uuid]: { id: fleet.id, name: "as composed", is_host: false, class: "fleet" } },
        config: { RESIN_SUPERVISOR_POLL_INTERVAL: "600000" },
      },
    });
    const made = await release(fleet, web("web:1", { ports: ["80:80"], environment: ["A=1"] }), "one");
    expect(made).toMatchObject({ commit: "one", services: ["web"], target: true, devices: 0, warnings: [] });
    expect((await stateOf(device)).services).toEqual({
      web: {
        id: expect.any(Number),
        image_id: expect.any(Number),
        image: "web:1",
        environment: {},
        labels: {},
        composition: { image: "web:1", ports: ["80:80"], environment: ["A=1"] },
      },
    });
  });

  test("keep the ids of unchanged images, so that these services do not restart", async () => {
    const fleet = await newFleet(cloud, "ids");
    const device = await newDevice(cloud, fleet);
    const pair = (image: string) => ({ services: { db: { image: "db:1" }, web: { image } } });
    await release(fleet, pair("web:1"));
    const before = (await stateOf(device)).services;
    await release(fleet, pair("web:2"));
    const after = (await stateOf(device)).services;
    expect(after["db"]).toEqual(before["db"]);
    expect(after["web"]?.["id"]).toBe(before["web"]?.["id"]);
    expect(after["web"]?.["image_id"]).not.toBe(before["web"]?.["image_id"]);
  });

  test("with faults are refused with the path of each fault, and not stored", async () => {
    const fleet = await newFleet(cloud, "faults");
    const { status, json } = await cloud.ask("POST", `/admin/v1/fleets/${fleet.id}/releases`, {
      composition: {
        services: {
          web: { build: ".", ports: ["eighty"] },
          db: { image: "user:password@registry.example/db", depends_on: { web: { condition: "service_happy" } } },
        },
      },
    });
    expect([status, json]).toEqual([
      400,
      expect.objectContaining({
        detail: expect.stringMatching(
          /^services\.web\.build: images are not built here[^]*services\.db\.image: expected an image without user and password[^]*services\.db\.depends_on/,
        ),
      }),
    ]);
    expect(await cloud.get(z.array(Release), `/admin/v1/fleets/${fleet.id}/releases`)).toEqual([]);
  });

  test("may have 1 MiB, other bodies 64 KiB", async () => {
    const fleet = await newFleet(cloud, "large");
    const make = (bytes: number) =>
      cloud.ask("POST", `/admin/v1/fleets/${fleet.id}/releases`, {
        composition: { services: { web: { image: "a:1", environment: { A: "x".repeat(bytes) } } } },
      });
    expect(await make(200_000)).toMatchObject({ status: 201 });
    expect(await make(1_000_000)).toMatchObject({
      status: 400,
      json: expect.objectContaining({
        detail: expect.stringContaining("expected a composition of at most 524288 bytes"),
      }),
    });
    expect(await make(1_048_576)).toMatchObject({
      status: 413,
      json: expect.objectContaining({ detail: "request entity too large, expected at most 1048576 bytes" }),
    });
    expect(await cloud.ask("POST", "/admin/v1/fleets", { name: "x".repeat(65_536) })).toMatchObject({
      status: 413,
      json: expect.objectContaining({ detail: "request entity too large, expected at most 65536 bytes" }),
    });
  });

  test("have a commit that is unique in their fleet", async () => {
    const [one, other] = [await newFleet(cloud, "commit one"), await newFleet(cloud, "commit other")];
    await release(one, web("web:1"), "same");
    await release(other, web("web:1"), "same");
    const { status, json } = await cloud.ask("POST", `/admin/v1/fleets/${one.id}/releases`, {
      composition: web("web:2"),
      commit: "same",
    });
    expect([status, json]).toEqual([
      409,
      expect.objectContaining({ detail: "There is a release same of this fleet already" }),
    ]);
  });
});

describe("a pin", () => {
  test("keeps a device, or a fleet, on a release until it is unpinned", async () => {
    const fleet = await newFleet(cloud, "pins");
    const [pinned, following] = [await newDevice(cloud, fleet), await newDevice(cloud, fleet)];
    const commits = async () => [(await stateOf(pinned)).commit, (await stateOf(following)).commit];
    await release(fleet, web("web:1"), "one");
    expect((await change(`devices/${pinned.uuid}`, { release: "one" })).json).toMatchObject({
      target: "one",
      pinned: true,
    });
    await release(fleet, web("web:2"), "two");
    expect(await commits()).toEqual(["one", "two"]);

    expect((await change(`fleets/${fleet.id}`, { release: "one" })).json).toMatchObject({
      release: "one",
      tracksLatest: false,
    });
    await change(`devices/${pinned.uuid}`, { release: "two" });
    await release(fleet, web("web:3"), "three");
    expect(await commits()).toEqual(["two", "one"]);

    await change(`devices/${pinned.uuid}`, { release: "latest" });
    await change(`fleets/${fleet.id}`, { release: "latest" });
    expect(await commits()).toEqual(["three", "three"]);
  });

  test("needs a release of the device's fleet, and is removed by a move", async () => {
    const [one, other] = [await newFleet(cloud, "pin one"), await newFleet(cloud, "pin other")];
    const device = await newDevice(cloud, one);
    await release(one, web("web:1"), "ours");
    await release(other, web("web:1"), "theirs");
    expect((await change(`devices/${device.uuid}`, { release: "theirs" })).status).toBe(404);
    await change(`devices/${device.uuid}`, { release: "ours" });
    expect((await change(`devices/${device.uuid}`, { fleetId: other.id })).json).toMatchObject({
      target: "theirs",
      pinned: false,
    });
    expect((await stateOf(device)).commit).toBe("theirs");
  });
});

describe("variables", () => {
  test("reach the services by their precedence, and the configuration by its own", async () => {
    const fleet = await newFleet(cloud, "precedence");
    const device = await newDevice(cloud, fleet);
    await release(fleet, web("web:1"));
    const set = (of: string, variables: object, service?: string) =>
      cloud.ask("POST", `/admin/v1/${of}/variables`, { variables, ...(service && { service }) });
    const [ofFleet, ofDevice] = [`fleets/${fleet.id}`, `devices/${device.uuid}`];
    const value = async () => (await stateOf(device)).environment?.["NAME"];
    await set(ofDevice, { NAME: "device's service" }, "web");
    expect(await value()).toBe("device's service");
    await set(ofFleet, { NAME: "fleet" });
    await set(ofFleet, { NAME: "fleet's service" }, "web");
    await set(ofDevice, { NAME: "device" });
    expect(await value()).toBe("device's service");
    expect((await cloud.ask("DELETE", `/admin/v1/${ofDevice}/variables/NAME?service=web`)).status).toBe(204);
    expect(await value()).toBe("device");
    await cloud.ask("DELETE", `/admin/v1/${ofDevice}/variables/NAME`);
    expect(await value()).toBe("fleet's service");
    await cloud.ask("DELETE", `/admin/v1/${ofFleet}/variables/NAME?service=web`);
    expect(await value()).toBe("fleet");

    await set(ofFleet, { RESIN_HOST_CONFIG_gpu_mem: "16", RESIN_SUPERVISOR_POLL_INTERVAL: "900000" });
    await set(ofDevice, { RESIN_HOST_CONFIG_gpu_mem: "64" });
    expect((await stateOf(device)).config).toEqual({
      RESIN_HOST_CONFIG_gpu_mem: "64",
      RESIN_SUPERVISOR_POLL_INTERVAL: "900000",
    });
  });

  test("are listed by name only, and only with access to the fleet", async () => {
    const fleet = await newFleet(cloud, "secrets");
    const device = await newDevice(cloud, fleet);
    await release(fleet, web("web:1"));
    const variables = { TOKEN: "a secret value" };
    await cloud.ask("POST", `/admin/v1/fleets/${fleet.id}/variables`, { variables });
    await cloud.ask("POST", `/admin/v1/devices/${device.uuid}/variables`, { variables, service: "web" });
    const { token } = await newToken(cloud, { fleets: [fleet.id] });
    const listings = [
      `/admin/v1/fleets/${fleet.id}/variables`,
      `/admin/v1/devices/${device.uuid}/variables`,
      `/admin/v1/fleets/${fleet.id}/releases`,
      "/admin/v1/fleets",
      "/admin/v1/devices",
      "/v7/application_environment_variable",
      "/v7/device_environment_variable",
      "/v7/device?$expand=device_environment_variable,belongs_to__application($expand=application_environment_variable)",
    ];
    for (const path of listings) {
      const { status, text } = await cloud.ask("GET", path, undefined, token);
      expect([path, status, text.includes("a secret value")]).toEqual([path, 200, false]);
    }
    const listed = await cloud.get(z.array(Variable), `/admin/v1/devices/${device.uuid}/variables`);
    expect(listed).toMatchObject([{ name: "TOKEN", kind: "env", service: "web" }]);

    const { token: stranger } = await newToken(cloud, { fleets: [(await newFleet(cloud, "elsewhere")).id] });
    expect((await cloud.ask("GET", `/admin/v1/fleets/${fleet.id}/variables`, undefined, stranger)).status).toBe(404);
    expect((await cloud.ask("GET", `/device/v3/${device.uuid}/state`, undefined, stranger)).status).toBe(401);
  });

  test.each([
    [{ variables: { "1A": "x" } }, /^"1A": The name of a variable must begin with a letter/],
    [{ variables: { RESIN: "x" } }, /^"RESIN": The names RESIN, BALENA and USER/],
    [{ variables: { A: "x\ny" } }, /^"A": The value must not contain line breaks$/],
    [{ variables: { A: 1 } }, /^variables\.A: /],
    [{ variables: { A: "x" }, service: "db" }, /^There is no service "db" in a release of this fleet, only: web$/],
    [{ variables: { RESIN_A: "x" }, service: "web" }, /^"RESIN_A": configuration is the whole device's/],
  ])("%j are refused with a message", async (body, message) => {
    const fleet = await newFleet(cloud, `refused ${newUuid()}`);
    await release(fleet, web("web:1"));
    const { status, json } = await cloud.ask("POST", `/admin/v1/fleets/${fleet.id}/variables`, body);
    expect([status, json]).toEqual([400, expect.objectContaining({ detail: expect.stringMatching(message) })]);
  });
});

test("the lists show a report: the running release, the progress of an update, and the time of the report", async () => {
  const fleet = await newFleet(cloud, "reports");
  const device = await newDevice(cloud, fleet);
  await release(fleet, { services: { web: { image: "web:1" }, db: { image: "db:1" } } }, "one");
  const services = {
    web: { image: "web:1", status: "Downloading", download_progress: 50 },
    db: { image: "db:1", status: "Running" },
  };
  const releases = { one: { update_status: "downloading", services } };
  expect((await report(device, { status: "Idle", apps: { [fleet.uuid]: { releases } } })).status).toBe(200);
  const read = () => cloud.get(Device, `/admin/v1/devices/${device.uuid}`);
  expect(await read()).toMatchObject({
    release: null,
    target: "one",
    pinned: false,
    updateStatus: "downloading",
    progress: 75,
    heardAt: expect.any(String),
  });
  const done = {
    one: { update_status: "done", services: { ...services, web: { image: "web:1", status: "Running" } } },
  };
  await report(device, { apps: { [fleet.uuid]: { release_uuid: "one", releases: done } } });
  expect(await read()).toMatchObject({ release: "one", updateStatus: "done", progress: null });
  const [listed] = await cloud.get(z.array(Release), `/admin/v1/fleets/${fleet.id}/releases`);
  expect(listed).toMatchObject({ commit: "one", devices: 1 });
});

test("the old fleet of a moved device can be deleted", async () => {
  const [from, to] = [await newFleet(cloud, "left behind"), await newFleet(cloud, "gone to")];
  const device = await newDevice(cloud, from);
  await release(from, web("web:1"), "old");
  const releases = { old: { services: { web: { image: "web:1", status: "Running" } } } };
  const apps = { [from.uuid]: { release_uuid: "old", releases } };
  await report(device, { apps });
  await cloud.ask("POST", `/admin/v1/devices/${device.uuid}/variables`, { variables: { A: "1" }, service: "web" });
  expect((await change(`devices/${device.uuid}`, { fleetId: to.id })).json).toMatchObject({
    release: null,
    target: null,
  });
  // Until it has its new target state, it reports the old one.
  expect((await report(device, { status: "Idle", apps })).status).toBe(200);
  expect((await cloud.ask("DELETE", `/admin/v1/fleets/${from.id}`)).status).toBe(204);
  expect(await cloud.get(z.array(Variable), `/admin/v1/devices/${device.uuid}/variables`)).toEqual([]);
});

test("a device's API key is not stored", async () => {
  const fleet = await newFleet(cloud, "api secret");
  const device = await newDevice(cloud, fleet);
  await report(device, { api_secret: "very secret indeed", api_port: 48484, status: "Idle" });
  const rows = await cloud.worker.getWorker().getDurableObjectStorage("Directory", { name: "directory" });
  expect(JSON.stringify(await rows.exec("SELECT * FROM devices"))).not.toContain("very secret");
});

describe("tags", () => {
  const send = ({ uuid, api_key: key }: Registered, tags: object) =>
    cloud.ask("PATCH", "/device/v3/tags", { [uuid]: tags }, key);

  test("are set by the device; others are unchanged", async () => {
    const fleet = await newFleet(cloud, "tags");
    const device = await newDevice(cloud, fleet);
    expect((await send(device, { place: "lab", empty: "" })).status).toBe(200);
    expect((await send(device, { place: "roof" })).status).toBe(200);
    const { json } = await cloud.ask(
      "GET",
      `/v7/device_tag?$filter=device eq ${device.id}&$select=tag_key,value`,
      undefined,
      device.api_key,
    );
    expect(json).toEqual({
      d: [
        { tag_key: "place", value: "roof" },
        { tag_key: "empty", value: "" },
      ],
    });
  });

  test.each([
    [{}, "No tags were sent to be updated."],
    [{ "a b": "x" }, "A tag's key must have 1 to 100 characters and no white space"],
    [{ "io.balena.x": "x" }, "Tag keys that begin with io.resin. or io.balena. are reserved"],
    [{ a: null }, "a: expected a text"],
  ])("%j are refused", async (tags, message) => {
    const device = await newDevice(cloud, await newFleet(cloud, `tags ${newUuid()}`));
    const { status, json } = await send(device, tags);
    expect([status, json]).toEqual([400, message]);
  });
});

describe("a change reaches a device that is connected at once", () => {
  /** A device that records its requests. */
  async function listening(fleet: TestFleet, answer: Fetch = async () => new Response(null, { status: 204 })) {
    const device = await newDevice(cloud, fleet);
    const heard: string[] = [];
    const fetch: Fetch = (request, scope) => {
      heard.push(`${request.method} ${new URL(request.url).pathname}`);
      return answer(request, scope);
    };
    const { uuid, api_key: key } = device;
    const tunnel = startTunnel({ url: cloud.url(), uuid, key, fetch, clock: systemClock, log: new MemoryLog() });
    onTestFinished(() => tunnel.stop());
    await connected(tunnel);
    return { ...device, heard };
  }

  const nudges = ({ heard }: { heard: readonly string[] }, count: number) =>
    expect.poll(() => heard, { timeout: 5000 }).toEqual(Array.from({ length: count }, () => "POST /v1/update"));

  test("a release reaches unpinned devices, a variable or a pin only the devices that have it", async () => {
    const fleet = await newFleet(cloud, "nudged");
    const [one, other] = [await listening(fleet), await listening(fleet)];
    await release(fleet, web("web:1"), "one");
    await nudges(one, 1);
    await nudges(other, 1);
    await change(`devices/${one.uuid}`, { release: "one" });
    await nudges(one, 2);
    await release(fleet, web("web:2"));
    await nudges(other, 2);
    await cloud.ask("POST", `/admin/v1/devices/${other.uuid}/variables`, { variables: { A: "1" } });
    await nudges(other, 3);
    await cloud.ask("POST", "/v7/application_environment_variable", { application: fleet.id, name: "B", value: "1" });
    await nudges(one, 3);
    await nudges(other, 4);
    await change(`fleets/${fleet.id}`, { release: "one" });
    await nudges(other, 5);
    await nudges(one, 3);
  });

  test("a move, with the old key and the target state of the new fleet", async () => {
    const [from, to] = [await newFleet(cloud, "moved from"), await newFleet(cloud, "moved to")];
    await release(to, web("web:1"), "there");
    const device = await listening(from);
    await change(`devices/${device.uuid}`, { fleetId: to.id });
    await nudges(device, 1);
    expect((await stateOf(device)).commit).toBe("there");
  });

  test("a device that does not answer delays neither the client nor other devices", async () => {
    const fleet = await newFleet(cloud, "held up");
    await listening(fleet, () => new Promise(() => {}));
    const other = await listening(fleet);
    const begun = Date.now();
    await release(fleet, web("web:1"));
    expect(Date.now() - begun).toBeLessThan(3000);
    await nudges(other, 1);
  });
});

test("a fleet's name is in the state of its devices", async () => {
  const fleet = await newFleet(cloud, "old name");
  const device = await newDevice(cloud, fleet);
  expect(Fleet.parse((await change(`fleets/${fleet.id}`, { name: "new name" })).json).name).toBe("new name");
  const { text } = await cloud.ask("GET", `/device/v3/${device.uuid}/state`, undefined, device.api_key);
  expect(text).toContain('"name":"new name"');
});
