import { spawnSync } from "node:child_process";
import { chmod, chown, mkdir, readFile, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { embedAgent } from "../../runtimes/node/agent.ts";
import { startAgent, startProgram } from "./program.ts";
import { isRoot, temporaryFolder } from "./temporary-folder.ts";

/** Two agents with the same state folder would both write it and manage the same containers. */

const argsFor = (folder: string) => [
  "agent",
  ...["--engine", "embedded", "--port", "0", "--state-dir", join(folder, "state"), "--host-root", folder],
];

const refusal = (folder: string, pid: string) =>
  new RegExp(
    `^Cannot use ${join(folder, "state")} for the state: another agent uses it: process ${pid} on ${hostname()}, since \\d{4}-\\S+Z\\. End that one, or give this one a folder of its own with --state-dir\\n$`,
  );

describe("a second agent with the same state folder", () => {
  test("names the process that uses it and exits with 1, and the first agent goes on", async () => {
    const folder = await temporaryFolder();
    const first = await startAgent(folder);
    const { pid } = JSON.parse(await readFile(join(folder, "state/agent.holder"), "utf8"));
    const second = await startProgram(argsFor(folder)).ended;
    expect(second).toMatchObject({ code: 1, stdout: "", stderr: expect.stringMatching(refusal(folder, pid)) });
    expect((await first.get("/v2/state/status")).status).toBe(200);
  });

  test("is refused before it connects to the engine", async () => {
    const folder = await temporaryFolder();
    await startAgent(folder);
    const args = [...argsFor(folder), "--engine", "docker", "--docker-host", "unix:///nonexistent.sock"];
    expect((await startProgram(args).ended).stderr).toMatch(refusal(folder, "\\d+"));
  });

  test.each(["SIGKILL", "SIGTERM"] as const)("starts after the first has ended by %s", async (signal) => {
    const folder = await temporaryFolder();
    const first = await startAgent(folder);
    const waiting = await startProgram(argsFor(folder)).ended;
    expect(waiting.code).toBe(1);
    first.kill(signal);
    await first.ended;
    const second = await startAgent(folder);
    expect((await second.get("/v2/state/status")).status).toBe(200);
    expect((await startProgram(argsFor(folder)).ended).code).toBe(1);
  });

  test.runIf(isRoot)("is refused in a container that shares the folder, too", async () => {
    const folder = await temporaryFolder();
    await startAgent(folder);
    const program = [process.execPath, "--import", "tsx", "runtimes/cli/cli.ts", ...argsFor(folder)];
    const options = { cwd: join(import.meta.dirname, "../.."), encoding: "utf8", timeout: 20_000 } as const;
    const namespaces = ["--pid", "--fork", "--kill-child", "--mount-proc", "--net", "--ipc", "--uts"];
    const { status, stderr } = spawnSync("unshare", [...namespaces, ...program], options);
    expect(stderr).toMatch(refusal(folder, "\\d+"));
    expect(status).toBe(1);
  });

  test("in the same process is refused too, until the first is stopped; the process goes on", async () => {
    const folder = await temporaryFolder();
    const settings = { engine: "embedded", stateDir: join(folder, "state"), hostRoot: folder } as const;
    const first = await embedAgent(settings);
    onTestFinished(first.stop);
    await expect(embedAgent(settings)).rejects.toThrow(`another agent uses it: process ${process.pid} on `);
    await expect(embedAgent(settings)).rejects.toThrow("another agent uses it");
    expect((await first.fetch(new Request("http://device/ping"))).status).toBe(200);
    // Another process is still refused: the failed attempts did not release the first agent's lock.
    expect((await startProgram(argsFor(folder)).ended).code).toBe(1);
    await first.stop();
    await first.stop();
    const second = await embedAgent(settings);
    onTestFinished(second.stop);
    expect((await second.fetch(new Request("http://device/ping"))).status).toBe(200);
  });

  test("starts after an agent that failed to start", async () => {
    const folder = await temporaryFolder();
    const settings = { engine: "embedded", stateDir: join(folder, "state"), hostRoot: folder } as const;
    await expect(embedAgent({ ...settings, hostRoot: "/nonexistent/root" })).rejects.toThrow("/nonexistent/root");
    const agent = await embedAgent(settings);
    onTestFinished(agent.stop);
    expect((await agent.fetch(new Request("http://device/ping"))).status).toBe(200);
  });
});

test("the doctor and `join` work while the agent runs", async () => {
  const folder = await temporaryFolder();
  await startAgent(folder);
  const state = ["--state-dir", join(folder, "state"), "--host-root", folder];
  const engine = ["--docker-host", "unix:///nonexistent.sock"];
  // There is no engine.
  expect(await startProgram(["doctor", ...state, ...engine]).ended).toMatchObject({ code: 1, stderr: "" });
  const joined = await startProgram(["join", "http://127.0.0.1:10", "--key", "k", "--fleet", "1", ...state]).ended;
  // It has reached the cloud, after it has read the uuid from the agent's state.
  expect(joined).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^http:\/\/127\.0\.0\.1:10\/device\/register cannot be reached/),
  });
});

describe("a state folder", () => {
  const attempt = async (prepare: (state: string) => Promise<unknown>) => {
    const folder = await temporaryFolder();
    const state = join(folder, "state");
    await mkdir(state);
    await prepare(state);
    const { code, stderr } = await startProgram(argsFor(folder)).ended;
    return { code, stderr, state };
  };

  type Case = readonly [string, (state: string) => Promise<unknown>, RegExp];
  const forRoot: readonly Case[] = [
    ["of another user", (state) => chown(state, 1234, 0), /owner 1234/],
    [
      "open to another group",
      async (state) => {
        await chown(state, 0, 1234);
        await chmod(state, 0o770);
      },
      /group 1234, mode 770/,
    ],
  ];

  test.each<Case>([
    ["open to everybody", (state) => chmod(state, 0o777), /group \d+, mode 777/],
    ...(isRoot ? forRoot : []),
  ])("%s is refused with advice", async (_, prepare, what) => {
    const { code, stderr, state } = await attempt(prepare);
    expect(code).toBe(1);
    expect(stderr).toMatch(what);
    const uid = process.getuid?.();
    expect(stderr).toMatch(
      new RegExp(
        `^Cannot use ${state} for the state: other users can write to it \\(.*\\)\\. Make it the agent's own: `,
      ),
    );
    expect(stderr.endsWith(`chown ${uid} ${state} && chmod 700 ${state}\n`)).toBe(true);
  });

  test("is created as private, and an existing one that others can read is accepted", async () => {
    const folder = await temporaryFolder();
    await startAgent(folder);
    expect((await stat(join(folder, "state"))).mode & 0o777).toBe(0o700);
    const other = await temporaryFolder();
    await mkdir(join(other, "state"));
    await chmod(join(other, "state"), 0o755);
    await startAgent(other);
    expect((await stat(join(other, "state"))).mode & 0o777).toBe(0o755);
    for (const name of ["agent.lock", "agent.holder"])
      expect((await stat(join(other, "state", name))).mode & 0o777).toBe(0o600);
  });
});
