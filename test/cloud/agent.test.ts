import { describe, expect, test } from "vitest";
import { MemoryLogRing } from "../../core/embedded/ports.ts";
import { derivesServiceKeys } from "../../core/api/cloud/state.ts";
import { deriveServiceKey } from "../../core/model/service-key.ts";
import { startCloud } from "../support/fake-cloud.ts";
import { cloudWithDevice, member, part, until, uuid, type Member } from "./fleet.ts";

/** The whole agent on the engine in memory, with a cloud that answers like the public one over real HTTP. */

const web = "127.0.0.1:5000/v2/4f9ef689f5cf6bb8d5482ff67c68fb54";
const db = `127.0.0.1:5000/v2/5f21fffe9215f95f8f119dea0cfd8845@sha256:${"ab".repeat(32)}`;
const web2 = "127.0.0.1:5000/v2/f9ef1f42d7fc0ff0eb098c32dbc3edbe";

const statuses = (device: { installs: Map<string, { status?: string | undefined }> }) =>
  Object.fromEntries([...device.installs].map(([image, { status }]) => [image, status]));

describe("a new device", () => {
  test("registers, gets its target state, applies it and reports it", async () => {
    const cloud = await startCloud();
    const device = await member(cloud);
    await until("it is registered", () => cloud.devices.has(uuid));
    const known = cloud.device(uuid);
    cloud.setTarget(uuid, "c1", { id: 1, services: { web: part(1, web), db: part(2, db) } });
    device.supervisor.loop.retry({ force: false });
    expect((await device.fetch(update({}, device.supervisor.keys.global()))).status).toBe(204);
    await until("both run and are reported", () => {
      const found = statuses(known);
      return found[web] === "Running" && found[db] === "Running";
    });
    expect(known.fields).toMatchObject({
      status: "Idle",
      supervisor_version: "19.0.5",
      ip_address: "192.0.2.10",
      api_secret: device.supervisor.keys.global(),
    });
    expect(known).toMatchObject({ running: "c1", updateStatus: "done" });
    expect(known.installs.get(web)?.progress).toBe(null);
    expect(device.log.lines.join("\n")).not.toContain(known.key);
  });

  test("keeps the key with which it registered", async () => {
    const cloud = await startCloud();
    const first = await member(cloud);
    await until("it polls", () => cloud.asked.some(({ path }) => path.endsWith("/state")));
    await first.stop();
    const before = cloud.asked.length;
    await member(cloud, { store: first.store });
    await until("it polls again", () => cloud.asked.length > before);
    expect(cloud.asked.slice(before).map(({ path }) => path)).not.toContain("/device/register");
    expect(cloud.asked.slice(before).every(({ status }) => status < 300)).toBe(true);
  });

  test("completes a registration whose answer was lost", async () => {
    const cloud = await startCloud();
    const { store } = await member(cloud).then(async (device) => {
      await until("it is registered", () => cloud.devices.has(uuid));
      await device.stop();
      return device;
    });
    const kept = cloud.device(uuid).key;
    // The state before the answer.
    await store.write({ "cloud-device": { endpoint: cloud.url, key: kept, registered: false } });
    const again = await member(cloud, { store });
    await until("it knows", () => again.supervisor.cloud?.registration.key() === kept);
  });

  test("whose uuid is already in use logs advice and keeps trying", async () => {
    const cloud = await startCloud();
    cloud.addDevice(uuid, "somebody-else's");
    const device = await member(cloud);
    const tries = () => cloud.asked.filter(({ path }) => path === "/device/register").length;
    await until("it has tried twice", () => tries() >= 2);
    expect(device.log.lines.filter((line) => line.includes("under another key"))).toHaveLength(1);
    cloud.devices.delete(uuid);
    await until("it is registered", () => cloud.devices.has(uuid));
  });

  test("has the name that config.json gives", async () => {
    const cloud = await startCloud();
    await member(cloud, {
      cloudSettings: { provisioning: { key: cloud.fleet.key, applicationId: 1 }, initialName: "kitchen" },
    });
    await until("it has its name", () => cloud.devices.get(uuid)?.name === "kitchen");
  });

  test("does not change existing containers until it has a target state", async () => {
    const { cloud } = await cloudWithDevice();
    const first = await member(cloud, { key: "device-key" });
    cloud.setTarget(uuid, "c1", { id: 1, services: { web: part(1, web) } });
    first.supervisor.cloud?.update({ force: false });
    await until("it runs", async () => (await first.engine.look()).containers.length === 1);
    await first.settled();
    await first.stop();
    await cloud.stop();

    // The same engine with an empty store.
    const second = await member(cloud, { key: "device-key", ports: { engine: first.engine } });
    await second.settled();
    const [container] = (await first.engine.look()).containers;
    expect(container?.state).toBe("running");
    await cloud.start();
    second.supervisor.cloud?.update({ force: false });
    await until("it has its target", () => second.supervisor.targets.hasCloud());
    await second.settled();
    expect((await first.engine.look()).containers).toMatchObject([{ id: container?.id, state: "running" }]);
  });
});

const update = (body: object, key: string) =>
  new Request("http://device/v1/update", {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
    body: JSON.stringify(body),
  });

describe("the target state", () => {
  test("is requested with its ETag and not sent again while it is unchanged", async () => {
    const { cloud, known } = await cloudWithDevice();
    await member(cloud, { key: "device-key" });
    known.config = { RESIN_SUPERVISOR_POLL_INTERVAL: "1000" };
    const polls = () => cloud.asked.filter(({ method, path }) => method === "GET" && path.endsWith("/state"));
    await until("it has asked four times", () => polls().length >= 4);
    expect(polls().map(({ status }) => status)).toEqual([
      200,
      ...polls()
        .slice(1)
        .map(() => 304),
    ]);
  });

  test("that is invalid does not replace the old one and is reported once", async () => {
    const { cloud, known } = await cloudWithDevice();
    cloud.setTarget(uuid, "c1", { id: 1, services: { web: part(1, web) } });
    const device = await member(cloud, { key: "device-key" });
    await until("it runs", async () => (await device.engine.look()).containers.length === 1);
    cloud.setTarget(
      uuid,
      "c2",
      { id: 2, services: { web: part(1, web2, { composition: { ports: ["abc"] } }) } },
      { RESIN_SUPERVISOR_POLL_INTERVAL: "1000" },
    );
    device.supervisor.cloud?.update({ force: false });
    const faults = () => device.log.lines.filter((line) => line.includes("cannot be used"));
    await until("it says so", () => faults().length > 0);
    expect(faults()[0]).toContain(`${uuid}.apps.${cloud.fleet.uuid}.releases.c2.services.web.composition.ports`);
    const before = cloud.asked.length;
    device.supervisor.cloud?.update({ force: false });
    await until("it asks again", () => cloud.asked.length > before);
    await device.settled();
    expect(faults()).toHaveLength(1);
    expect((await device.engine.look()).containers).toHaveLength(1);
    expect(known.fields).toBeDefined();
  });

  test("stays unchanged if the cloud does not know the device any more", async () => {
    const { cloud } = await cloudWithDevice();
    cloud.setTarget(uuid, "c1", { id: 1, services: { web: part(1, web) } });
    const device = await member(cloud, { key: "device-key" });
    await until("it runs", async () => (await device.engine.look()).containers.length === 1);
    cloud.devices.delete(uuid);
    device.supervisor.cloud?.update({ force: false });
    const said = () => device.log.lines.find((line) => line.includes("does not know this device"));
    await until("it says so", () => said() !== undefined);
    expect(said()).toContain("fairlead join <cloud> --key <provisioning key> --force");
    await device.settled();
    expect((await device.engine.look()).containers).toHaveLength(1);
  });

  test("replaces one that is still being applied", async () => {
    const { cloud, known } = await cloudWithDevice();
    cloud.setTarget(uuid, "c1", { id: 1, services: { web: part(1, web) } });
    const device = await member(cloud, { key: "device-key", pullMs: 400_000 });
    await until("it is fetched", () => known.updateStatus === "downloading");
    expect(statuses(known)).toEqual({ [web]: "Downloading" });
    device.engine.addImage(`${web2}:latest`);
    cloud.setTarget(uuid, "c2", { id: 2, services: { web: part(1, web2) } });
    device.supervisor.cloud?.update({ force: false });
    await until("the other one runs", () => known.running === "c2");
    expect(statuses(known)).toEqual({ [web]: "deleted", [web2]: "Running" });
  });

  test("gives a service the cloud's address and the device's key if its labels ask for them", async () => {
    const cloud = await startCloud();
    const device = await member(cloud);
    await until("it is registered", () => cloud.devices.has(uuid));
    const labels = { "io.balena.features.balena-api": "1" };
    cloud.setTarget(uuid, "c1", { id: 1, services: { web: part(1, web, { labels }) } });
    device.supervisor.cloud?.update({ force: false });
    await until("it runs", async () => (await device.engine.look()).containers.length === 1);
    const [container] = (await device.engine.look()).containers;
    expect(container?.spec.environment).toMatchObject({
      BALENA_API_URL: cloud.url,
      RESIN_API_KEY: cloud.device(uuid).key,
    });
  });
});

describe("a start with instant updates off", () => {
  test("polls the target state only after the poll interval", async () => {
    const { cloud, known } = await cloudWithDevice();
    known.config = {
      RESIN_SUPERVISOR_INSTANT_UPDATE_TRIGGER: "false",
      RESIN_SUPERVISOR_POLL_INTERVAL: "40000",
    };
    const first = await member(cloud, { key: "device-key" });
    await until("it has its target", () => first.supervisor.targets.hasCloud());
    await first.stop();
    const polls = () => cloud.asked.filter(({ method }) => method === "GET").length;
    const [before, from] = [polls(), Date.now()];
    await member(cloud, { key: "device-key", store: first.store });
    await until("it asks", () => polls() > before);
    // 40 seconds on a clock that is 40 times as fast.
    expect(Date.now() - from).toBeGreaterThan(950);
  });
});

describe("an internal error", () => {
  test("does not stop polling, reports or logs", async () => {
    const { cloud, known } = await cloudWithDevice();
    const ring = new MemoryLogRing();
    let isBroken = true;
    const read = ring.read.bind(ring);
    ring.read = (limit) => (isBroken ? Promise.reject(new Error("disk full")) : read(limit));
    const device = await member(cloud, { key: "device-key", ring });
    await until("it says so", () => device.log.lines.some((line) => line.includes("is interrupted: disk full")));
    isBroken = false;
    device.supervisor.events.emit({ kind: "configRefused", reason: "all is well" });
    await until("the log arrives", () => known.logs.some(({ message }) => message === "all is well"));
  });
});

describe("POST /v1/update", () => {
  test("with instant updates off answers 202 and polls only with `force`", async () => {
    const { cloud, known } = await cloudWithDevice();
    known.config = { RESIN_SUPERVISOR_INSTANT_UPDATE_TRIGGER: "false" };
    const device = await member(cloud, { key: "device-key" });
    const key = device.supervisor.keys.global();
    await until("it has its target", () => device.supervisor.targets.hasCloud());
    const polls = () => cloud.asked.filter(({ method }) => method === "GET").length;
    const before = polls();
    expect((await device.fetch(update({}, key))).status).toBe(202);
    expect((await device.fetch(update({ force: true }, key))).status).toBe(204);
    await until("it asks", () => polls() > before);
    expect(polls()).toBe(before + 1);
  });

  test("with `force` forces the target state that it gets", async () => {
    const { cloud, known } = await cloudWithDevice();
    cloud.setTarget(uuid, "c1", { id: 1, services: { web: part(1, web) } });
    const device = await member(cloud, { key: "device-key" });
    await until("it runs", () => statuses(known)[web] === "Running");
    device.folders.lock(1, "web");
    cloud.setTarget(uuid, "c2", { id: 2, services: { web: part(1, web2) } });
    await device.fetch(update({}, device.supervisor.keys.global()));
    await until("it waits for the lock", () => device.log.lines.some((line) => line.includes("Lockfile exists")));
    cloud.setTarget(uuid, "c3", { id: 3, services: { web: part(1, web2, { environment: { A: "1" } }) } });
    await device.fetch(update({ force: true }, device.supervisor.keys.global()));
    await until("it runs the last one", () => known.running === "c3");
  });
});

describe("local mode", () => {
  test("stops the cloud's applications and starts them again when it ends", async () => {
    const { cloud, known } = await cloudWithDevice();
    cloud.setTarget(uuid, "c1", { id: 1, services: { web: part(1, web) } });
    const identity = { cloudUrl: cloud.url, cloudKey: "device-key", developmentMode: true };
    const device = await member(cloud, { identity });
    await until("it runs", () => statuses(known)[web] === "Running");
    expect(known.fields["os_variant"]).toBe("dev");
    known.config = { RESIN_SUPERVISOR_LOCAL_MODE: "1" };
    device.supervisor.cloud?.update({ force: false });
    await until("nothing runs", async () => (await device.engine.look()).containers.length === 0);
    // The report does not list the cloud's applications as removed, because they come back.
    expect(statuses(known)[web]).toBe("Running");
    known.config = {};
    device.supervisor.cloud?.update({ force: false });
    await until("it runs again", async () => (await device.engine.look()).containers[0]?.state === "running");
  });

  test("is refused by a device without development mode, with one log line for each new target state", async () => {
    const { cloud, known } = await cloudWithDevice();
    cloud.setTarget(uuid, "c1", { id: 1, services: { web: part(1, web) } });
    const config = { RESIN_SUPERVISOR_POLL_INTERVAL: "1000", RESIN_SUPERVISOR_LOCAL_MODE: "1" };
    known.config = config;
    const device = await member(cloud, { key: "device-key" });
    const refusals = () => known.logs.filter(({ message }) => message.includes("SUPERVISOR_LOCAL_MODE is refused"));
    await until("the cloud reads so", () => refusals().length === 1);
    await until("it runs", () => statuses(known)[web] === "Running");
    const polls = () => cloud.asked.filter(({ method, path }) => method === "GET" && path.endsWith("/state")).length;
    const before = polls();
    await until("it has asked again", () => polls() > before + 2);
    expect(refusals()).toHaveLength(1);
    expect(device.supervisor.targets.isLocalMode()).toBe(false);
    known.config = { ...config, RESIN_SUPERVISOR_DELTA: "0" };
    await until("the cloud reads so again", () => refusals().length === 2);
  });
});

describe("a service that uses the cloud", () => {
  const labels = { "io.balena.features.balena-api": "1" };
  const says = { [derivesServiceKeys]: "1" };
  const service = { id: 1, services: { web: part(1, web, { labels }) } };
  const keyOf = async ({ engine }: Member) => {
    const [container] = (await engine.look()).containers;
    return container?.spec.environment["BALENA_API_KEY"];
  };
  const made = ({ log }: Member) => log.lines.filter((line) => line.startsWith("Installed service")).length;

  test("gets the device's own key if the cloud knows no derived keys", async () => {
    const { cloud } = await cloudWithDevice();
    cloud.setTarget(uuid, "c1", service);
    const device = await member(cloud, { key: "device-key" });
    await until("it runs", async () => (await keyOf(device)) === "device-key");
  });

  test("gets a derived key in its first container if the cloud supports that", async () => {
    const { cloud } = await cloudWithDevice();
    cloud.stateHeaders = says;
    cloud.setTarget(uuid, "c1", service);
    const first = await member(cloud, { key: "device-key" });
    const derived = await deriveServiceKey("device-key");
    await until("it runs", async () => (await first.engine.look()).containers[0]?.state === "running");
    expect([await keyOf(first), made(first)]).toEqual([derived, 1]);
    await first.settled();
    await first.stop();

    // The stored answer counts if the cloud is away or does not repeat it.
    await cloud.stop();
    const second = await member(cloud, { key: "device-key", store: first.store, ports: { engine: first.engine } });
    await second.settled();
    cloud.stateHeaders = {};
    await cloud.start();
    second.supervisor.cloud?.update({ force: false });
    await until("it has its target", () => cloud.asked.at(-1)?.status === 200);
    await second.settled();
    expect([await keyOf({ ...second, engine: first.engine }), made(second)]).toEqual([derived, 0]);
    await second.stop();

    // Another cloud has not announced derived keys.
    const other = await cloudWithDevice();
    other.cloud.setTarget(uuid, "c1", service);
    const third = await member(other.cloud, { key: "device-key", store: first.store });
    await until("it runs", async () => (await keyOf(third)) === "device-key");
  });

  test("gets a derived key when the cloud announces it later, with an unchanged target state", async () => {
    const { cloud, known } = await cloudWithDevice();
    cloud.setTarget(uuid, "c1", service);
    known.config = { RESIN_SUPERVISOR_POLL_INTERVAL: "1000" };
    const device = await member(cloud, { key: "device-key" });
    await until("it runs", async () => (await keyOf(device)) === "device-key");
    cloud.stateHeaders = says;
    const derived = await deriveServiceKey("device-key");
    await until("it has the other key", async () => (await keyOf(device)) === derived);
    expect(device.log.lines.join("\n")).not.toContain(derived);
  });

  test("gets a derived key on a newly registered device, whose key has 256 bits", async () => {
    const cloud = await startCloud();
    cloud.stateHeaders = says;
    const device = await member(cloud);
    await until("it is registered", () => cloud.devices.has(uuid));
    const { key } = cloud.device(uuid);
    expect(key).toMatch(/^[0-9a-f]{64}$/);
    cloud.setTarget(uuid, "c1", service);
    device.supervisor.cloud?.update({ force: false });
    const derived = await deriveServiceKey(key);
    await until("it runs", async () => (await keyOf(device)) === derived);
  });
});

describe("an outage of the cloud", () => {
  test("changes nothing on the device, and applications start without the cloud", async () => {
    const { cloud, known } = await cloudWithDevice();
    cloud.setTarget(uuid, "c1", { id: 1, services: { web: part(1, web) } });
    const first = await member(cloud, { key: "device-key" });
    await until("it runs", () => statuses(known)[web] === "Running");
    await cloud.stop();
    await first.stop();

    const second = await member(cloud, { key: "device-key", store: first.store });
    await until("it runs", async () => (await second.engine.look()).containers[0]?.state === "running");
    const healthy = await second.fetch(new Request("http://device/v1/healthy"));
    expect(healthy.status).toBe(200);
    await until("it has noticed", () => second.log.lines.some((line) => line.includes("cannot be asked")));
    cloud.setTarget(uuid, "c2", { id: 2, services: { web: part(1, web2) } });
    await cloud.start();
    await until("it has the new one", () => known.running === "c2");
    expect(second.log.lines.filter((line) => line.includes("cannot be asked"))).toHaveLength(1);
  });

  test("with a Retry-After header is not interrupted by earlier requests", async () => {
    const { cloud, known } = await cloudWithDevice();
    known.config = { RESIN_SUPERVISOR_POLL_INTERVAL: "1000" };
    cloud.answerNext(/\/state$/, { status: 429, headers: { "retry-after": "60" } });
    cloud.answerNext(/\/state$/, { status: 429, headers: { "retry-after": "60" } });
    const from = Date.now();
    await member(cloud, { key: "device-key" });
    await until("it asks again", () => cloud.asked.some(({ status }) => status === 200));
    // 60 seconds on a clock that is 40 times as fast.
    expect(Date.now() - from).toBeGreaterThan(1450);
    expect(cloud.asked.slice(0, 2).map(({ status }) => status)).toEqual([429, 429]);
  });
});

describe("reports", () => {
  test("contain only changes, and none is sent without a change", async () => {
    const { cloud, known } = await cloudWithDevice();
    cloud.setTarget(uuid, "c1", { id: 1, services: { web: part(1, web) } });
    const device = await member(cloud, { key: "device-key" });
    await until("it runs", () => statuses(known)[web] === "Running");
    const before = known.reports.length;
    for (const report of known.reports.slice(1)) expect(Object.keys(report)).toEqual(["apps"]);
    for (let n = 0; n < 5; n++) await device.supervisor.loop.look();
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(known.reports).toHaveLength(before);
  });

  test("that are refused for one image still deliver everything else", async () => {
    const { cloud, known } = await cloudWithDevice();
    cloud.setTarget(uuid, "c1", { id: 1, services: { web: part(1, web) } });
    cloud.releases.clear();
    const device = await member(cloud, { key: "device-key" });
    await until("it runs", async () => (await device.engine.look()).containers.length === 1);
    await until("it has told the rest", () => known.fields["api_secret"] === device.supervisor.keys.global());
    await until("it says what is wrong", () =>
      device.log.lines.some((line) => line.includes("does not take this device's apps")),
    );
    cloud.setTarget(uuid, "c2", { id: 2, services: { web: part(1, web2) } });
    device.supervisor.cloud?.update({ force: false });
    await until("the next one is taken", () => known.running === "c2");
  });

  test("contain a new API key at once", async () => {
    const { cloud, known } = await cloudWithDevice();
    const device = await member(cloud, { key: "device-key" });
    const old = device.supervisor.keys.global();
    await until("the first is told", () => known.fields["api_secret"] === old);
    const answer = await device.fetch(
      new Request(`http://device/v1/regenerate-api-key?apikey=${old}`, { method: "POST" }),
    );
    const key = await answer.text();
    expect(key).not.toBe(old);
    await until("the new one is told", () => known.fields["api_secret"] === key);
  });
});

test("an agent reports what runs after a restart, although nothing has changed", async () => {
  const { cloud, known } = await cloudWithDevice();
  cloud.setTarget(uuid, "c1", { id: 1, services: { web: part(1, web) } });
  const first = await member(cloud, { key: "device-key" });
  await until("it runs", () => statuses(known)[web] === "Running");
  await first.settled();
  await first.stop();
  known.installs.clear();
  const before = cloud.asked.length;
  const second = await member(cloud, { key: "device-key", store: first.store, ports: { engine: first.engine } });
  await until("it has its target again", () => cloud.asked.slice(before).some(({ method }) => method === "GET"));
  await until("it is told", () => statuses(known)[web] === "Running");
  expect(second.log.lines).toEqual([]);
});

describe("tags", () => {
  const tagsOf = async (device: { fetch: (request: Request) => Promise<Response> }, key: string): Promise<unknown> => {
    const answer = await device.fetch(new Request(`http://device/v2/device/tags?apikey=${key}`));
    return answer.json();
  };
  const setTags = (tags: object, key: string) =>
    new Request(`http://device/v2/device/tags?apikey=${key}`, {
      method: "PATCH",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(tags),
    });

  test("that are set during an outage reach the cloud afterwards, and an invalid one does not block others", async () => {
    const { cloud, known } = await cloudWithDevice();
    known.tags["room"] = "cellar";
    const first = await member(cloud, { key: "device-key" });
    await until("it polls", () => cloud.asked.length > 0);
    await cloud.stop();
    const key = first.supervisor.keys.global();
    expect((await first.fetch(setTags({ floor: "2", "io.balena.x": "no" }, key))).status).toBe(202);
    await first.stop();
    const second = await member(cloud, { key: "device-key", store: first.store });
    expect(await tagsOf(second, key)).toMatchObject({ tags: [{ name: "floor", value: "2" }, { name: "io.balena.x" }] });
    await cloud.start();
    await until("the good one is there", () => known.tags["floor"] === "2");
    await until("the bad one is told of", () =>
      second.log.lines.some((line) => line.includes("does not take the tag io.balena.x")),
    );
    expect(await tagsOf(second, key)).toEqual({
      status: "success",
      tags: [
        { id: 1, name: "room", value: "cellar" },
        { id: 2, name: "floor", value: "2" },
      ],
    });
  });
});
