import { describe, expect, test } from "vitest";
import { EmbeddedEngine, type EmbeddedOptions } from "../../core/embedded/engine.ts";
import type { Engine, EngineState } from "../../core/ports/engine.ts";
import type { Ports } from "../../core/ports/index.ts";
import { boundEngine } from "../support/bound-engine.ts";
import { app, testDevice } from "../support/device.ts";
import { Chance, SimClock } from "../simulation/clock.ts";

/** A step that is due again after it has succeeded is a loop, and is slowed down like a failure. */

interface Options extends Partial<EmbeddedOptions> {
  /** What the engine answers instead of what there is. */
  readonly answer?: (state: EngineState) => EngineState;
  readonly ports?: (clock: SimClock) => Partial<Ports>;
}

async function deviceOn({ answer = (state) => state, ports = () => ({}), ...options }: Options = {}) {
  const clock = new SimClock(new Chance(1));
  const real = new EmbeddedEngine({ clock, pullMs: 3, stopMs: 1, ...options });
  const calls: string[] = [];
  const called = (what: string) => void calls.push(what);
  const bound = boundEngine(real);
  const engine: Engine = {
    ...bound,
    look: async (how) => answer(await bound.look(how)),
    createContainer: (name, spec) => (called(`create ${name}`), bound.createContainer(name, spec)),
    startContainer: (id) => (called("start"), bound.startContainer(id)),
    removeContainer: (id) => (called("remove"), bound.removeContainer(id)),
    renameContainer: (id, name) => (called(`rename to ${name}`), bound.renameContainer(id, name)),
    createNetwork: (name, spec) => (called(`create network ${name}`), bound.createNetwork(name, spec)),
    removeNetwork: (id) => (called("remove network"), bound.removeNetwork(id)),
    createVolume: (name, spec) => (called(`create volume ${name}`), bound.createVolume(name, spec)),
    removeImage: (name) => (called(`remove image ${name}`), bound.removeImage(name)),
    pull: (image, onProgress, signal) => (called(`pull ${image.name}`), bound.pull(image, onProgress, signal)),
  };
  const device = await testDevice({ clock, ports: { engine, ...ports(clock) } });
  const wish = async (apps: Record<string, object>, config: Record<string, string> = {}) => {
    const answered = await device.post("/v2/local/target-state", { local: { name: "device", config, apps } });
    expect(answered.status).toBe(200);
  };
  const count = (what: string) => calls.filter((call) => call.startsWith(what)).length;
  const warnings = () => device.log.lines.filter((line) => line.startsWith("warning: Done, and due again"));
  const state = async () => ({
    appState: (await device.get("/v2/state/status")).json,
    device: (await device.get("/v1/device")).json,
    health: (await device.get("/v1/healthy")).status,
  });
  /** Somebody removes the container of a service. */
  const remove = async (service: string) => {
    const { id = "" } = (await real.look()).containers.find((one) => one.service === service) ?? {};
    await Promise.all([real.stopContainer(id).then(() => real.removeContainer(id)), clock.advance(5)]);
  };
  return { ...device, engine: real, clock, count, warnings, wish, remove, state };
}

const inSpec =
  (change: object, when = "running") =>
  (state: EngineState): EngineState => ({
    ...state,
    containers: state.containers.map((one) =>
      one.state === when ? { ...one, spec: { ...one.spec, settings: { ...one.spec.settings, ...change } } } : one,
    ),
  });

const simple = { "1": app({ web: { environment: { PASSPHRASE: "hunter2" } } }) };
/** 1, 2, 4 and 8 seconds of waiting, and what is done before anybody can know. */
const inTenSeconds = 5;
/** Those, up to 256 seconds, and then every 5 minutes. */
const inAnHour = 9 + 12 + 1;

describe("steps without an effect are repeated at growing intervals, logged and shown:", () => {
  const loops: [string, Options, string, Record<string, object>, Record<string, string>, RegExp][] = [
    [
      "a service of which the engine changes a field once it runs",
      { answer: inSpec({ mem_limit: 64 }) },
      "create web",
      simple,
      {},
      /kill web \(mem_limit: 64 → 0\)/,
    ],
    [
      "a network without labels and options",
      {
        answer: (state) => ({
          ...state,
          networks: state.networks.map((one) => {
            if (one.name !== "1_back") return one;
            const { "io.fairlead.network.definition": _, ...labels } = one.spec.labels;
            return { ...one, spec: { ...one.spec, labels, driver: "macvlan" } };
          }),
        }),
      },
      "create network 1_back",
      { "1": app({ web: {} }, { networks: { back: { driver: "ipvlan" } } }) },
      {},
      /remove network 1_back \(driver: "macvlan" → "ipvlan"\)/,
    ],
    [
      "a name of a container",
      {
        answer: (state) => ({
          ...state,
          containers: state.containers.map((one) => ({ ...one, name: `${one.name}x` })),
        }),
      },
      "rename to",
      simple,
      {},
      /rename web to web_1_1_c1/,
    ],
    [
      "a volume that is not listed",
      { answer: (state) => ({ ...state, volumes: [] }) },
      "create volume 1_data",
      { "1": app({ web: {} }, { volumes: { data: {} } }) },
      {},
      /create volume 1_data/,
    ],
    [
      "a container that does not seem to run",
      {
        answer: (state) => ({
          ...state,
          containers: state.containers.map((one) => ({ ...one, state: "created" as const, startedAt: 0 })),
        }),
      },
      "start",
      simple,
      {},
      /start web/,
    ],
  ];

  test.each(loops)("%s", async (_, options, call, apps, config, warning) => {
    const { clock, wish, count, warnings, state, log, engine } = await deviceOn(options);
    await wish(apps, config);
    await clock.advance(10_000);
    expect(count(call)).toBeGreaterThan(2);
    expect(count(call)).toBeLessThanOrEqual(inTenSeconds + 1);
    expect(warnings()).toHaveLength(1);
    expect(warnings()[0]).toMatch(warning);
    const { appState, device, health } = await state();
    expect(appState).toMatchObject({ appState: "applying" });
    expect(device).toMatchObject({ update_pending: true, update_failed: true });
    expect(health).toBe(200);
    // Nobody is down for that.
    expect((await engine.look()).containers.map((one) => one.state)).toEqual(["running"]);

    await clock.advance(3_600_000);
    expect(count(call)).toBeLessThanOrEqual(inAnHour);
    expect(warnings()).toHaveLength(1);
    expect(log.lines.join("\n")).not.toContain("hunter2");
  });

  /** A device on which something changes the memory limit of each container after a minute. */
  async function meddledDevice() {
    let now = () => 0;
    const device = await deviceOn({
      answer: (state) => ({
        ...state,
        containers: state.containers.map((one) =>
          now() - one.startedAt < 60_000
            ? one
            : (inSpec({ mem_limit: 64 })({ ...state, containers: [one] }).containers[0] ?? one),
        ),
      }),
    });
    now = () => device.clock.now();
    const wish = (n: string) => device.wish({ "1": app({ web: { environment: { N: n } } }) });
    /** Rounds in which the change is seen. */
    const pass = async (minutes: number) => {
      for (let n = 0; n < minutes * 2; n++) {
        device.supervisor.loop.trigger();
        await device.clock.advance(30_000);
      }
    };
    return { ...device, wish, pass };
  }

  test("a replacement that lasts for a while: three times an hour", async () => {
    const { wish, pass, count, warnings, engine } = await meddledDevice();
    await wish("0");
    await pass(50);
    expect(count("create web")).toBe(1 + 3);
    expect(warnings()).toEqual([expect.stringMatching(/kill web \(mem_limit: 64 → 0\)/)]);
    expect((await engine.look()).containers.map(({ state }) => state)).toEqual(["running"]);
    await pass(60);
    expect(count("create web")).toBeLessThanOrEqual(1 + 6);
    expect(warnings()).toHaveLength(1);
  });

  test("but not those for which the target changes back and forth", async () => {
    const { wish, pass, count, warnings } = await meddledDevice();
    for (let n = 0; n < 12; n++) {
      await wish(String(n % 2));
      await pass(0.5);
      expect(count("create web")).toBe(n + 1);
    }
    expect(warnings()).toEqual([]);
  });

  test("a firewall or boot configuration that does not read as it was written", async () => {
    const set: string[] = [];
    const { clock, wish, warnings } = await deviceOn({
      ports: () => ({
        firewall: { policy: () => ({ closed: true, localMode: true }), set: async () => void set.push("firewall") },
        bootConfig: {
          prefix: "HOST_CONFIG_",
          forbidden: [],
          read: async () => ({}),
          write: async () => void set.push("boot"),
        },
      }),
    });
    await wish(simple, { HOST_FIREWALL_MODE: "off", HOST_CONFIG_gpu_mem: "16" });
    await clock.advance(10_000);
    for (const what of ["firewall", "boot"]) {
      const times = set.filter((one) => one === what).length;
      expect(times).toBeGreaterThan(2);
      expect(times).toBeLessThanOrEqual(inTenSeconds);
    }
    expect(warnings()).toHaveLength(2);
  });

  test("an image that the engine has under another name", async () => {
    const { clock, wish, count, log, state } = await deviceOn({
      answer: (state) => ({
        ...state,
        images: state.images.map((one) => ({ ...one, tags: one.tags.map((tag) => `x/${tag}`) })),
      }),
    });
    await wish(simple);
    await clock.advance(10_000);
    expect(count("pull")).toBeGreaterThan(2);
    expect(count("pull")).toBeLessThanOrEqual(inTenSeconds + 1);
    expect(log.lines).toContain(
      "error: Failed to download image 'web:latest' due to 'it was downloaded, and the engine has no image of this name'",
    );
    expect((await state()).device).toMatchObject({ update_failed: true });
  });

  test("the pause ends when the engine shows the wanted state, and is forgotten then", async () => {
    let lies = true;
    const { clock, wish, count, state } = await deviceOn({
      answer: (found) => (lies ? inSpec({ mem_limit: 64 })(found) : found),
    });
    await wish(simple);
    await clock.advance(60_000);
    lies = false;
    await clock.advance(60_000);
    const made = count("create web");
    expect((await state()).appState).toMatchObject({ appState: "applied" });
    expect((await state()).device).toMatchObject({ update_pending: false, update_failed: false });
    await clock.advance(3_600_000);
    expect(count("create web")).toBe(made);
  });

  test("the application's other services are updated meanwhile", async () => {
    const { clock, wish, engine, remove } = await deviceOn({
      answer: (state) => ({
        ...state,
        containers: state.containers.map((one) =>
          one.service === "web" ? { ...one, spec: { ...one.spec, user: one.state === "running" ? "odd" : "" } } : one,
        ),
      }),
    });
    await wish({ "1": app({ web: {}, db: { depends_on: ["web"] }, cache: {} }) });
    await clock.advance(60_000);
    const running = async () =>
      (await engine.look()).containers.map(({ service, state }) => `${service} ${state}`).sort();
    expect(await running()).toEqual(["cache running", "db running", "web running"]);
    await remove("cache");
    await clock.advance(500);
    expect(await running()).toEqual(["cache running", "db running", "web running"]);
  });
});

describe("a step that has another cause does not wait:", () => {
  const running = async (engine: EmbeddedEngine) =>
    (await engine.look()).containers.filter(({ state }) => state === "running").map(({ service }) => service);

  test("a container that somebody removes every minute, and one that uses its network", async () => {
    const { clock, wish, engine, remove, warnings } = await deviceOn();
    await wish({
      "1": app({
        web: {},
        guest: { network_mode: "service:web" },
        waits: { depends_on: { never: { condition: "service_healthy" } } },
        never: { healthcheck: { test: ["CMD", "x"] } },
      }),
    });
    await clock.advance(60_000);
    for (let n = 0; n < 12; n++) {
      await remove("web");
      await clock.advance(500);
      expect(await running(engine)).toEqual(expect.arrayContaining(["web", "guest"]));
      await clock.advance(59_500);
    }
    expect(warnings()).toEqual([]);
  });

  test("successive pushes of a developer", async () => {
    const { clock, wish, engine, warnings } = await deviceOn();
    for (let n = 0; n < 10; n++) {
      const image = engine.addImage("web:latest", { environment: { N: String(n) } });
      await wish(simple);
      await clock.advance(500);
      const { containers } = await engine.look();
      expect(containers.map(({ spec, state }) => [spec.image, state])).toEqual([[image, "running"]]);
    }
    expect(warnings()).toEqual([]);
  });

  test("a target state that alternates", async () => {
    const { clock, wish, engine, warnings } = await deviceOn();
    for (let n = 0; n < 10; n++) {
      await wish({
        "1": app({ web: { environment: { N: String(n % 2) } } }, { networks: { a: { internal: n % 2 === 0 } } }),
      });
      await clock.advance(500);
      const { containers, networks } = await engine.look();
      expect(containers.map(({ spec }) => spec.environment["N"])).toEqual([String(n % 2)]);
      expect(networks.find(({ name }) => name === "1_a")?.spec.internal).toBe(n % 2 === 0);
    }
    expect(warnings()).toEqual([]);
  });

  test("restarts, purges, and services that are stopped and started", async () => {
    const { clock, wish, post, engine, warnings, count } = await deviceOn();
    await wish({ "1": app({ web: {} }, { volumes: { data: {} } }) });
    await clock.advance(500);
    const calls = ["/v2/applications/1/restart", "/v2/applications/1/purge", "/v2/applications/1/restart-service"];
    const started = count("start");
    for (const path of [...calls, ...calls, ...calls]) {
      const answered = post(path, { serviceName: "web" });
      await clock.advance(500);
      expect((await answered).status).toBe(200);
      expect(await running(engine)).toEqual(["web"]);
    }
    expect(count("start")).toBe(started + 9);
    expect(warnings()).toEqual([]);
  });

  test("a machine that does not reboot", async () => {
    const { clock, wish, post, power, engine, warnings } = await deviceOn();
    await wish(simple);
    await clock.advance(500);
    power.refusal = "not today";
    for (let n = 0; n < 5; n++) {
      const answered = post("/v1/reboot", {});
      await clock.advance(500);
      await answered;
      expect(await running(engine)).toEqual(["web"]);
    }
    expect(warnings()).toEqual([]);
  });
});

test("an image that a container of another program uses is kept, and logged once", async () => {
  const { clock, wish, engine, count, log, state } = await deviceOn({
    answer: (found) => ({ ...found, containers: found.containers.filter(({ service }) => service !== "") }),
  });
  const web = (image: string) => ({
    "1": app({ web: { image, labels: { "io.balena.update.strategy": "delete-then-download" } } }),
  });
  await wish(web("old:1"));
  await clock.advance(500);
  const spec = (await engine.look()).containers[0]?.spec;
  if (!spec) throw new Error("no container");
  await Promise.all([engine.createContainer("theirs", { ...spec, labels: {} }), clock.advance(10)]);
  await wish(web("new:1"));
  await clock.advance(60_000);
  expect(count("remove image old:1")).toBe(1);
  expect(log.lines.filter((line) => line.startsWith("warning: Image 'old:1' stays"))).toHaveLength(1);
  expect((await state()).appState).toMatchObject({ appState: "applied", release: "c1" });
});
