import { describe, expect, test } from "vitest";
import { MemoryStore } from "../../core/embedded/ports.ts";
import { systemClock } from "../../core/ports/clock.ts";
import { app, service, testDevice, type TestDevice } from "../support/device.ts";
import { failed, json, seen } from "./answers.ts";
import { defaults } from "./deviations.ts";
import { readLogs } from "./log-reader.ts";
import { cloudApp, managedDevice, twoApps } from "./managed.ts";

const path = "/v2/local/target-state";
const accepted = json(200, { status: "success", message: "OK" });
const acceptedWith = (...warnings: string[]) => json(200, { status: "success", message: "OK", warnings });
const refused = (...faults: string[]) => failed(400, ["Invalid target state.", ...faults].join("\n"));

const state = (local: object) =>
  json(200, { status: "success", state: { local, dependent: { apps: [], devices: [] } } });

/** The body of the specification's example. */
const example = {
  local: {
    name: "Home",
    config: { HOST_CONFIG_gpu_mem: "16", SUPERVISOR_LOCAL_MODE: "1", SUPERVISOR_POLL_INTERVAL: "600000" },
    apps: {
      "1": {
        name: "localapp",
        commit: "localcommit",
        releaseId: "1",
        services: {
          "1": { ...service("one", 1), serviceId: 1, running: true },
          "2": { ...service("two", 2), serviceId: 2, running: true, network_mode: "container:one" },
        },
        volumes: {},
        networks: {},
      },
    },
  },
  dependent: { apps: [], devices: [] },
};

/** A target state of one application with one service. */
const target = (fields: object = {}, release: object = {}) => ({
  local: { apps: { "1": app({ one: fields }, release) } },
});

describe("GET /v2/local/target-state", () => {
  test("shows the defaults, and no applications, until one is set", async () => {
    const device = await testDevice();
    expect(seen(await device.get(path))).toEqual(state({ name: "local", config: defaults, apps: {} }));
  });

  test("shows the target state in the form in which it was set", async () => {
    const device = await testDevice();
    await device.post(path, example);
    expect(seen(await device.get(path))).toEqual(
      state({ ...example.local, config: { ...defaults, ...example.local.config } }),
    );
  });

  test("gives a target state that can be posted back without a change", async () => {
    const device = await testDevice();
    await device.post(path, example);
    await device.settled();
    const ids = async () => (await device.engine.look()).containers.map(({ id }) => id);
    const [before, containers] = [await device.get(path), await ids()];
    const { state: read } = Object(before.json);
    expect(seen(await device.post(path, read))).toEqual(accepted);
    await device.settled();
    expect((await device.get(path)).json).toEqual(before.json);
    expect(await ids()).toEqual(containers);
  });

  test("shows the same target state after a restart of the agent", async () => {
    const store = new MemoryStore();
    const device = await testDevice({ ports: { store } });
    await device.post(path, example);
    device.stop();
    const next = await testDevice({ ports: { store } });
    expect((await next.get(path)).json).toEqual((await device.get(path)).json);
  });

  test("on a managed device shows the cloud's name and config, but no applications", async () => {
    const device = await managedDevice();
    await device.runCloud({ aaaa: cloudApp(1, "first", { web: {} }) }, { RESIN_SUPERVISOR_DELTA: "1" });
    expect(seen(await device.get(path, device.globalKey()))).toEqual(
      state({
        name: "managed",
        config: { ...defaults, SUPERVISOR_LOCAL_MODE: "false", SUPERVISOR_DELTA: "1" },
        apps: {},
      }),
    );
  });
});

describe("POST /v2/local/target-state", () => {
  test("runs the services of the specification's example", async () => {
    const device = await testDevice();
    expect(seen(await device.post(path, example))).toEqual(accepted);
    await device.settled();
    const one = await device.container("one");
    expect(one).toMatchObject({ name: "one_1_1_localcommit", state: "running" });
    expect(await device.container("two")).toMatchObject({ spec: { networkMode: `container:${one.id}` } });
  });

  test("answers before the target state is reached", async () => {
    const device = await testDevice({ pullMs: 600_000 });
    expect(seen(await device.post(path, example))).toEqual(accepted);
  });

  test("publishes the port numbers of a service on the host", async () => {
    const device = await testDevice();
    await device.post(path, target({ ports: ["8080:80", "127.0.0.1:8443:443", "53:53/udp"] }));
    await device.settled();
    expect((await device.container("one")).spec.ports).toEqual([
      { target: 53, protocol: "udp", published: "53", ip: "" },
      { target: 80, protocol: "tcp", published: "8080", ip: "" },
      { target: 443, protocol: "tcp", published: "8443", ip: "127.0.0.1" },
    ]);
  });

  test("without applications removes all of them", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    await device.run({});
    expect((await device.engine.look()).containers).toEqual([]);
  });

  test("renames the containers if a new release has the same services", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    const { id } = await device.container("one");
    await device.run({ "1": app({ one: {} }, { commit: "c2", releaseId: 2 }) });
    expect(await device.container("one")).toMatchObject({ id, name: "one_1_2_c2", state: "running" });
  });

  test("waits for the lock of a service that must change, except with force", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    const { id } = await device.container("one");
    device.folders.lock(1, "one");
    const changed = target({ environment: { A: "1" } });
    await device.post(path, changed);
    await device.settled();
    expect((await device.container("one")).id).toBe(id);

    await device.post(path, { ...changed, force: true });
    await device.settled();
    expect((await device.container("one")).spec.environment["A"]).toBe("1");
  });

  test.each([
    ["no name, config, volumes and networks", { local: { apps: { "1": { ...app({ one: {} }) } } } }],
    [
      "null instead of these fields",
      { local: { name: null, config: null, apps: { "1": app({}, { volumes: null }) } } },
    ],
    ["ids as digits", target({ imageId: "7" }, { releaseId: "0" })],
    ["a commit that is a number", target({}, { commit: 5 })],
    ["no commit", target({}, { commit: undefined })],
    ["an application without services", { local: { apps: { "1": app({}) } } }],
    ["unknown config variables", { local: { config: { FOO: "1" }, apps: {} } }],
    ["labels with dots and dashes", target({ labels: { "io.x-y.z": "1" } })],
    [
      "a contract that this device meets",
      target({ contract: { requires: [{ type: "sw.supervisor", version: ">=10" }] } }),
    ],
  ])("accepts %s", async (_, body) => {
    const device = await testDevice();
    expect(seen(await device.post(path, body))).toEqual(accepted);
  });

  test.each<[object, string[]]>([
    [
      target({ ports: ["abc"] }),
      [
        'local.apps.1.services.1.ports[0]: expected a port such as "80", "8080:80", "127.0.0.1:8080-8081:80-81/udp", but got "abc"',
      ],
    ],
    [
      target({ image: "" }),
      ['local.apps.1.services.1.image: expected an image such as "registry/name:tag", but got ""'],
    ],
    [target({ imageId: -1 }), ["local.apps.1.services.1.imageId: expected a whole number of 0 or more, but got -1"]],
    [target({ labels: { a: 1 } }), ["local.apps.1.services.1.labels.a: expected a string, but got 1"]],
    [target({ running: "yes" }), ['local.apps.1.services.1.running: expected true or false, but got "yes"']],
    [target({}, { releaseId: "abc" }), ['local.apps.1.releaseId: expected a whole number of 0 or more, but got "abc"']],
    [
      target({}, { volumes: { "a b": {} } }),
      ['local.apps.1.volumes.a b: expected a name: a letter or digit, then letters, digits, _, . and -, but got "a b"'],
    ],
    [{ local: { apps: { abc: app({}) } } }, ['local.apps.abc: expected an id (digits) as key, but got "abc"']],
    [{ local: { apps: { "1": null } } }, ["local.apps.1: expected an object, but got null"]],
    [
      { local: { apps: { "1": { ...app({}), services: { "1": null } } } } },
      ["local.apps.1.services.1: expected an object, but got null"],
    ],
    [{ local: null }, ["local: expected an object, but got null"]],
    [{}, ["local: expected an object, but got nothing"]],
    [
      { local: {} },
      ['local.apps: expected an object of applications; to remove all of them send "apps": {}, but got nothing'],
    ],
    [
      { local: { name: 5, config: { A: true }, apps: {} } },
      ["local.name: expected a string, but got 5", "local.config.A: expected a string, but got true"],
    ],
    [
      { local: { apps: { "1": { ...app({}), services: { "1": service("one", 1), "2": service("one", 2) } } } } },
      ['local.apps.1.services.2: expected each service once, but "one" is there twice'],
    ],
    [
      target({ network_mode: "service:nope" }),
      ['local.apps.1.services: one wants to live in service "nope", which is not another service of this application'],
    ],
    [
      { local: { apps: { "1": app({ one: { depends_on: ["two"] }, two: { depends_on: ["one"] } }) } } },
      ["local.apps.1.services: expected an order to start in, but they wait for each other: one → two → one"],
    ],
  ])("refuses %j and keeps the old target state", async (body, faults) => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    const before = await device.get(path);
    expect(seen(await device.post(path, body))).toEqual(refused(...faults));
    await device.settled();
    expect((await device.get(path)).json).toEqual(before.json);
    expect((await device.container("one")).state).toBe("running");
  });

  test("refuses one application with two spellings of its id", async () => {
    const device = await testDevice();
    const apps = { "1": app({ one: {} }), "01": app({ two: {} }) };
    expect(seen(await device.post(path, { local: { apps } }))).toMatchObject({
      status: 400,
      body: { status: "failed", message: expect.stringContaining("local.apps.01: ") },
    });
  });

  test("reports the first hundred faults and the number of all", async () => {
    const device = await testDevice();
    const fault = 'expected a port such as "80", "8080:80", "127.0.0.1:8080-8081:80-81/udp", but got "x"';
    const faults = Array.from({ length: 100 }, (_, n) => `local.apps.1.services.1.ports[${n}]: ${fault}`);
    const ports = (count: number) => target({ ports: Array.from({ length: count }, () => "x") });
    expect(seen(await device.post(path, ports(100)))).toEqual(refused(...faults));
    expect(seen(await device.post(path, ports(5000)))).toEqual(refused(...faults, "and 4900 more"));
  });

  test("does not show the value of a variable that it refuses", async () => {
    const device = await testDevice();
    const answer = await device.post(path, target({ environment: { TOKEN: ["s3cret"] } }));
    expect(seen(answer)).toEqual(refused("local.apps.1.services.1.environment.TOKEN: expected a string"));
  });

  test("refuses a body that is not a JSON object", async () => {
    const device = await testDevice();
    const must = 'expected a JSON object { "local": { "apps": { … } } } with Content-Type application/json';
    const headers = { "content-type": "text/plain" };
    expect(seen(await device.send("POST", path, { headers, body: JSON.stringify(example) }))).toEqual(
      refused(`${must}, but got text/plain`),
    );
    // What curl sends without a header.
    const form = { "content-type": "application/x-www-form-urlencoded" };
    expect(seen(await device.send("POST", path, { headers: form, body: JSON.stringify(example) }))).toEqual(
      refused(`${must}, but got application/x-www-form-urlencoded`),
    );
    const list = await device.post(path, []);
    expect(list.text).toContain("expected a JSON object");
    expect(list.text).not.toContain("but got application/json");
  });

  test.each<[object, string]>([
    [target({ banana: 1 }), "local.apps.1.services.1.banana: not supported, left out"],
    [target({ logging: { driver: "none" } }), "local.apps.1.services.1.logging: not supported, left out"],
    [
      target({ restart: "banana" }),
      'local.apps.1.services.1.restart: "banana" is none of no, always, on-failure[:N], unless-stopped; taken as always',
    ],
    [
      target({ volumes: ["/etc:/hostetc"] }),
      "local.apps.1.services.1.volumes: host folders are not mounted (/etc), left out; use a volume or a feature label",
    ],
    [
      target({ volumes: ["/etc:/hostetc"], labels: { "io.balena.features.host-binds": "1" } }),
      "local.apps.1.services.1.volumes: /etc of the host is mounted, as the label io.balena.features.host-binds asks for it",
    ],
    [
      target({ depends_on: ["nope"] }),
      'local.apps.1.services.1.depends_on: there is no service "nope" in this application, left out',
    ],
    [
      target({ volumes: ["data:/data"] }),
      'local.apps.1.volumes: "data" is used but not defined; made with default settings',
    ],
    [
      target({ contract: { requires: [{ type: "sw.supervisor", version: ">=99" }] } }),
      'the release is rejected: one: this device does not meet {"type":"sw.supervisor","version":">=99"}',
    ],
  ])("accepts %j with a warning, which is logged too", async (body, warning) => {
    const device = await testDevice();
    const logs = await readLogs(device);
    expect(seen(await device.post(path, body))).toEqual(acceptedWith(warning));
    const message = `Target state: ${warning}`;
    expect(await logs.until(message)).toContainEqual({ message, isSystem: true, timestamp: expect.any(Number) });
    await logs.leave();
  });

  test("accepts one with thousands of warnings and reports the first hundred", async () => {
    const device = await testDevice();
    const fields = Object.fromEntries(Array.from({ length: 3000 }, (_, n) => [`x${n}`, 1]));
    const { warnings } = Object((await device.post(path, target(fields))).json);
    expect(warnings).toHaveLength(101);
    expect(warnings.slice(-2)).toEqual(["local.apps.1.services.1.x99: not supported, left out", "and 2900 more"]);
    expect(device.log.lines.filter((line) => line.includes("Target state: "))).toHaveLength(101);
  });

  test("is refused outside local mode", async () => {
    const device = await twoApps();
    expect(seen(await device.post(path, example, device.globalKey()))).toEqual(
      failed(400, "Target state can only set when device is in local mode"),
    );
  });

  test("on a managed device in local mode replaces the cloud's until local mode ends", async () => {
    const device = await managedDevice({ identity: { developmentMode: true } });
    const cloud = { aaaa: cloudApp(1, "first", { web: {} }) };
    const services = async () => (await device.engine.look()).containers.map(({ service }) => service);
    await device.runCloud(cloud, { SUPERVISOR_LOCAL_MODE: "1" });
    expect(await services()).toEqual([]);
    await device.run({ "7": app({ one: {} }) });
    expect(await services()).toEqual(["one"]);
    await device.runCloud(cloud);
    expect(await services()).toEqual(["web"]);
  });
});

test("GET /v2/local/device-info gives architecture and device type", async () => {
  const device = await testDevice({ identity: { arch: "armv7hf", type: "raspberry-pi3" } });
  expect(seen(await device.get("/v2/local/device-info"))).toEqual(
    json(200, { status: "success", info: { arch: "armv7hf", deviceType: "raspberry-pi3" } }),
  );
});

describe("GET /v2/local/logs", () => {
  const start = { message: "Streaming logs", isSystem: true };
  const system = (message: unknown) => ({ message, isSystem: true, timestamp: expect.any(Number) });
  const line = (serviceName: string, serviceId: number, message: string, isStdErr = false) => ({
    serviceName,
    serviceId,
    message,
    isStdErr,
    timestamp: expect.any(Number),
  });
  const silent = { program: () => ({ lines: [] }) };
  /** A clock that can be moved forward by a second. */
  const clockAhead = () => {
    let aheadMs = 0;
    return { pass: () => void (aheadMs += 1000), clock: { ...systemClock, now: () => Date.now() + aheadMs } };
  };
  const write = async (device: TestDevice, name: string, message: string, isStdErr = false) =>
    device.engine.write((await device.container(name)).id, message, isStdErr);

  test("is a stream of JSON lines that starts at once", async () => {
    const device = await testDevice();
    const logs = await readLogs(device);
    expect(logs.response.status).toBe(200);
    expect(logs.response.headers.get("content-type")).toBe("application/x-ndjson");
    expect(logs.response.headers.get("etag")).toBeNull();
    expect(await logs.until("Streaming logs")).toEqual([start]);
    await logs.leave();
  });

  test("shows what the services write from now on", async () => {
    const time = clockAhead();
    const device = await testDevice({ ...silent, clock: time.clock });
    await device.run({ "1": app({ one: {}, two: {} }) });
    await write(device, "one", "before anybody read");
    time.pass();
    const logs = await readLogs(device);
    await write(device, "one", "hello\r");
    expect(await logs.until("hello\r")).toEqual([start, line("one", 1, "hello\r")]);
    await write(device, "two", "oh no", true);
    expect(await logs.until("oh no")).toEqual([line("two", 2, "oh no", true)]);
    await logs.leave();
  });

  test("shows the first lines of a service that starts later", async () => {
    const device = await testDevice({ program: ({ service: name }) => ({ lines: [`hello from ${name}`] }) });
    const logs = await readLogs(device);
    await device.run({ "1": app({ one: {} }) });
    expect(await logs.until("hello from one")).toContainEqual(line("one", 1, "hello from one"));
    await logs.leave();
  });

  test("shows what the agent does", async () => {
    const device = await testDevice(silent);
    await device.run({ "1": app({ one: {} }) });
    const { image } = (await device.container("one")).spec;
    const logs = await readLogs(device);
    await device.post("/v2/applications/1/purge");
    expect(await logs.until("Purged data")).toEqual([
      start,
      system("Purging data for app 1"),
      system("Taking update locks"),
      system(`Killing service 'one ${image}': the application is purged`),
      system(`Service exited 'one ${image}'`),
      system(`Killed service 'one ${image}'`),
      system("Releasing update locks"),
      system(`Installing service 'one ${image}'`),
      system(`Installed service 'one ${image}'`),
      system(`Starting service 'one ${image}'`),
      system(`Started service 'one ${image}'`),
      system("Purged data"),
    ]);
    await logs.leave();
  });

  test("has at most 32 readers, and one that disconnects makes room", async () => {
    const device = await testDevice();
    const readers = await Promise.all(Array.from({ length: 32 }, () => readLogs(device)));
    const full = failed(503, "The log has 32 readers already; try again when one of them has left");
    expect(seen(await device.get("/v2/local/logs"))).toEqual(full);
    expect((await device.send("HEAD", "/v2/local/logs")).status).toBe(503);
    await readers[0]?.leave();
    readers[0] = await readLogs(device);
    expect(await readers[0].until("Streaming logs")).toEqual([start]);
    expect(seen(await device.get("/v2/local/logs"))).toEqual(full);
    for (const reader of readers) await reader.leave();
  });

  test("has several readers, and one that disconnects does not affect the others", async () => {
    const device = await testDevice(silent);
    await device.run({ "1": app({ one: {} }) });
    const [first, second] = [await readLogs(device), await readLogs(device)];
    await write(device, "one", "to both");
    expect(await first.until("to both")).toEqual([start, line("one", 1, "to both")]);
    expect(await second.until("to both")).toEqual([start, line("one", 1, "to both")]);
    await first.leave();
    await write(device, "one", "to one");
    expect(await second.until("to one")).toEqual([line("one", 1, "to one")]);
    await second.leave();
  });

  test("sends no line twice to a reader that reconnects", async () => {
    const time = clockAhead();
    const device = await testDevice({ ...silent, clock: time.clock });
    await device.run({ "1": app({ one: {} }) });
    const before = await readLogs(device);
    await write(device, "one", "read already");
    await before.until("read already");
    await before.leave();
    time.pass();
    const after = await readLogs(device);
    await write(device, "one", "new");
    expect(await after.until("new")).toEqual([start, line("one", 1, "new")]);
    await after.leave();
  });

  test("outside local mode sends nothing after its first line", async () => {
    const device = await twoApps();
    const logs = await readLogs(device, await device.keyOf(2, "db"));
    await write(device, "web", "not for everybody");
    await device.post("/v1/restart", { appId: 1 }, device.globalKey());
    await device.settled();
    device.stop();
    expect(await logs.toEnd()).toEqual([start]);
  });
});
