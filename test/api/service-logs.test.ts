import { expect, onTestFinished, test } from "vitest";
import { app, testDevice, type TestDevice } from "../support/device.ts";
import { refused, seen } from "./answers.ts";
import { cloudApp, twoApps } from "./managed.ts";

interface Line {
  readonly appId: number;
  readonly service: string;
  readonly message: string;
}

const parse = (text: string): Line[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));

const read = async (device: TestDevice, query = "", headers = {}) =>
  parse((await device.get(`/v3/logs${query}`, headers)).text).map(({ service, message }) => `${service}: ${message}`);

/** A reader of `GET /v3/logs?follow=true`. */
async function follow(device: TestDevice, query = "", headers = {}) {
  const response = await device.fetch(new Request(`http://device/v3/logs?follow=true${query}`, { headers }));
  const reader = response.body?.getReader();
  if (!reader) throw new Error("no body");
  onTestFinished(() => reader.cancel());
  let text = "";
  return {
    reader,
    /** All lines up to one with this message. */
    until: async (message: string) => {
      while (!text.includes(`"message":${JSON.stringify(message)}`)) {
        const { value, done } = await reader.read();
        if (done) throw new Error(`The stream has ended: ${text}`);
        text += new TextDecoder().decode(value);
      }
      return parse(text).map(({ service, message: said }) => `${service}: ${said}`);
    },
  };
}

const program = ({ service }: { readonly service: string }) => ({ lines: [`${service} says hello`] });

async function twoServices(): Promise<TestDevice> {
  const device = await testDevice({ program });
  await device.run({ "1": app({ web: {}, db: {} }) });
  return device;
}

test("the last lines of each service are answered, in the order of their times", async () => {
  const device = await twoServices();
  const [web, db] = [await device.container("web"), await device.container("db")];
  for (const [id, message] of [
    [web.id, "first"],
    [db.id, "second"],
    [web.id, "third"],
  ] as const) {
    device.engine.write(id, message);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  expect((await read(device)).slice(-3)).toEqual(["web: first", "db: second", "web: third"]);
  expect(await read(device, "?tail=1")).toEqual(["db: second", "web: third"]);
  expect(await read(device, "?tail=0")).toEqual([]);
  expect(await read(device, "?service=db&tail=all")).toEqual(["db: db says hello", "db: second"]);
});

test("a line says when it was written, by which service, and where to", async () => {
  const device = await twoServices();
  const { id } = await device.container("web");
  device.engine.write(id, "oh no", true);
  const { text, headers } = await device.get("/v3/logs?service=web&tail=1");
  expect(headers.get("content-type")).toBe("application/x-ndjson");
  expect(parse(text)).toEqual([
    { timestamp: expect.any(Number), appId: 1, service: "web", isStdErr: true, message: "oh no" },
  ]);
});

test("the log of a service that has ended can be read", async () => {
  const device = await twoServices();
  await device.post("/v2/applications/1/stop-service", { serviceName: "web" });
  expect(await read(device, "?service=web")).toEqual(["web: web says hello"]);
});

test("lines since a time are answered, however the time is written", async () => {
  const device = await twoServices();
  const before = new Date(Date.now() - 60_000).toISOString();
  const after = new Date(Date.now() + 60_000).toISOString();
  expect(await read(device, `?service=web&since=${before}`)).toHaveLength(1);
  expect(await read(device, "?service=web&since=5m")).toHaveLength(1);
  expect(await read(device, `?service=web&since=${after}`)).toEqual([]);
  expect(await read(device, `?service=web&since=${Date.now() / 1000 + 60}`)).toEqual([]);
});

test.each([
  ["?tail=-1", 'tail: expected a number of lines, or "all"'],
  ["?tail=many", 'tail: expected a number of lines, or "all"'],
  [
    "?since=yesterday",
    'since: expected a time such as "2026-11-23T20:00:00Z", seconds since 1970, or "10m" for ten minutes ago',
  ],
])("%s is refused with what was expected", async (query, message) => {
  const device = await twoServices();
  expect(seen(await device.get(`/v3/logs${query}`))).toEqual(refused("invalid-request", message, expect.any(Array)));
});

test.each([
  ["?service=wbe", 'There is no container of a service "wbe"; there are containers of: db, web'],
  ["?appId=2", "There is no container of application 2; there are containers of: db, web"],
])("%s is answered 404 with what there is", async (query, message) => {
  const device = await twoServices();
  expect(seen(await device.get(`/v3/logs${query}`))).toEqual(refused("unknown-service", message));
});

test("followed, new lines arrive, also of a container that is made later", async () => {
  const device = await twoServices();
  const { until } = await follow(device);
  device.engine.write((await device.container("web")).id, "one more");
  expect(await until("one more")).toEqual(expect.arrayContaining(["web: web says hello", "db: db says hello"]));
  await device.run({ "1": app({ web: {}, db: {}, late: {} }) });
  expect((await until("late says hello")).at(-1)).toBe("late: late says hello");
});

test("followed across a restart of the container, each line arrives once", async () => {
  const device = await twoServices();
  const { until } = await follow(device, "&service=web");
  await until("web says hello");
  await device.post("/v2/applications/1/stop-service", { serviceName: "web" });
  await device.post("/v2/applications/1/start-service", { serviceName: "web" });
  await device.settled();
  device.engine.write((await device.container("web")).id, "again");
  expect(await until("again")).toEqual(["web: web says hello", "web: web says hello", "web: again"]);
});

test("in managed mode, a key reads the logs of its own application", async () => {
  const device = await twoApps({ program });
  expect(await read(device, "", device.globalKey())).toHaveLength(2);
  const key = await device.keyOf(1, "web");
  expect(await read(device, "", key)).toEqual(["web: web says hello"]);
  expect(seen(await device.get("/v3/logs?appId=2", key))).toEqual(
    refused("outside-scope", "This key is for another application"),
  );
  expect((await device.get("/v3/logs?service=db", key)).status).toBe(404);

  const { until } = await follow(device, "", key);
  await device.runCloud({
    aaaa: cloudApp(1, "first", { web: {}, more: {} }),
    bbbb: cloudApp(2, "second", { db: {}, other: {} }),
  });
  expect(await until("more says hello")).toEqual(["web: web says hello", "more: more says hello"]);
});

test("a reader that pauses holds the engine's log back, and misses no line", async () => {
  const device = await testDevice({ program });
  await device.run({ "1": app({ web: {} }) });
  const { id } = await device.container("web");
  const { logs } = device.engine;
  let given = 0;
  device.engine.logs = async function* (...parameters) {
    for await (const line of logs.apply(device.engine, parameters)) yield* [line];
    for (let n = 0; n < 5000; n++) {
      given++;
      yield { message: `${n} ${"x".repeat(1000)}`, isStdErr: false, timestamp: 1 };
    }
  };
  const response = await device.fetch(new Request("http://device/v3/logs?tail=all"));
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(given).toBeLessThan(500);
  const lines = parse(await response.text()).filter(({ message }) => message.endsWith("x"));
  expect(lines.map(({ message }) => Number(message.split(" ")[0]))).toEqual(Array.from({ length: 5000 }, (_, n) => n));
  expect(id).toBeTruthy();
});

test("a reader who leaves ends the reading of the engine's log", async () => {
  const device = await twoServices();
  const { logs } = device.engine;
  const ended: string[] = [];
  device.engine.logs = async function* (id, since, signal, options) {
    try {
      yield* logs.call(device.engine, id, since, signal, options);
    } finally {
      ended.push(id);
    }
  };
  const { reader, until } = await follow(device);
  await until("db says hello");
  expect(ended).toEqual([]);
  await reader.cancel();
  await expect.poll(() => ended).toHaveLength(2);
});

test("a log that cannot be read is a line that says so; the others are read", async () => {
  const device = await twoServices();
  const { logs } = device.engine;
  const { id: broken } = await device.container("web");
  device.engine.logs = (id, ...parameters) => {
    if (id === broken) throw new Error("configured logging driver does not support reading");
    return logs.call(device.engine, id, ...parameters);
  };
  expect((await read(device)).toSorted()).toEqual([
    "db: db says hello",
    "web: The log of web cannot be read: configured logging driver does not support reading",
  ]);
});

test("there are at most 32 readers", async () => {
  const device = await twoServices();
  for (let n = 0; n < 32; n++) await follow(device);
  expect(seen(await device.get("/v3/logs"))).toEqual(
    refused("busy", "The logs have 32 readers already; try again when one of them has left"),
  );
});

test("the end of the agent ends the stream", async () => {
  const device = await twoServices();
  const { reader, until } = await follow(device);
  await until("db says hello");
  await device.stop();
  for (let done = false; !done;) done = (await reader.read()).done;
});
