import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { isMissing } from "../../core/ports/index.ts";
import { endpoints } from "../../core/api/index.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";
import { makeImage, noDocker } from "../support/docker.ts";
import { agentOnEngine, docker, environmentOf, inspect, names, target } from "./on-the-engine.ts";
import { specifiedBody } from "../support/specification.ts";

const Leased = z.object({ id: z.string() });
const Begun = z.object({ id: z.string() });
const Shown = z.object({ status: z.literal("success"), state: z.looseObject({ local: z.looseObject({}) }) });

describe.skipIf(noDocker !== undefined)("the specification's example", () => {
  beforeAll(async () => {
    await makeImage(docker, "local_image_one:latest");
    await makeImage(docker, "local_image_two:latest");
  });

  test("runs like on the reference implementation, and its target state can be posted back", async () => {
    const agent = await agentOnEngine();
    await agent.accept(specifiedBody);
    const ids = await agent.settled();
    expect(await names()).toEqual(["one_1_1_localcommit", "two_2_1_localcommit"]);

    const one = await inspect(ids["one"]);
    const shared = join(agent.folder, "tmp/balena-supervisor/services/1/one");
    expect(one).toMatchObject({
      State: { Running: true },
      Image: (await docker.getImage("local_image_one:latest").inspect()).Id,
      Config: {
        Tty: true,
        StopSignal: "SIGTERM",
        StopTimeout: 10,
        Labels: {
          "io.balena.supervised": "true",
          "io.balena.app-id": "1",
          "io.balena.app-uuid": "1",
          "io.balena.service-id": "1",
          "io.balena.service-name": "one",
        },
      },
      HostConfig: { RestartPolicy: { Name: "always" }, IpcMode: "shareable" },
    });
    expect([...(one.HostConfig.Binds ?? [])].sort()).toEqual([`${shared}:/tmp/balena`, `${shared}:/tmp/resin`]);
    expect(Object.keys(one.NetworkSettings.Networks)).toEqual(["1_default"]);
    expect(one.NetworkSettings.Networks["1_default"]?.Aliases).toContain("one");
    const environment = await environmentOf(ids["one"]);
    for (const prefix of ["BALENA", "RESIN"])
      expect(environment).toMatchObject({
        [prefix]: "1",
        [`${prefix}_APP_ID`]: "1",
        [`${prefix}_APP_UUID`]: "1",
        [`${prefix}_APP_NAME`]: "localapp",
        [`${prefix}_SERVICE_NAME`]: "one",
        [`${prefix}_APP_LOCK_PATH`]: "/tmp/balena/updates.lock",
        [`${prefix}_DEVICE_NAME_AT_INIT`]: "Home",
        [`${prefix}_DEVICE_UUID`]: expect.stringMatching(/^[0-9a-f]{32}$/),
      });
    expect(environment).toMatchObject({
      USER: "root",
      BALENA_SERVICE_HANDOVER_COMPLETE_PATH: "/tmp/balena/handover-complete",
      RESIN_SERVICE_KILL_ME_PATH: "/tmp/balena/handover-complete",
    });
    const two = await inspect(ids["two"]);
    expect([two.State.Running, two.HostConfig.NetworkMode]).toEqual([true, `container:${ids["one"]}`]);

    const shown = Shown.parse(await (await agent.get("/v2/local/target-state")).json());
    expect(shown.state.local).toMatchObject({ name: "Home", apps: specifiedBody.local.apps });
    await agent.accept(shown.state);
    expect(await agent.settled()).toEqual(ids);

    // A service in another service's network stops and starts with that service.
    expect((await agent.post("/v2/applications/1/restart", {})).status).toBe(200);
    const again = await agent.settled();
    expect([again["one"] === ids["one"], again["two"] === ids["two"]]).toEqual([false, false]);
    expect((await inspect(again["two"])).HostConfig.NetworkMode).toBe(`container:${again["one"]}`);
  });
});

describe.skipIf(noDocker !== undefined)("with one service on the engine", () => {
  beforeAll(() => makeImage(docker, "local_image_one:latest"));

  test("every endpoint answers", async () => {
    const led = join(await temporaryFolder(), "brightness");
    await writeFile(led, "0");
    const agent = await agentOnEngine(["--led-file", led]);
    const labels = { "io.balena.features.supervisor-api": "1" };
    await agent.accept(target({ one: { image: "local_image_one:latest", labels } }));
    const { one: id } = await agent.settled();
    const { BALENA_SUPERVISOR_API_KEY: key = "", BALENA_SUPERVISOR_PORT: port } = await environmentOf(id);
    expect(port).toBe(new URL(agent.url).port);

    const { power, journal } = agent.supervisor.ports;
    const called = new Set<string>();
    const call = async (method: string, path: string, status: number, body?: object, headers: object = {}) => {
      const response = await fetch(agent.url + path, {
        method,
        headers: { "content-type": "application/json", authorization: `Bearer ${key}`, ...headers },
        ...(body && { body: JSON.stringify(body) }),
      });
      called.add(
        `${method} ${path
          .replace(/\?.*/, "")
          .replace(/(apps|applications)\/1/, "$1/:appId")
          .replace(/services\/\w+/, "services/:service")
          .replace(/exec\/\w+/, "exec/:sessionId")
          .replace(/(locks|operations)\/\w+/, "$1/:id")}`,
      );
      if (response.status !== status) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
      return response;
    };

    await call("GET", "/ping", 200);
    await call("GET", "/v1/healthy", 200);
    expect(await (await call("GET", "/v1/device", 200)).json()).toMatchObject({ commit: "c1", status: "Idle" });
    expect(await (await call("GET", "/v2/state/status", 200)).json()).toMatchObject({
      appState: "applied",
      containers: [{ serviceName: "one", containerId: id, status: "Running" }],
      release: "c1",
    });
    expect(await (await call("GET", "/v2/applications/state", 200)).json()).toMatchObject({
      fleet: { updateStatus: "done", services: { one: { status: "Running" } } },
    });
    expect(await (await call("GET", "/v2/applications/1/state", 200)).json()).toMatchObject({ commit: "c1" });
    expect(await (await call("GET", "/v1/apps/1", 200)).json()).toMatchObject({ appId: 1, containerId: id });
    expect(await (await call("GET", "/v2/containerId?service=one", 200)).json()).toMatchObject({ containerId: id });
    await call("GET", "/v2/version", 200);
    await call("GET", "/v2/cleanup-volumes", 200);
    expect(await (await call("GET", "/v2/device/name", 200)).json()).toMatchObject({ deviceName: "kitchen" });
    await call("GET", "/v2/device/vpn", 200);
    await call("GET", "/v2/device/tags", 200);
    await call("PATCH", "/v2/device/tags", 202, { place: "cellar" });
    await call("GET", "/v2/local/device-info", 200);
    expect(await (await call("GET", "/v3/logs?service=one", 200)).text()).toContain('"message":"hello from one"');
    expect(await (await call("GET", "/v3/apps/1/services/one/top", 200)).text()).toContain("/run.sh");
    expect(await (await call("GET", "/v3/apps/1/stats", 200)).json()).toMatchObject({
      services: { one: { processes: expect.any(Number), memoryBytes: expect.any(Number) } },
    });
    const shell = await (await call("POST", "/v3/apps/1/services/one/exec", 201, { tty: true })).json();
    const exec = `/v3/exec/${z.object({ id: z.string() }).parse(shell).id}`;
    await call("POST", `${exec}/resize`, 204, { columns: 100, rows: 30 });
    await call("POST", `${exec}/input`, 204, { data: Buffer.from("echo $BALENA_SERVICE_NAME\r").toString("base64") });
    await call("POST", `${exec}/input`, 204, { data: Buffer.from("exit 4\r").toString("base64") });
    expect(await (await call("GET", `${exec}/output`, 200)).text()).toContain('{"exitCode":4}');
    const second = await (await call("POST", "/v3/apps/1/services/one/exec", 201, {})).json();
    await call("DELETE", `/v3/exec/${z.object({ id: z.string() }).parse(second).id}`, 204);
    expect(await (await call("GET", "/docs", 200)).text()).toContain("<!doctype html>");
    expect(await (await call("GET", "/docs/errors", 200)).text()).toContain('id="locked"');
    expect(await (await call("GET", "/openapi.json", 200)).json()).toMatchObject({ openapi: "3.1.0" });
    expect(await (await call("GET", "/metrics?collect=containers", 200)).text()).toMatch(
      /^fairlead_service_memory_used_bytes\{app_id="1",service="one"\} \d+$/m,
    );
    expect(await (await call("GET", "/v3/metrics?collect=containers", 200)).json()).toMatchObject({
      services: [{ service: "one", state: "running", use: { memoryBytes: expect.any(Number) } }],
    });
    expect(await (await call("GET", "/v3/problems", 200)).json()).toEqual({ problems: [] });
    const lease = { appId: 1, service: "one", reason: "firmware upload", ttl: 60 };
    const { id: leaseId } = Leased.parse(await (await call("POST", "/v3/locks", 201, lease)).json());
    // The key of the service names its owner.
    expect(await (await call("GET", "/v3/locks", 200)).json()).toMatchObject({
      locks: [{ id: leaseId, appId: 1, service: "one", owner: "one", held: "lease" }],
    });
    await call("PUT", `/v3/locks/${leaseId}`, 200, { ttl: 120 });
    await call("DELETE", `/v3/locks/${leaseId}`, 204);
    const state: unknown = await (await call("GET", "/v2/local/target-state", 200)).json();
    expect(await (await call("POST", "/v3/apps/1/plan", 200, Shown.parse(state).state)).json()).toMatchObject({
      services: [{ service: "one", action: "keep" }],
    });
    await call("POST", "/v2/local/target-state", 200, Shown.parse(state).state);
    await call("GET", "/v3/apps/1/plan", 200);
    const compose = "services: { two: { image: two:1 } }";
    expect(await (await call("POST", "/v3/target/compose", 200, { compose, project: "more" })).json()).toMatchObject({
      target: { local: { apps: { "1": {} } } },
    });
    expect(await (await call("GET", "/v3/apps/1/history", 200)).json()).toMatchObject({
      history: expect.arrayContaining([expect.objectContaining({ service: "one", what: "created" })]),
    });
    expect(await (await call("GET", "/v3/events", 200)).json()).toMatchObject({
      events: expect.arrayContaining([expect.objectContaining({ service: "one", kind: "serviceStarted" })]),
    });
    await (await call("GET", "/v3/stream", 200)).body?.cancel();
    expect(await (await call("GET", "/v3/apps/1/update", 200)).json()).toMatchObject({ state: "steady" });
    // In local mode, no update is tried: test/api/update.test.ts decides about some.
    await call("POST", "/v3/apps/1/update/fail", 409, { reason: "a test" });
    for (const decision of ["confirm", "apply", "retry", "rollback"])
      await call("POST", `/v3/apps/1/update/${decision}`, 409, {});
    const logs = (await call("GET", "/v2/local/logs", 200)).body?.getReader();
    expect(Buffer.from((await logs?.read())?.value ?? []).toString()).toContain("Streaming logs");
    await logs?.cancel();
    await (await call("POST", "/v2/journal-logs", isMissing(journal) ? 501 : 200, { count: 1 })).body?.cancel();
    await call("GET", "/v1/device/host-config", 200);
    await call("PATCH", "/v1/device/host-config", 200, { network: {} });
    await call("POST", "/v1/blink", 200);
    await call("POST", "/v1/update", 204, {});
    // The agent must have no way to shut down the machine that runs the tests.
    expect(isMissing(power)).toBe(true);
    for (const how of ["reboot", "shutdown"]) await call("POST", `/v1/${how}`, 501, {});

    await call("POST", "/v1/apps/1/stop", 200, {});
    expect((await inspect(id)).State.Running).toBe(false);
    await call("POST", "/v1/apps/1/start", 200, {});
    await call("POST", "/v2/applications/1/stop-service", 200, { serviceName: "one" });
    expect((await inspect(id)).State.Running).toBe(false);
    await call("POST", "/v2/applications/1/start-service", 200, { imageId: 1 });
    expect((await inspect(id)).State.Running).toBe(true);
    const replacing: [string, object][] = [
      ["/v2/applications/1/restart-service", { serviceName: "one" }],
      ["/v1/restart", { appId: 1 }],
      ["/v1/purge", { appId: 1 }],
      ["/v2/applications/1/restart", {}],
      ["/v2/applications/1/purge", {}],
    ];
    for (const [path, body] of replacing) {
      const { one: before } = await agent.settled();
      await call("POST", path, 200, body);
      expect((await agent.settled())["one"]).not.toBe(before);
    }
    const headers = { prefer: "respond-async", "idempotency-key": '"restart once"' };
    const begin = async () => (await call("POST", "/v1/restart", 202, { appId: 1 }, headers)).json();
    const { one: before } = await agent.settled();
    const begun: unknown = await begin();
    const { id: operation } = Begun.parse(begun);
    expect(await (await call("GET", `/v3/operations/${operation}?wait=45`, 200)).json()).toMatchObject({
      state: "done",
      answer: { status: 200, body: "OK" },
    });
    const { one: after } = await agent.settled();
    expect([after === before, await begin(), (await agent.settled())["one"] === after]).toEqual([false, begun, true]);
    await call("GET", "/v3/operations", 200);
    await call("DELETE", `/v3/operations/${operation}`, 409);
    const fresh = await (await call("POST", "/v1/regenerate-api-key", 200)).text();
    expect(fresh).toMatch(/^[0-9a-f]{32,}$/);
    expect(fresh).not.toBe(key);
    // As recorded: the service gets the new key with the next update.
    await call("POST", "/v1/update", 204, {});
    expect(await environmentOf((await agent.settled())["one"])).toMatchObject({ BALENA_SUPERVISOR_API_KEY: fresh });

    expect([...called].sort()).toEqual(
      Object.values(endpoints)
        .map(({ method, path }) => `${method} ${path}`)
        .sort(),
    );
  });
});
