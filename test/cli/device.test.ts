import { spawn } from "node:child_process";
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SqliteStore } from "../../runtimes/node/store/sqlite-store.ts";
import { startProgram } from "../node/program.ts";
import { plainIo } from "../../runtimes/cli/io.ts";
import { runProgram } from "../../runtimes/cli/run.ts";
import { SettingsError } from "../../runtimes/node/settings-error.ts";
import { toNodeListener } from "../../runtimes/node/index.ts";
import { createMemoryDevice } from "../../core/embedded/index.ts";

/** The commands for a device, with an agent on the engine in memory. */

const device = await createMemoryDevice({
  restartMs: 10,
  program: ({ service }) =>
    service === "bad" ? { lines: ["no database"], exit: { code: 3, afterMs: 10 } } : { lines: ["hello"] },
});
const server = createServer(toNodeListener(device.fetch));
const folder = join(mkdtempSync(join(tmpdir(), "fairlead-")), "proj");
let address = "";

beforeAll(async () => {
  mkdirSync(folder);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const bound = server.address();
  address = `http://127.0.0.1:${typeof bound === "object" ? bound?.port : ""}`;
});

afterAll(async () => {
  server.closeAllConnections();
  server.close();
  device.stop();
  rmSync(join(folder, ".."), { recursive: true });
});

async function type(...args: readonly string[]) {
  let printed = "";
  const io = plainIo({ BALENA_SUPERVISOR_ADDRESS: address }, (text) => (printed += text));
  const [status, fault] = await runProgram(args, io).then(
    (code) => [code, undefined],
    (error: unknown) => [1, error instanceof SettingsError ? error.message : error],
  );
  return { printed, status, fault };
}

const write = (text: string): string => {
  const file = join(folder, "compose.yaml");
  writeFileSync(file, text);
  return file;
};

test("without applications, the commands say what to do next", async () => {
  expect((await type("ps")).printed).toBe("No container. To run a compose file: fairlead up docker-compose.yml\n");
  expect((await type("restart")).fault).toBe("The device has no application");
});

describe("fairlead up", () => {
  test("runs a compose file, prints each change, and ends when its services run", async () => {
    const file = write("services:\n  web:\n    image: web:1\n  db:\n    image: db:1\n");
    const { printed, status } = await type("up", file);
    expect(status).toBe(0);
    expect(printed).toMatch(/^web: .*\n[^]*web: Running\n/m);
    expect((await type("ps")).printed).toBe(
      "SERVICE  APPLICATION  STATUS   IMAGE\ndb       proj         Running  db:1\nweb      proj         Running  web:1\n",
    );
    expect((await type("status")).printed).toMatch(
      /^device +\S[^]*\nproj {2}release \S+, done\nSERVICE +STATUS +IMAGE\n/,
    );
  });

  test("with --safe, goes back to what ran before and ends with 1", { timeout: 60_000 }, async () => {
    const safe = "name: safe\nservices:\n  api:\n    image: api:1\n";
    expect((await type("up", write(safe), "--safe")).status).toBe(0);
    const migration = "  bad:\n    image: bad:1\n    restart: no\n";
    const next = `name: safe\nservices:\n  api:\n    image: api:2\n    depends_on: { bad: { condition: service_completed_successfully } }\n${migration}`;
    const { printed, status } = await type("up", write(next));
    expect(status).toBe(1);
    expect(printed).toMatch(/safe: bad: it did not complete successfully \(has exited with code 3\)/);
    expect(printed).toMatch(/The device runs what ran before\. To try this again: fairlead update retry\n$/);
    expect((await type("ps")).printed).toMatch(/\napi +safe +Running +api:1\n/);
    expect((await type("up", write(safe), "--no-safe")).status).toBe(0);
    expect((await type("up", write(safe), "--no-safe", "--safe")).fault).toBe(
      "Expected --safe or --no-safe, but got both",
    );
    expect((await type("down", "safe")).status).toBe(0);
  });

  test("keeps the other applications of the device", async () => {
    const file = write("name: other\nservices:\n  job:\n    image: job:1\n");
    expect((await type("up", file)).status).toBe(0);
    expect((await type("ps")).printed).toMatch(/job +other[^]*db +proj[^]*web +proj/);
  });

  test("refuses a compose file with the path of the fault, and changes nothing", async () => {
    const { fault } = await type("up", write("services:\n  web:\n    image: web:1\n    restrat: always\n"));
    expect(fault).toMatch(/cannot run:\n {2}services\.web\.restrat: not supported; did you mean "restart"\?$/);
    expect((await type("ps")).printed).toMatch(/web +proj +Running/);
  });

  test("ends with 1 if a service does not stay up, and prints why", async () => {
    const file = write("name: failing\nservices:\n  bad:\n    image: bad:1\n    restart: always\n");
    const { printed, status } = await type("up", file);
    expect(status).toBe(1);
    expect(printed).toMatch(/^bad: .*exit code 3: no database$/m);
    expect((await type("down", "failing")).status).toBe(0);
    await expect.poll(async () => (await type("ps")).printed).not.toMatch(/bad/);
  });

  test("says which files it looks for", async () => {
    expect((await type("up")).fault).toMatch(/^Expected a compose file: there is no compose\.yaml, /);
  });
});

describe("fairlead plan", () => {
  const file = () =>
    write(
      "services:\n  web:\n    image: web:2\n    environment: [TOKEN=abc]\n  db:\n    image: db:1\n  new:\n    image: new:1\n",
    );

  test("shows what up would change, and changes nothing", async () => {
    await device.settled();
    const before = await device.engine.look();
    const { printed, status } = await type("plan", file());
    expect(status).toBe(0);
    expect(printed).toMatch(
      /^PROJ +ACTION +DOWNLOAD +WHY\ndb +keep +nothing differs\nnew +create +it does not exist yet\nweb +replace +image: .*; environment\.TOKEN is new\n$/,
    );
    expect(JSON.parse((await type("plan", file(), "--json")).printed)).toMatchObject({
      project: "proj",
      services: expect.arrayContaining([expect.objectContaining({ service: "web", downloadBytes: 0 })]),
    });
    expect(await device.engine.look()).toEqual(before);
  });

  test("shows what holds the update up", async () => {
    const id = (await type("lock", "take", "web", "--app", "proj", "--reason", "upload")).printed.trim();
    expect((await type("plan", file())).printed).toMatch(/\n\nLockfile exists for .*: upload, until \d\d:\d\d UTC\n$/);
    await type("lock", "release", id);
  });

  test("of what runs says that nothing changes", async () => {
    const same = write("services:\n  web:\n    image: web:1\n  db:\n    image: db:1\n");
    expect((await type("plan", same)).printed).toMatch(/\n\nNo container changes\n$/);
  });

  test("names the faults of the file", async () => {
    const { fault } = await type("plan", write("services:\n  web:\n    image: web:1\n    restrat: always\n"));
    expect(fault).toMatch(/cannot run:\n {2}services\.web\.restrat: not supported; did you mean "restart"\?$/);
  });
});

describe("services", () => {
  test("are stopped, started and restarted", async () => {
    expect((await type("stop", "web")).printed).toBe("Stopped: web\n");
    expect((await type("ps")).printed).toMatch(/web +proj +exited/);
    expect((await type("start", "web")).printed).toBe("Started: web\n");
    expect((await type("restart", "--app", "proj")).printed).toBe("Restarted: db, web\n");
  });

  test.each([
    [["restart", "wbe"], 'There is no service "wbe", only: job, db, web'],
    [["restart"], "Which application? --app other, --app proj"],
    [["stop", "web", "--app", "x"], 'There is no application "x", only: other, proj'],
  ])("%j is refused with the names that there are", async (args, fault) => {
    expect((await type(...args)).fault).toBe(fault);
  });
});

test("fairlead events prints what has happened, of some kinds or of one application", async () => {
  const { printed } = await type("events", "--app", "proj", "--kinds", "serviceStarted");
  expect(printed).toMatch(/^\S+ \S+ (web|db|job): Started service '/);
  expect(printed).not.toContain("Downloading");
  const [first = ""] = (await type("events", "--json")).printed.split("\n");
  expect(JSON.parse(first)).toMatchObject({ id: 1, text: expect.any(String), why: [] });
  expect((await type("events", "--kinds", "started")).fault).toMatch(/kinds: expected kinds of events .* got started/);
});

test("fairlead history prints what happened to services, of all or one", async () => {
  const { printed } = await type("history");
  expect(printed).toMatch(/^TIME +APPLICATION +SERVICE +WHAT +BY +RELEASE +WHY\n/);
  expect((await type("history", "web")).printed).toMatch(
    /web +created [^]* web +stopped +request [^]* web +started +request [^]* web +replaced +request .*\n$/,
  );
  expect(JSON.parse((await type("history", "web", "-n", "1", "--json")).printed)).toMatchObject([
    { service: "web", what: "replaced", by: "request", application: "proj" },
  ]);
  expect((await type("history", "wbe")).fault).toMatch(/^There is no service "wbe", only: /);
  expect((await type("history", "--app", "x")).fault).toMatch(/^There is no application "x"/);
});

test("fairlead logs prints what services write, of all or one", async () => {
  expect((await type("logs")).printed).toMatch(/^20\S+Z \w+: hello\n/);
  const lines = (await type("logs", "web", "--tail", "1", "--json")).printed.trim().split("\n");
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    expect.objectContaining({ service: "web", message: "hello" }),
  ]);
  expect((await type("logs", "--tail", "x")).fault).toBe('--tail: expected a number of lines, or all, but got "x"');
  expect((await type("logs", "wbe")).fault).toMatch(/^There is no service "wbe"/);
  expect((await type("logs", "web", "--since", "yesterday")).fault).toMatch(/refuses \(400\): .*expected a time/);
});

test("fairlead top prints what services use, and the processes of one", async () => {
  expect((await type("top", "--app", "proj")).printed).toMatch(
    /^SERVICE +APPLICATION +CPU +MEMORY +NETWORK +DISK +PROCESSES\ndb +proj +[\d.]+ % /,
  );
  expect((await type("top", "web")).printed).toMatch(/PID.*\n/);
});

test("fairlead exec passes input, output and the exit status on", async () => {
  const environment = { BALENA_SUPERVISOR_ADDRESS: address };
  const shell = startProgram(["exec", "web"], environment, "echo hello\nexit 3\n");
  expect(await shell.ended).toMatchObject({ code: 3, stdout: expect.stringContaining("hello") });
});

test("fairlead exec refuses a service that there is not, and the options of the command are its own", async () => {
  expect((await type("exec", "wbe", "ls", "--help")).fault).toMatch(/^There is no service "wbe"/);
  expect((await type("exec")).fault).toBe("Expected: fairlead exec <service> [command]…, but got no argument");
  expect((await type("exec", "--help")).printed).toMatch(/^Usage: fairlead exec <service>/);
});

describe("fairlead lock", () => {
  const why = ["--app", "proj", "--reason", "firmware upload"];

  test("takes, lists, renews and releases a lease", async () => {
    expect((await type("lock")).printed).toBe("No update lock is held\n");
    const { printed } = await type("lock", "take", "web", ...why, "--for", "2h");
    expect(printed).toMatch(/^[0-9a-f]{32}\n$/);
    const id = printed.trim();
    expect((await type("lock", "--app", "proj")).printed).toMatch(
      new RegExp(`^ID .*\n${id} +\\d+ +web +caller without a key +lease +\\S+Z +firmware upload\n$`),
    );
    expect((await type("lock", "--app", "other")).printed).toBe("No update lock is held\n");
    expect(JSON.parse((await type("lock", "--json")).printed)).toMatchObject([{ id, held: "lease" }]);
    expect((await type("restart", "web")).fault).toMatch(/^The device refuses \(423\): .*firmware upload, until/);
    expect((await type("lock", "renew", id, "--for", "90s")).printed).toMatch(/^Renewed until \S+Z\n$/);
    expect((await type("lock", "release", id)).printed).toBe("Released\n");
    expect((await type("lock", "release", id)).fault).toMatch(/^The device refuses \(404\): There is no such lease/);
    expect((await type("lock", "renew", id, "--for", "1m")).fault).toMatch(/^The device refuses \(404\)/);
  });

  test.each([
    [["take", "web"], "Expected --reason <text>: what must not be interrupted; whoever wants to update reads it"],
    [["take", "wbe", ...why], 'There is no service "wbe", only: db, web'],
    [
      ["take", "web", ...why, "--for", "soon"],
      '--for: expected a time such as 45s, 30m or 2h, at most 24h, but got "soon"',
    ],
    [
      ["take", "web", ...why, "--for", "25h"],
      '--for: expected a time such as 45s, 30m or 2h, at most 24h, but got "25h"',
    ],
    [["renew", "x"], "Expected --for <time>: such as 45s, 30m or 2h, at most 24h"],
    [
      ["run", "web", ...why, "make"],
      "Expected: fairlead lock run [service] --reason <text> -- <command>…, with one service or none",
    ],
    [
      ["run", "web", ...why, "--"],
      "Expected: fairlead lock run [service] --reason <text> -- <command>…, with one service or none",
    ],
  ])("%j is refused with what was expected, and takes no lease", async (args, fault) => {
    expect((await type("lock", ...args)).fault).toBe(fault);
    expect((await type("lock")).printed).toBe("No update lock is held\n");
  });

  /** The program itself: it gets signals, and its command writes to its output. */
  function start(...args: readonly string[]) {
    const program = join(import.meta.dirname, "../../runtimes/cli/cli.ts");
    const child = spawn(process.execPath, [program, "lock", "run", ...args], {
      env: { ...process.env, BALENA_SUPERVISOR_ADDRESS: address },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += String(chunk)));
    const ended = new Promise<number | null>((resolve) => child.on("close", (code) => resolve(code)));
    return { child, ended, output: () => output };
  }

  test("runs a command under a lease, and ends with its exit status", { timeout: 60_000 }, async () => {
    const list = `fetch(${JSON.stringify(address)} + "/v3/locks").then((a) => a.text()).then((t) => { console.log(t); process.exit(7) })`;
    const { ended, output } = start("web", ...why, "--", process.execPath, "-e", list);
    expect([await ended, JSON.parse(output())]).toMatchObject([
      7,
      { locks: [{ service: "web", reason: "firmware upload" }] },
    ]);
    expect((await type("lock")).printed).toBe("No update lock is held\n");
    const missing = start(...why, "--", "/no/such/command");
    expect([await missing.ended, missing.output()]).toEqual([
      ...[127, "Cannot run /no/such/command: there is no such command\n"],
    ]);
    expect((await type("lock")).printed).toBe("No update lock is held\n");
  });

  test.each([
    ["SIGTERM", 143],
    ["SIGINT", 130],
  ] as const)("on %s, ends the command and releases the lease", { timeout: 60_000 }, async (signal, status) => {
    const { child, ended, output } = start("web", ...why, "--", "sh", "-c", "echo begun; exec sleep 100");
    await expect.poll(output, { timeout: 30_000 }).toBe("begun\n");
    expect((await type("lock")).printed).toContain("firmware upload");
    child.kill(signal);
    expect(await ended).toBe(status);
    expect((await type("lock")).printed).toBe("No update lock is held\n");
  });
});

test("fairlead purge asks, or needs --yes", async () => {
  expect((await type("purge", "proj")).fault).toBe(
    "Remove all volumes of proj, and what is stored in them? To confirm, add --yes",
  );
  expect((await type("purge", "proj", "--yes")).printed).toBe("The volumes of proj are empty\n");
});

test("fairlead down removes one application, or with --yes all", async () => {
  expect((await type("down", "prj")).fault).toBe('There is no application "prj", only: other, proj');
  expect((await type("down")).fault).toBe("Remove the containers of other, proj? To confirm, add --yes");
  expect((await type("down", "other")).printed).toBe("The device removes other; the volumes stay\n");
  await expect.poll(async () => (await type("ps")).printed).not.toMatch(/job/);
  expect((await type("down")).printed).toBe("The device removes proj; the volumes stay\n");
  await expect.poll(async () => (await type("ps")).printed).toMatch(/^No container/);
});

test("the key of this machine's agent is not sent to another address", async () => {
  const state = mkdtempSync(join(tmpdir(), "fairlead-"));
  const store = new SqliteStore(join(state, "agent.sqlite"));
  await store.write({ keys: [{ key: "the key of this machine" }] });
  store.close();
  const sent: unknown[] = [];
  const other = createServer(({ headers }, response) => {
    sent.push(headers.authorization);
    response.writeHead(401, { "content-type": "text/plain" }).end("Unauthorized");
  });
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const bound = other.address();
  const port = typeof bound === "object" ? String(bound?.port) : "";
  const ask = (environment: Record<string, string>) =>
    expect(
      runProgram(
        ["ps"],
        plainIo({ FAIRLEAD_STATE_DIR: state, ...environment }, () => undefined),
      ),
    ).rejects.toThrow("The device needs its key");
  try {
    await ask({ FAIRLEAD_PORT: port });
    await ask({ BALENA_SUPERVISOR_ADDRESS: `http://127.0.0.1:${port}` });
    expect(sent).toEqual(["Bearer the key of this machine", undefined]);
  } finally {
    other.closeAllConnections();
    other.close();
    rmSync(state, { recursive: true });
  }
});

test("without an agent, the fault names the address and what to check", async () => {
  const io = plainIo({ BALENA_SUPERVISOR_ADDRESS: "http://127.0.0.1:1" }, () => undefined);
  await expect(runProgram(["status"], io)).rejects.toThrow(
    /^No agent answers on http:\/\/127\.0\.0\.1:1 \(.+\)\. Does it run\? systemctl status fairlead/,
  );
});

test("of another server, the fault says what it answered, and asks for the address", async () => {
  const other = createServer((_, response) => response.writeHead(200, { "content-type": "text/html" }).end("<html>"));
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const bound = other.address();
  const url = `http://127.0.0.1:${typeof bound === "object" ? bound?.port : ""}`;
  const say = (environment: Record<string, string>, ...words: string[]) =>
    runProgram(
      words,
      plainIo(environment, () => undefined),
    );
  const question = "Is the address that of an agent, or of a cloud of Fairlead?";
  try {
    for (const [ask, operation] of [
      [() => say({ BALENA_SUPERVISOR_ADDRESS: url }, "ps"), "GET /v2/applications/state"],
      [() => say({ FAIRLEAD_CLOUD_URL: url, FAIRLEAD_CLOUD_TOKEN: "t" }, "cloud", "fleet"), "GET /admin/v1/fleets"],
    ] as const)
      await expect(ask()).rejects.toThrow(
        new SettingsError(`${operation} answered 200 in a form that this version does not know. ${question}`),
      );
  } finally {
    other.closeAllConnections();
    other.close();
  }
});
