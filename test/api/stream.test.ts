import { describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { endpoints } from "../../core/api/index.ts";
import { systemClock } from "../../core/ports/clock.ts";
import { mostLiveReaders } from "../../core/events/live-streams.ts";
import { keptEvents } from "../../core/ports/event-journal.ts";
import { app, testDevice, type TestDevice } from "../support/device.ts";
import { UnpluggedEngine } from "../support/unplugged-engine.ts";
import { refused, seen } from "./answers.ts";
import { cloudApp, twoApps } from "./managed.ts";

const Line = z.looseObject({ is: z.string() });
type Line = z.output<typeof Line>;

/** A reader of `GET /v3/stream`. Each line has the declared form. */
async function open(device: TestDevice, query = "", headers = {}) {
  const response = await device.fetch(new Request(`http://device/v3/stream${query}`, { headers }));
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/x-ndjson"]);
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!reader) throw new Error("no body");
  onTestFinished(() => reader.cancel());
  const declared = endpoints.stream.replies[200].schema;
  let text = "";
  const next = async (): Promise<Line> => {
    while (!text.includes("\n")) {
      const { value, done } = await reader.read();
      if (done) throw new Error("The stream has ended");
      text += value;
    }
    const end = text.indexOf("\n");
    const line = text.slice(0, end);
    text = text.slice(end + 1);
    if (line === "") return next();
    declared?.parse(JSON.parse(line));
    return Line.parse(JSON.parse(line));
  };
  return {
    next,
    cancel: () => reader.cancel(),
    /** The next line that fits. */
    until: async (fits: (line: Line) => boolean): Promise<Line> => {
      for (;;) {
        const line = await next();
        if (fits(line)) return line;
      }
    },
  };
}

const isEvent = (kind: string) => (line: Line) => line.is === "event" && line["kind"] === kind;

describe("GET /v3/stream", () => {
  test("says under which ports others reach a service while it runs", async () => {
    const device = await testDevice();
    const ports = ["8080:80", "127.0.0.1:81:81", "53:53/udp", "90-91:90-91", "80"];
    await device.run({ "1": app({ web: { ports }, db: {} }, { name: "shop" }) });
    const { next, until } = await open(device);
    await next();
    const { apps } = z
      .object({
        apps: z.array(
          z.object({ services: z.record(z.string(), z.object({ ports: z.array(z.number()).optional() })) }),
        ),
      })
      .parse(await next());
    expect(apps[0]?.services).toEqual({ web: { ports: [90, 91, 8080] }, db: {} });
    await device.post("/v2/applications/1/stop-service", { serviceName: "web" });
    await until(
      ({ is, apps: now }) =>
        is === "state" && JSON.stringify(now).includes('"exitCode"') && !/"ports"/.test(JSON.stringify(now)),
    );
  });

  test("begins with the device and the whole state, and goes on with what happens", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ web: {} }, { name: "shop" }) });
    const { next, until } = await open(device);
    expect(await next()).toMatchObject({
      ...{ is: "hello", bootId: "boot", uuid: device.supervisor.identity.uuid, after: expect.any(Number) },
      lacks: { journal: "There is no journal in memory" },
      bootedAt: "1970-01-01T00:00:00.000Z",
    });
    expect(await next()).toMatchObject({
      ...{ is: "state", settled: true, problems: [] },
      apps: [{ appId: 1, name: "shop", services: { web: { status: "Running", startedAt: expect.any(String) } } }],
    });
    expect(await until(({ is }) => is === "metrics")).toMatchObject({ memoryTotalMb: 1024 });
    await device.run({ "1": app({ web: {}, db: {} }, { name: "shop" }) });
    expect(await until(isEvent("serviceStarted"))).toMatchObject({ service: "db", app: 1, why: [] });
    expect(await until(({ is, settled }) => is === "state" && settled === true)).toMatchObject({
      apps: [{ services: { web: { status: "Running" }, db: { status: "Running" } } }],
    });
  });

  test("says that the engine does not answer, and since when, also to readers that come meanwhile", async () => {
    const engine = new UnpluggedEngine({ clock: systemClock });
    const device = await testDevice({ ports: { engine }, identity: { isSimulated: true } });
    await device.run({ "1": app({ web: {} }, { name: "shop" }) });
    const first = await open(device, "?state");
    expect(await first.next()).toMatchObject({ is: "hello", simulated: true });
    expect(await first.next()).not.toHaveProperty("engine");
    engine.isAway = true;
    device.supervisor.loop.trigger();
    const trouble = { unreachableSince: expect.any(String), why: expect.stringContaining("ENOENT") };
    const isAway = ({ is, engine: state }: Line) => is === "state" && state !== undefined;
    expect(await first.until(isAway)).toMatchObject({ engine: trouble });
    const second = await open(device, "?state&logs=10");
    expect(await second.until(isAway)).toMatchObject({
      engine: trouble,
      apps: [{ services: { web: { status: "Running" } } }],
    });
    engine.isAway = false;
    expect(await first.until(({ is, engine: state }) => is === "state" && state === undefined)).toMatchObject({
      apps: [{ name: "shop" }],
    });
  });

  test("during a hand-over, shows the run of the new container", async () => {
    const device = await testDevice();
    const labels = { "io.balena.update.strategy": "hand-over" };
    await device.run({ "1": app({ web: { image: "web:1", labels } }) });
    const { until } = await open(device, "?state");
    const apps = { "1": app({ web: { image: "web:2", labels } }, { commit: "c2" }) };
    await device.post("/v2/local/target-state", { local: { name: "device", config: {}, apps } });
    const during = await until(
      ({ is, apps: shown }) => is === "state" && /Awaiting handover/.test(JSON.stringify(shown)),
    );
    const runs = (await device.engine.look()).containers.map(({ startedAt }) => new Date(startedAt).toISOString());
    expect(runs).toHaveLength(2);
    expect(runs[0]).not.toBe(runs[1]);
    expect(during).toMatchObject({ settled: false, apps: [{ services: { web: { startedAt: runs[1] } } }] });
  });

  test("has what is asked for, and events after a cursor", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ web: {} }) });
    const { next } = await open(device, "?events&after=2&kinds=serviceStarted,serviceInstalled");
    expect(await next()).toMatchObject({ is: "hello", after: 2 });
    expect([await next(), await next()]).toMatchObject([
      { is: "event", kind: "serviceInstalled" },
      { is: "event", kind: "serviceStarted" },
    ]);
  });

  test("has the services' log lines, also on a device of a cloud", async () => {
    const device = await twoApps({ program: ({ service }) => ({ lines: [`${service} says hello`] }) });
    const { next, until } = await open(device, "?logs=10&app=1", device.globalKey());
    expect(await next()).toMatchObject({ is: "hello" });
    expect(await next()).toMatchObject({ is: "log", service: "web", appId: 1, message: "web says hello" });
    device.engine.write((await device.container("db")).id, "not of this application");
    device.engine.write((await device.container("web")).id, "one more");
    expect(await next()).toMatchObject({ is: "log", message: "one more" });
    await device.runCloud({ aaaa: cloudApp(1, "first", { web: { image: "web:2" } }) });
    expect(await until(({ message }) => message === "web says hello")).toMatchObject({ service: "web" });
  });

  test("sends the state at most four times in a second, and the last one always", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ web: {} }) });
    const { until } = await open(device, "?state");
    const begin = performance.now();
    let states = 0;
    const last = until(({ is, apps }) => {
      if (is === "state") states++;
      return JSON.stringify([apps]).includes("web:20");
    });
    for (let n = 1; n <= 20; n++) await device.run({ "1": app({ web: { image: `web:${n}` } }) });
    await last;
    // The first one is sent at once, and one may be due at each end.
    expect(states).toBeLessThanOrEqual(3 + (performance.now() - begin) / 250);
  });

  test("a reader that takes nothing learns which events it has lost, and gets the newest state once", async () => {
    const device = await testDevice();
    const { next, until } = await open(device, "?state&events");
    expect(await next()).toMatchObject({ is: "hello", after: 0 });
    const count = 4 * keptEvents;
    for (let n = 0; n < count; n++) {
      device.supervisor.events.emit({ kind: "purging", appId: n + 1 });
      if (n % 500 === 0) await device.supervisor.events.settle();
    }
    await device.supervisor.events.settle();
    let last = 0;
    let lost = 0;
    let states = 0;
    while (last < count) {
      const line = await until(({ is }) => ["event", "lost", "state"].includes(is));
      if (line.is === "state") states++;
      if (line.is === "state") continue;
      const {
        id,
        after,
        before,
        count: missing,
      } = z
        .looseObject({
          id: z.int().optional(),
          after: z.int().optional(),
          before: z.int().optional(),
          count: z.int().optional(),
        })
        .parse(line);
      if (id === undefined) {
        expect(after).toBe(last);
        lost += missing ?? 0;
        last = (before ?? 0) - 1;
      } else expect(id).toBe(++last);
    }
    expect(lost).toBeGreaterThan(0);
    expect(states).toBeLessThanOrEqual(2);
  });

  test("a service sees its own application only", async () => {
    const device = await twoApps();
    const { until } = await open(device, "?state&events&after=0", await device.keyOf(1, "web"));
    expect(await until(({ is }) => is === "state")).toMatchObject({ apps: [{ appId: 1 }] });
    device.supervisor.events.emit({ kind: "purging", appId: 2 });
    device.supervisor.events.emit({ kind: "rebooting" });
    device.supervisor.events.emit({ kind: "purging", appId: 1 });
    const of: unknown[] = [];
    await until((line) => {
      if (line.is === "event") of.push(line["app"]);
      return isEvent("purging")(line);
    });
    expect(new Set(of)).toEqual(new Set([1]));
    const other = await device.get("/v3/stream?app=2", await device.keyOf(1, "web"));
    expect(seen(other)).toEqual(refused("outside-scope", expect.any(String)));
  });

  test(`more than ${mostLiveReaders} readers are refused, until one has left`, async () => {
    const device = await testDevice();
    const [first] = await Promise.all(Array.from({ length: mostLiveReaders }, () => open(device)));
    const message = `The stream has ${mostLiveReaders} readers already; try again when one of them has left`;
    expect(seen(await device.get("/v3/stream"))).toEqual(refused("busy", message));
    await first?.cancel();
    await open(device);
  });

  test.each([
    ["?logs=many", 'logs: expected a number of lines, or "all"'],
    ["?events&after=now", 'after: expected the id of an event, or "latest"'],
  ])("%s is refused with what was expected", async (query, message) => {
    const device = await testDevice();
    expect(seen(await device.get(`/v3/stream${query}`))).toEqual(
      refused("invalid-request", message, expect.any(Array)),
    );
  });

  test("a reader of an idle device makes it neither write nor call the engine", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ web: {} }) });
    const { next } = await open(device);
    for (let n = 0; n < 3; n++) await next();
    const calls: string[] = [];
    const { ports } = device.supervisor;
    for (const [name, port] of Object.entries({
      engine: ports.engine,
      store: ports.store,
      journal: ports.eventJournal,
    }))
      for (const call of ["look", "append", "write"])
        if (call in port) {
          const own: unknown = Reflect.get(port, call);
          Reflect.set(port, call, (...given: unknown[]) => {
            calls.push(`${name}.${call}`);
            return typeof own === "function" ? Reflect.apply(own, port, given) : undefined;
          });
        }
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(calls).toEqual([]);
    // The calls are counted.
    await device.run({ "1": app({ web: {}, db: {} }) });
    expect(calls).toContain("engine.look");
  });
});
