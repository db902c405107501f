import { describe, expect, test } from "vitest";
import { EmbeddedEngine } from "../../core/embedded/engine.ts";
import { MemoryStore } from "../../core/embedded/ports.ts";
import { systemClock } from "../../core/ports/clock.ts";
import { EngineError } from "../../core/ports/engine.ts";
import { app, testDevice, type TestDevice } from "../support/device.ts";
import { failed, json, locked, ok, seen, text, unauthorized } from "./answers.ts";
import { twoApps } from "./managed.ts";

const appNotFound = "App not found: an app needs to be installed for this endpoint to work.";
const noService =
  "serviceName or imageId parameters were not provided or the app is multi-container. Use the v2 service action endpoints.";
const serviceNotFound = "Service not found, a container must exist for this endpoint to work";

class StubbornEngine extends EmbeddedEngine {
  refuses = false;
  override startContainer(id: string): Promise<void> {
    return this.refuses ? Promise.reject(new EngineError("no space left on device", 500)) : super.startContainer(id);
  }
  override stopContainer(id: string): Promise<void> {
    return this.refuses ? Promise.reject(new EngineError("tried to kill container", 500)) : super.stopContainer(id);
  }
}

/** A device whose engine can be made to fail. */
async function stubbornDevice() {
  const engine = new StubbornEngine({ clock: systemClock, pullMs: 3, stopMs: 1 });
  return { engine, device: await testDevice({ ports: { engine } }) };
}

const v1 = (action: string, appId: unknown = 1) => `/v1/apps/${String(appId)}/${action}`;
const v2 = (action: string, appId: unknown = 1) => `/v2/applications/${String(appId)}/${action}-service`;

const state = async (device: TestDevice, service: string) => (await device.container(service)).state;

describe("POST /v1/apps/:appId/stop and …/start", () => {
  test("stop the only container, start it again, and answer its id", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    const { id } = await device.container("one");
    expect(seen(await device.post(v1("stop")))).toEqual(json(200, { containerId: id }));
    expect(await device.container("one")).toMatchObject({ id, state: "exited" });
    expect(seen(await device.post(v1("start"), {}))).toEqual(json(200, { containerId: id }));
    expect(await device.container("one")).toMatchObject({ id, state: "running" });
  });

  test("change nothing if the container is already stopped or running", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    const { id, startedAt } = await device.container("one");
    const same = json(200, { containerId: id });
    expect(seen(await device.post(v1("start")))).toEqual(same);
    expect((await device.container("one")).startedAt).toBe(startedAt);
    expect(seen(await device.post(v1("stop")))).toEqual(same);
    expect(seen(await device.post(v1("stop")))).toEqual(same);
  });

  test.each(["abc", "1.5", "1abc"])("refuse the id %s", async (id) => {
    const device = await testDevice();
    expect(seen(await device.post(v1("stop", id)))).toEqual(text(400, "Invalid app id"));
    expect(seen(await device.post(v1("start", id)))).toEqual(text(400, "Invalid app id"));
  });

  test.each([0, -1, 2])("answer that application %i does not exist", async (id) => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    expect(seen(await device.post(v1("stop", id)))).toEqual(text(400, appNotFound));
    expect(seen(await device.post(v1("start", id)))).toEqual(text(400, appNotFound));
  });

  test("refuse applications with several containers, whatever service is named", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {}, two: {} }) });
    expect(seen(await device.post(v1("stop"), { serviceName: "one" }))).toEqual(text(400, noService));
    expect(seen(await device.post(v1("start"), { serviceName: "one" }))).toEqual(text(400, noService));
    expect(await state(device, "one")).toBe("running");
  });

  test("accept the application's own keys and the global key", async () => {
    const device = await twoApps();
    const [own, other] = [await device.keyOf(1, "web"), await device.keyOf(2, "db")];
    for (const action of ["stop", "start"]) {
      expect(seen(await device.post(v1(action), {}, other))).toEqual(unauthorized);
      expect((await device.post(v1(action), {}, own)).status).toBe(200);
      expect((await device.post(v1(action), {}, device.globalKey())).status).toBe(200);
    }
  });

  test("pass on the engine's error", async () => {
    const { engine, device } = await stubbornDevice();
    await device.run({ "1": app({ one: {} }) });
    engine.refuses = true;
    expect(seen(await device.post(v1("stop")))).toEqual(failed(503, "tried to kill container"));
    expect(seen(await device.post(v1("start")))).toEqual(failed(503, "no space left on device"));
  });
});

describe("a stop", () => {
  test("stays in effect while other services change and when the same target state is set again", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {}, two: {} }) });
    await device.post(v2("stop"), { serviceName: "one" });
    await device.run({ "1": app({ one: {}, two: {} }) });
    await device.run({ "1": app({ one: {}, two: { environment: { A: "1" } } }) });
    expect(await state(device, "one")).toBe("exited");
    expect(await state(device, "two")).toBe("running");
  });

  test("by another client of the engine stays in effect too", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    await device.engine.stopContainer((await device.container("one")).id);
    await device.run({ "1": app({ one: {} }) });
    expect(await state(device, "one")).toBe("exited");
  });

  test("ends when the agent starts again", async () => {
    const store = new MemoryStore();
    const device = await testDevice({ ports: { store } });
    await device.run({ "1": app({ one: {} }) });
    const { id } = await device.container("one");
    await device.post(v1("stop"));
    device.stop();

    const next = await testDevice({ ports: { store, engine: device.engine } });
    await next.settled();
    expect(await device.container("one")).toMatchObject({ id, state: "running" });
  });
});

describe("a service with `running: false` in the target state", () => {
  const resting = async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: { running: false } }) });
    return device;
  };

  test.each([
    ["v1 start", v1("start"), {}],
    ["start-service", v2("start"), { serviceName: "one" }],
  ])("is not started by %s", async (_, path, body) => {
    const device = await resting();
    const { id } = await device.container("one");
    expect((await device.post(path, body)).status).toBe(200);
    await device.settled();
    expect(await device.container("one")).toMatchObject({ id, state: "created", startedAt: 0 });
    expect(device.log.lines).toContain("Not starting service 'one': the target state says `running: false`");
  });

  test.each([
    ["restart-service", v2("restart"), { serviceName: "one" }],
    ["restart", "/v2/applications/1/restart", {}],
    ["purge", "/v2/applications/1/purge", {}],
  ])("is created again by %s, and not started", async (_, path, body) => {
    const device = await resting();
    const { id } = await device.container("one");
    expect(seen(await device.post(path, body))).toEqual(ok);
    await device.settled();
    const made = await device.container("one");
    expect(made.id).not.toBe(id);
    expect(made).toMatchObject({ state: "created", startedAt: 0 });
  });

  test("is stopped again if somebody starts its container on the engine", async () => {
    const device = await resting();
    await device.engine.startContainer((await device.container("one")).id);
    await device.settled();
    expect(await state(device, "one")).toBe("exited");
  });

  test("is started when the target state has `running: true`", async () => {
    const device = await resting();
    await device.post(v2("start"), { serviceName: "one" });
    await device.run({ "1": app({ one: {} }) });
    expect(await state(device, "one")).toBe("running");
  });
});

describe("POST /v2/applications/:appId/…-service", () => {
  test("stop-service stops only the named service", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {}, two: {} }) });
    expect(seen(await device.post(v2("stop"), { serviceName: "two" }))).toEqual(ok);
    expect(await state(device, "one")).toBe("running");
    expect(await state(device, "two")).toBe("exited");
  });

  test("start-service starts it again, with the same container", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {}, two: {} }) });
    const { id } = await device.container("two");
    await device.post(v2("stop"), { serviceName: "two" });
    expect(seen(await device.post(v2("start"), { serviceName: "two" }))).toEqual(ok);
    expect(await device.container("two")).toMatchObject({ id, state: "running" });
  });

  test("restart-service creates its container again, and no other", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {}, two: {} }) });
    const [one, two] = [await device.container("one"), await device.container("two")];
    expect(seen(await device.post(v2("restart"), { serviceName: "two" }))).toEqual(ok);
    expect((await device.container("one")).id).toBe(one.id);
    expect((await device.container("two")).id).not.toBe(two.id);
    expect(await state(device, "two")).toBe("running");
  });

  test("restart-service during the download of an update creates the running container again", async () => {
    const device = await testDevice({ pullMs: 1e9 });
    device.engine.addImage("one:latest");
    await device.run({ "1": app({ one: {} }) });
    const { id, spec } = await device.container("one");
    await device.post("/v2/local/target-state", { local: { apps: { "1": app({ one: { image: "one:2" } }) } } });
    await device.supervisor.loop.look();
    expect(seen(await device.post(v2("restart"), { serviceName: "one" }))).toEqual(ok);
    const after = await device.container("one");
    expect(after.id).not.toBe(id);
    expect(after).toMatchObject({ state: "running", spec: { image: spec.image } });
  });

  test("restart-service starts a stopped service", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    await device.post(v2("stop"), { serviceName: "one" });
    expect(seen(await device.post(v2("restart"), { serviceName: "one" }))).toEqual(ok);
    expect(await state(device, "one")).toBe("running");
  });

  test.each([
    [{ serviceName: "two" }],
    [{ imageId: 2 }],
    [{ imageId: "2" }],
    [{ serviceName: "two", imageId: 2 }],
    [{ serviceName: "two", imageId: 999 }],
    [{ serviceName: null, imageId: 2 }],
  ])("%j names service two, whose image is 2", async (body) => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {}, two: {} }) });
    expect(seen(await device.post(v2("stop"), body))).toEqual(ok);
    expect(await state(device, "one")).toBe("running");
    expect(await state(device, "two")).toBe("exited");
  });

  test.each([[{ serviceName: "nope" }], [{ imageId: 999 }]])("%j selects the only service", async (body) => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    for (const action of ["stop", "start", "restart"]) expect(seen(await device.post(v2(action), body))).toEqual(ok);
  });

  test.each([[{ serviceName: "nope" }], [{ imageId: 999 }]])("%j is not found among several services", async (body) => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {}, two: {} }) });
    for (const action of ["stop", "start", "restart"])
      expect(seen(await device.post(v2(action), body))).toEqual(text(404, serviceNotFound));
  });

  test("a service whose container was removed still counts as a second service", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {}, two: {} }) });
    const [one, two] = [await device.container("one"), await device.container("two")];
    await device.engine.stopContainer(two.id);
    await device.engine.removeContainer(two.id);
    await device.post(v2("restart"), { serviceName: "two" });
    await device.settled();
    expect(await device.container("one")).toMatchObject({ id: one.id, state: "running" });
    expect(await state(device, "two")).toBe("running");
  });

  test.each([undefined, {}, { force: true }, { serviceName: "" }, { serviceName: null, imageId: null }])(
    "%j names no service, not even the only one",
    async (body) => {
      const device = await testDevice();
      await device.run({ "1": app({ one: {} }) });
      for (const action of ["stop", "start", "restart"])
        expect(seen(await device.post(v2(action), body))).toEqual(text(400, noService));
    },
  );

  test.each([2, -1])("application %i is not found", async (id) => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    for (const action of ["stop", "start", "restart"])
      expect(seen(await device.post(v2(action, id), { serviceName: "one" }))).toEqual(text(404, appNotFound));
  });

  test.each(["abc", "0", "1.5", "1abc"])("the id %s is refused", async (id) => {
    const device = await testDevice();
    for (const action of ["stop", "start", "restart"])
      expect(seen(await device.post(v2(action, id), { serviceName: "one" }))).toEqual(failed(400, "Invalid app id"));
  });

  test("they accept the application's own keys and the global key", async () => {
    const device = await twoApps();
    const [own, other] = [await device.keyOf(1, "web"), await device.keyOf(2, "db")];
    const body = { serviceName: "web" };
    for (const action of ["stop", "start", "restart"]) {
      expect(seen(await device.post(v2(action), body, other))).toEqual(failed(401, "Unauthorized"));
      expect(seen(await device.post(v2(action), body, own))).toEqual(ok);
      expect(seen(await device.post(v2(action), body, device.globalKey()))).toEqual(ok);
    }
  });

  test.each([
    ["stop", "tried to kill container"],
    ["start", "no space left on device"],
    ["restart", "tried to kill container"],
  ])("%s-service passes on the engine's error", async (action, message) => {
    const { engine, device } = await stubbornDevice();
    await device.run({ "1": app({ one: {} }) });
    engine.refuses = true;
    expect(seen(await device.post(v2(action), { serviceName: "one" }))).toEqual(failed(503, message));
  });
});

describe("update locks", () => {
  const blocked = [v1("stop"), v2("stop"), v2("restart")];
  const body = { serviceName: "one" };

  test.each(blocked)("POST %s is refused while the service holds its lock", async (path) => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    const { id } = await device.container("one");
    device.folders.lock(1, "one");
    expect(seen(await device.post(path, body))).toEqual(locked(1, "one"));
    expect(seen(await device.post(path, { ...body, force: false }))).toEqual(locked(1, "one"));
    expect(await device.container("one")).toMatchObject({ id, state: "running" });
  });

  test.each(blocked)("POST %s with force overrides the lock", async (path) => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    device.folders.lock(1, "one");
    expect((await device.post(path, { ...body, force: true })).status).toBe(200);
    expect(device.folders.isLocked(1, "one")).toBe(false);
  });

  test.each([v2("stop"), v2("restart")])("POST %s is refused for a lock of another service too", async (path) => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {}, two: {} }) });
    device.folders.lock(1, "two");
    expect(seen(await device.post(path, body))).toEqual(locked(1, "two"));
  });

  test.each([v1("start"), v2("start")])("POST %s needs no lock", async (path) => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    await device.post(v1("stop"));
    device.folders.lock(1, "one");
    expect((await device.post(path, body)).status).toBe(200);
    expect(await state(device, "one")).toBe("running");
    expect(device.folders.isLocked(1, "one")).toBe(true);
  });
});

describe("GET /v2/containerId", () => {
  test("gives the container id of each service, or of one", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }), "2": app({ two: {} }, { name: "other" }) });
    const [one, two] = [await device.container("one"), await device.container("two")];
    expect(seen(await device.get("/v2/containerId"))).toEqual(
      json(200, { status: "success", services: { one: one.id, two: two.id } }),
    );
    const onlyTwo = json(200, { status: "success", containerId: two.id });
    expect(seen(await device.get("/v2/containerId?service=two"))).toEqual(onlyTwo);
    expect(seen(await device.get("/v2/containerId?serviceName=two"))).toEqual(onlyTwo);
  });

  test("finds no service on an empty device", async () => {
    const device = await testDevice();
    expect(seen(await device.get("/v2/containerId"))).toEqual(json(200, { status: "success", services: {} }));
    for (const query of ["service=one", "serviceName=one"])
      expect(seen(await device.get(`/v2/containerId?${query}`))).toEqual(
        failed(503, "Could not find service with that name"),
      );
  });

  test("shows only containers in the key's scope", async () => {
    const device = await twoApps();
    const key = await device.keyOf(1, "web");
    const { id } = await device.container("web");
    expect(seen(await device.get("/v2/containerId", key))).toEqual(
      json(200, { status: "success", services: { web: id } }),
    );
    expect(seen(await device.get("/v2/containerId?service=db", key))).toEqual(
      failed(503, "Could not find service with that name"),
    );
  });
});
