import { expect, test } from "vitest";
import { systemClock } from "../../core/ports/clock.ts";
import { everything } from "../../core/model/scope.ts";
import type { MemoryDeviceOptions } from "../../core/embedded/device.ts";
import { app, testDevice, type TestDevice } from "../support/device.ts";
import { openExec, readFrames, type SendExec } from "../support/exec.ts";
import { refused, seen } from "./answers.ts";
import { twoApps } from "./managed.ts";

const sender =
  (device: Pick<TestDevice, "fetch">, headers: Record<string, string> = {}): SendExec =>
  (method, path, body) =>
    device.fetch(
      new Request(`http://device${path}`, {
        method,
        headers: { ...headers, ...(body && { "content-type": "application/json" }) },
        ...(body && { body: JSON.stringify(body) }),
      }),
    );

async function oneService(options: MemoryDeviceOptions = {}) {
  const device = await testDevice(options);
  await device.run({ "1": app({ web: {} }) });
  const send = sender(device);
  return { device, send, open: (body: object = {}) => openExec(send, body) };
}

const path = "/v3/apps/1/services/web/exec";
const gone = refused("unknown-session", "There is no such session; it may have ended");

test("a shell at a terminal is typed into, and ends with its exit code", async () => {
  const { open } = await oneService();
  const session = await open({ tty: true, columns: 93, rows: 31 });
  const output = await session.read();
  await output.until("# ");
  expect(await session.type("stty size\r")).toBe(204);
  await output.until("31 93\r\n");
  expect((await session.resize({ columns: 41, rows: 17 })).status).toBe(204);
  await session.type("stty size\r");
  await output.until("17 41\r\n");
  await session.type("exit 7\r");
  expect(await output.toEnd()).toEqual({ exitCode: 7 });
  expect(await session.type("late")).toBe(404);
});

test("without a terminal, standard error is apart", async () => {
  const { open } = await oneService();
  const output = await (await open({ command: ["sh", "-c", "echo out; echo err >&2; exit 3"] })).read();
  expect([await output.toEnd(), output.text]).toEqual([{ exitCode: 3 }, { stdout: "out\n", stderr: "err\n" }]);
});

test("input is typed in order and once, however often it is sent, and all bytes arrive", async () => {
  const { open } = await oneService();
  const session = await open({ command: ["cat"] });
  const all = String.fromCharCode(...Array.from({ length: 256 }, (_, n) => n));
  expect(await session.type(all, { sequence: 1 })).toBe(204);
  expect(await session.type(all, { sequence: 1 })).toBe(204);
  expect((await session.input({ data: "eA==", sequence: 3 })).status).toBe(409);
  expect(await session.type("two", { sequence: 2 })).toBe(204);
  expect(await session.type("two", { sequence: 1 })).toBe(204);
  expect(await session.type("", { sequence: 3, end: true })).toBe(204);
  const output = await session.read();
  expect([await output.toEnd(), output.text.stdout]).toEqual([{ exitCode: 0 }, `${all}two`]);
});

test.each([
  ["cmd", { cmd: ["ls"] }, "not known: cmd"],
  ["a command that is no list", { command: "ls" }, "command: expected a list"],
  ["an empty command", { command: [] }, "command: expected a list that is not empty"],
  ["a size of 0", { tty: true, rows: 0 }, "rows: expected a number of 1 or more"],
  ["a name with =", { environment: { "A=B": "1" } }, expect.stringContaining("environment")],
  ["a text with the character 0", { command: ["a\0b"] }, "command.0: expected a text without the character 0"],
])("a session with %s is refused", async (_, body, message) => {
  const { device } = await oneService();
  expect(seen(await device.post(path, body))).toEqual(refused("invalid-request", message, expect.any(Array)));
});

test.each([
  ["a service that is not there", "/v3/apps/1/services/wbe/exec", /no container of a service "wbe", only of: web/],
  ["an application that is not there", "/v3/apps/2/services/web/exec", /no containers of an application 2/],
])("%s has no sessions", async (_, to, message) => {
  const { device } = await oneService();
  expect(seen(await device.post(to, {}))).toEqual(refused("unknown-service", expect.stringMatching(message)));
});

test("a service that does not run has no sessions", async () => {
  const { device } = await oneService();
  await device.post("/v2/applications/1/stop-service", { serviceName: "web" });
  expect((await device.post(path, {})).status).toBe(409);
});

test.each([
  ["no base64", { data: "§§" }, "invalid-request", "data: expected base64"],
  ["no text", { data: 5 }, "invalid-request", "data: expected base64"],
  ["a number of 0", { data: "", sequence: 0 }, "invalid-request", "sequence: expected a number of 1 or more"],
  ["too much", { data: "A".repeat(70_000) }, "too-large", expect.stringContaining("at most 65536 bytes")],
] as const)("input with %s is refused, and the session goes on", async (_, body, name, message) => {
  const { device, open } = await oneService();
  const session = await open({ command: ["cat"] });
  expect(seen(await device.post(`/v3/exec/${session.id}/input`, body))).toEqual(
    refused(name, message, name === "invalid-request" ? expect.any(Array) : undefined),
  );
  await session.type("fine", { end: true });
  const output = await session.read();
  expect([await output.toEnd(), output.text.stdout]).toEqual([{ exitCode: 0 }, "fine"]);
});

test("an unknown session is answered 404, and one without a terminal has no size", async () => {
  const { device, open } = await oneService();
  expect(seen(await device.get("/v3/exec/nope/output"))).toEqual(gone);
  expect(seen(await device.post("/v3/exec/nope/input", { data: "" }))).toEqual(gone);
  expect(seen(await device.post("/v3/exec/nope/resize", { columns: 1, rows: 1 }))).toEqual(gone);
  expect(seen(await device.send("DELETE", "/v3/exec/nope"))).toEqual(gone);
  const { id } = await open({ command: ["cat"] });
  expect((await device.post(`/v3/exec/${id}/resize`, { columns: 1, rows: 1 })).status).toBe(409);
});

test("there are at most eight sessions; one that is ended makes room", async () => {
  const { device, open } = await oneService();
  const sessions = await Promise.all(Array.from({ length: 8 }, () => open({ command: ["cat"] })));
  expect(seen(await device.post(path, {}))).toEqual(
    refused("busy", "There are 8 sessions already; try again when one of them has ended"),
  );
  expect((await sessions[0]?.end())?.status).toBe(204);
  await open({ command: ["cat"] });
});

test("ended by a caller, its reader is told why", async () => {
  const { device, open } = await oneService();
  const session = await open({ tty: true });
  const output = await session.read();
  await output.until("# ");
  await session.end();
  expect(await output.toEnd()).toEqual({ exitCode: null, reason: "a caller has ended it" });
  expect(seen(await device.get(`/v3/exec/${session.id}/output`))).toEqual(gone);
});

test("a session that nobody reads for 30 s ends; one that is read does not", async () => {
  const clock = { ...systemClock, sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(ms / 300, signal) };
  const { device, open } = await oneService({ clock });
  const [left, read] = [await open({ tty: true }), await open({ tty: true })];
  const output = await read.read();
  await output.until("# ");
  await expect.poll(async () => (await left.resize({ columns: 9, rows: 9 })).status).toBe(404);
  expect(await read.type("echo on\r")).toBe(204);
  await output.until("on\r\n");
  await output.leave();
  await expect.poll(() => read.type("")).toBe(404);
  expect(device.log.lines).toContain(
    "'/bin/sh' in service 'web', started by a request in local mode, has ended: nobody has read its output for 30 s",
  );
});

test("lasts 12 hours at most, and says until when", async () => {
  const { open } = await oneService();
  const { expiresAt } = await open({ command: ["cat"] });
  const hours = (Date.parse(expiresAt) - Date.now()) / 3_600_000;
  expect(hours).toBeGreaterThan(11.9);
  expect(hours).toBeLessThanOrEqual(12);
});

test("a second reader takes over", async () => {
  const { open } = await oneService();
  const session = await open({ tty: true });
  const first = await session.read();
  await first.until("# ");
  const second = await session.read();
  await expect(first.toEnd()).rejects.toThrow("Another reader has taken over the session");
  await session.type("echo here\r");
  await second.until("here\r\n");
});

test("a reader that pauses holds the program back, and misses nothing", async () => {
  const { device, send } = await oneService();
  let given = 0;
  const { exec } = device.engine;
  device.engine.exec = async (id, request) => ({
    ...(await exec.call(device.engine, id, request)),
    exitCode: async () => 0,
    output: (async function* () {
      for (; given < 1000; given++) yield { isStdErr: false, bytes: new Uint8Array(10_000).fill(given % 256) };
    })(),
  });
  const session = await openExec(send, { command: ["cat"] });
  const response = await send("GET", `/v3/exec/${session.id}/output`);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(given).toBeLessThan(30);
  const output = readFrames(response);
  expect(await output.toEnd()).toEqual({ exitCode: 0 });
  expect(output.text.stdout).toHaveLength(10_000_000);
});

test("the end of the container, or of the agent, is the last frame", async () => {
  const { device, open } = await oneService();
  const first = await (await open({ tty: true })).read();
  await device.post("/v2/applications/1/stop-service", { serviceName: "web" });
  expect(await first.toEnd()).toEqual({ exitCode: 137 });
  await device.post("/v2/applications/1/start-service", { serviceName: "web" });
  const second = await (await open({ tty: true })).read();
  await second.until("# ");
  await device.stop();
  expect(await second.toEnd()).toEqual({ exitCode: null, reason: "the agent stops" });
});

test("each session is an event, with the program's name and without its arguments", async () => {
  const { device, open } = await oneService();
  const output = await (await open({ command: ["echo", "hunter2"], environment: { PASSWORD: "hunter3" } })).read();
  await output.toEnd();
  const { entries } = await device.supervisor.events.read(0, 1000);
  expect(entries.filter(({ kind }) => kind.startsWith("exec"))).toMatchObject([
    {
      kind: "execStarted",
      appId: 1,
      service: "web",
      text: "'echo' in service 'web' is started by a request in local mode",
    },
    { kind: "execEnded", service: "web", text: expect.stringContaining("has ended: exit code 0") },
  ]);
  expect(JSON.stringify([entries, device.log.lines])).not.toContain("hunter");
});

test("a request of the cloud needs its word that shells are allowed, and is an event with the name it gives", async () => {
  const device = await twoApps();
  const request = () =>
    new Request(`http://device${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ command: ["echo"] }),
    });
  expect((await device.fetch(request(), { scope: { ...everything, shell: false } })).status).toBe(401);
  expect((await device.fetch(request(), { scope: everything, name: "token 1a2b" })).status).toBe(201);
  expect(device.log.lines).toContain("'echo' in service 'web' is started by token 1a2b");
  const withKey = await openExec(sender(device, device.globalKey()), { command: ["echo"] });
  expect(withKey.id).toMatch(/^[0-9a-f]{32}$/);
  expect(device.log.lines).toContain("'echo' in service 'web' is started by a holder of the global key");
});

test("with --exec off, no program is run", async () => {
  const { device } = await oneService({ identity: { exec: false } });
  expect(seen(await device.post(path, {}))).toEqual(
    refused("exec-off", "This device runs no programs for callers: its agent was started with --exec off"),
  );
});
