import { expect, test } from "vitest";
import { ofAgent, ofApps, ofHost, ofUse } from "../../core/metrics/families.ts";
import { systemClock, type Clock } from "../../core/ports/clock.ts";
import { EngineError, type Engine } from "../../core/ports/engine.ts";
import { ownUse } from "../../runtimes/node/own-use.ts";
import { readExposition, type Line } from "../metrics/read-exposition.ts";
import { app, testDevice, type TestDevice } from "../support/device.ts";
import { refused, seen, unauthorizedAt } from "./answers.ts";
import { bearer, cloudApp, twoApps } from "./managed.ts";

const openMetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";

async function read(device: TestDevice, path = "/metrics", headers: Record<string, string> = {}) {
  const answer = await device.get(path, headers);
  expect(answer.status).toBe(200);
  const lines = readExposition(answer.text);
  const valueOf = (name: string, labels: Line["labels"] = {}) =>
    lines.find(
      (line) => line.name === name && Object.entries(labels).every(([label, value]) => line.labels[label] === value),
    )?.value;
  return { ...answer, lines, valueOf };
}

/** The names of what the engine is asked for from now on. */
function watch(engine: Engine): string[] {
  const calls: string[] = [];
  const { look, stats } = engine;
  engine.look = (options) => (calls.push("look"), look.call(engine, options));
  engine.stats = (id) => (calls.push(`stats ${id}`), stats.call(engine, id));
  return calls;
}

test("the form follows from Accept, and is text for everybody else", async () => {
  const device = await testDevice();
  await device.run({ "1": app({ web: {} }) });
  const plain = await read(device);
  expect(plain.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect(plain.headers.get("vary")).toBe("accept");
  expect(plain.text).not.toContain("# EOF");
  const open = await read(device, "/metrics", {
    accept: "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
  });
  expect(open.headers.get("content-type")).toBe(openMetrics);
  expect(open.text).toMatch(/\n# EOF\n$/);
  expect(seen(await device.get("/metrics?collect=all"))).toEqual(
    refused("invalid-request", 'collect: expected "containers", or nothing', expect.any(Array)),
  );
});

test("the engine is asked for nothing, unless the reader wants what the services use", async () => {
  const device = await testDevice();
  await device.run({ "1": app({ web: {}, db: {} }) });
  await device.post("/v2/applications/1/stop-service", { serviceName: "db" });
  await device.settled();
  const { id } = await device.container("web");
  const calls = watch(device.engine);
  const without = await read(device);
  expect(without.valueOf("fairlead_service_state", { service: "web", state: "running" })).toBe(1);
  expect(without.valueOf("fairlead_service_state", { service: "db", state: "exited" })).toBe(1);
  expect(without.text).not.toContain(ofUse.memory.name);
  expect(calls).toEqual([]);

  const [used] = await Promise.all(Array.from({ length: 5 }, () => read(device, "/metrics?collect=containers")));
  expect(used?.valueOf("fairlead_service_memory_used_bytes", { app_id: "1", service: "web" })).toBe(1048576);
  expect(used?.valueOf("fairlead_service_memory_used_bytes", { service: "db" })).toBeUndefined();
  expect(calls).toEqual([`stats ${id}`]);
});

test("an engine that does not measure in time leaves the rest of the answer", async () => {
  const slept: number[] = [];
  const sleep: Clock["sleep"] = (ms, signal) => {
    if (ms === 5_000) slept.push(ms);
    return systemClock.sleep(ms === 5_000 ? 1 : ms, signal);
  };
  const device = await testDevice({ clock: { ...systemClock, sleep } });
  await device.run({ "1": app({ web: {} }) });
  device.engine.stats = () => new Promise(() => {});
  const { valueOf, text } = await read(device, "/metrics?collect=containers");
  // For the machine and the service.
  expect(slept).toEqual([5_000, 5_000]);
  expect(text).not.toContain(ofUse.memory.name);
  expect(valueOf("fairlead_service_state", { service: "web", state: "running" })).toBe(1);
});

test("rounds, steps, failures, back-offs and retries are counted", async () => {
  const device = await testDevice();
  const { createContainer } = device.engine;
  device.engine.createContainer = () => Promise.reject(new EngineError("no space left", 500));
  await device.run({ "1": app({ web: {} }) });
  const broken = await read(device);
  expect(broken.valueOf("fairlead_steps_total", { action: "install", outcome: "failed" })).toBe(1);
  expect(broken.valueOf("fairlead_engine_call_failures_total", { operation: "createContainer" })).toBe(1);
  expect(broken.valueOf("fairlead_backoffs_total")).toBe(1);
  expect(broken.valueOf("fairlead_retries_total")).toBe(0);
  expect(broken.valueOf("fairlead_backoff_subjects")).toBe(1);
  expect(broken.valueOf("fairlead_settled")).toBe(0);
  expect(broken.valueOf("fairlead_app_on_target", { app_id: "1" })).toBe(0);
  expect(broken.valueOf("fairlead_problems", { app_id: "1", service: "web", kind: "refused" })).toBe(1);
  expect(broken.valueOf("fairlead_events_total", { kind: "stepFailed", level: "error" })).toBe(1);
  expect(broken.valueOf("fairlead_image_downloads_total", { outcome: "done" })).toBe(1);

  device.engine.createContainer = (name, spec) => createContainer.call(device.engine, name, spec);
  await expect.poll(async () => (await read(device)).valueOf("fairlead_settled"), { timeout: 15_000 }).toBe(1);
  const mended = await read(device);
  expect(mended.valueOf("fairlead_retries_total")).toBe(1);
  expect(mended.valueOf("fairlead_backoff_subjects")).toBe(0);
  expect(mended.valueOf("fairlead_steps_total", { action: "install", outcome: "done" })).toBe(1);
  expect(mended.valueOf("fairlead_loop_passes_total")).toBeGreaterThan(
    broken.valueOf("fairlead_loop_passes_total") ?? NaN,
  );
});

test("an engine that is down is counted, and does not keep the answer", async () => {
  const device = await testDevice();
  await device.run({ "1": app({ web: {} }) });
  device.engine.look = () => Promise.reject(new EngineError("connect ENOENT", 0));
  await device.supervisor.loop.look().catch(() => {});
  const { valueOf } = await read(device);
  expect(valueOf("fairlead_engine_up")).toBe(0);
  expect(valueOf("fairlead_loop_pass_failures_total")).toBe(1);
  expect(valueOf("fairlead_service_state", { service: "web", state: "running" })).toBe(1);
});

test("every family can be read", async () => {
  const tunnel = { state: () => ({ is: "connected", since: 1 }) as const };
  const device = await testDevice({
    ports: { ownUse, tunnel },
    program: ({ service }) => (service === "once" ? { exit: { code: 3, afterMs: 1 } } : {}),
    pullMs: 300,
  });
  const { problems } = device.supervisor;
  const list = problems.list.bind(problems);
  problems.list = () => [...list(), { kind: "diskFull", message: "", since: "" }];
  const healthcheck = { test: ["CMD", "true"] };
  await device.run({ "1": app({ web: { healthcheck }, once: { restart: "no" } }) });
  const loading = device.run({
    "1": app({ web: { healthcheck }, once: { restart: "no" }, more: { image: "more:1" } }),
  });
  const texts: string[] = [];
  for (let n = 0; n < 50; n++) {
    texts.push((await read(device, "/metrics?collect=containers")).text);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await loading;
  const named = new Set(texts.join("\n").match(/(?<=^# TYPE )\w+/gm));
  const families = [ofAgent, ofHost, ofApps, ofUse].flatMap((of) => Object.values(of).map(({ name }) => name));
  // There is no cloud that has answered.
  expect(families.filter((name) => !named.has(name))).toEqual(["fairlead_cloud_last_contact_timestamp_seconds"]);
  expect([...named].filter((name) => !families.some((one) => one === name))).toEqual([]);
});

test("a hostile name breaks no line, and containers outside the target add none", async () => {
  const device = await testDevice();
  const name = 'a"} 1\nup{x="\\';
  await device.run({ "1": app({ web: {} }, { name }) });
  const look = device.engine.look.bind(device.engine);
  device.engine.look = async () => {
    const state = await look();
    const [first] = state.containers;
    const more = Array.from({ length: 1000 }, (_, n) => ({
      ...first,
      id: `x${n}`,
      service: `evil${n}`,
      name: `evil${n}_1_1`,
    }));
    return {
      ...state,
      containers: [...state.containers, ...more.flatMap((one) => (first ? [{ ...first, ...one }] : []))],
    };
  };
  device.engine.stopContainer = () => Promise.reject(new EngineError("it stays", 500));
  await device.supervisor.loop.look();
  const { lines } = await read(device);
  expect(lines.find((line) => line.name === "fairlead_app_info")?.labels["app"]).toBe(name);
  expect(new Set(lines.flatMap(({ labels }) => labels["service"] ?? []))).toEqual(new Set(["web"]));
});

test("no key is needed in local mode; elsewhere, a key reads what it may", async () => {
  const device = await twoApps();
  expect(seen(await device.get("/metrics"))).toEqual(unauthorizedAt("/metrics"));
  expect(seen(await device.get("/metrics", bearer("wrong")))).toEqual(unauthorizedAt("/metrics"));
  const appsOf = async (headers: Record<string, string>) =>
    [
      ...new Set((await read(device, "/metrics", headers)).lines.flatMap(({ labels }) => labels["app_id"] ?? [])),
    ].toSorted();
  expect(await appsOf(device.globalKey())).toEqual(["1", "2"]);
  const apps = { aaaa: cloudApp(1, "first", { web: {} }), bbbb: cloudApp(2, "second", { db: {} }) };
  await device.runCloud(apps, { SUPERVISOR_API_SCOPE: "application" });
  expect(await appsOf(await device.keyOf(1, "web"))).toEqual(["1"]);
  const local = await testDevice();
  await local.run({ "1": app({ web: {} }) });
  expect((await local.get("/metrics")).status).toBe(200);
});

test("the last day as columns for graphs, with the services as they are now and no call of the engine", async () => {
  const device = await testDevice();
  await device.run({ "1": app({ web: {}, db: {} }) });
  const { id } = await device.container("web");
  await device.post("/v2/applications/1/stop-service", { serviceName: "db" });
  await device.settled();
  const calls = watch(device.engine);
  const services = [
    { appId: 1, service: "web", state: "running", restarts: 0 },
    { appId: 1, service: "db", state: "exited", restarts: 0 },
  ];
  const { json } = await device.get("/v3/metrics");
  expect(json).toEqual({
    sampleSeconds: 60,
    samples: {
      at: [expect.any(Number)],
      cpuPercent: [7],
      memoryUsedMb: [512],
      storageUsedMb: [2048],
      cpuCelsius: [48],
    },
    memoryTotalMb: 1024,
    storageTotalMb: 8192,
    services,
  });
  expect((await device.get(`/v3/metrics?after=${Date.now() + 1000}`)).json).toMatchObject({ samples: { at: [] } });
  expect(calls).toEqual([]);
  const asked = await device.get("/v3/metrics?collect=containers");
  expect(asked.json).toMatchObject({ services: [{ service: "web", use: { memoryBytes: 1048576 } }, services[1]] });
  expect(calls).toEqual([`stats ${id}`]);
  expect(seen(await device.get("/v3/metrics?after=noon"))).toEqual(
    refused("invalid-request", "after: expected milliseconds since the epoch", [
      { path: "after", message: "expected milliseconds since the epoch" },
    ]),
  );
});
