import { spawn } from "node:child_process";
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { describe, expect, onTestFinished, test } from "vitest";
import { toRecord, type Event } from "../../core/model/event.ts";
import { toLog } from "../../core/events/events.ts";
import { createConsoleLog } from "../../runtimes/node/log.ts";
import { service, settled, target } from "./on-the-device.ts";
import { startAgent } from "./program.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const digest = `sha256:${"0123456789abcdef".repeat(4)}`;
const installing: Event = {
  ...{ kind: "serviceInstalling", appId: 7, service: "web", image: `shop/web@${digest}` },
  ...{ commit: "abc", cause: "release" },
};
const failed: Event = { kind: "stepFailed", appId: 7, reason: `Failed to kill ${"f".repeat(64)}:\n\u001b[2Jno` };
const events: readonly Event[] = [installing, failed, { kind: "metricsFailed", reason: "no /proc" }];

async function written(format: "text" | "json", { isTTY = false, env = {} as Record<string, string> } = {}) {
  const file = join(await temporaryFolder(), "log");
  const fd = openSync(file, "w+");
  onTestFinished(() => closeSync(fd));
  const output = Object.assign(new PassThrough(), { isTTY, fd });
  const { dev, ino } = fstatSync(fd);
  const journal = { JOURNAL_STREAM: `${dev}:${ino}` };
  const log = createConsoleLog(format, {
    ...{ stdout: output, stderr: output },
    env: "JOURNAL_STREAM" in env ? { ...journal, ...(env["JOURNAL_STREAM"] && env) } : env,
  });
  for (const event of events) toLog(log)(toRecord(event, 0), event);
  log.warn("No LED");
  return String(output.read()).split("\n").slice(0, -1);
}

const time = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`;

describe("a line", () => {
  test("in a file has the time, level, application and service, and short digests and ids", async () => {
    const lines = await written("text");
    const expected = [
      "info app 7 web: Installing service 'web shop/web@sha256:0123456789ab'",
      String.raw`error app 7: Failed to kill ffffffffffff:\n\u001b[2Jno`,
      "warn The machine cannot be measured: no /proc",
      "warn No LED",
    ];
    expect(lines.map((line) => line.replace(new RegExp(`^${time} `), ""))).toEqual(expected);
    for (const line of lines) expect(line).toMatch(new RegExp(`^${time} `));
  });

  test("in a terminal has the local time without the date, and its level as a column", async () => {
    const lines = await written("text", { isTTY: true });
    const plain = lines.map((line) => line.replace(/\u001b\[\d+m/g, ""));
    expect(plain[0]).toMatch(/^\d\d:\d\d:\d\d info  app 7 web: Installing/);
    expect(plain[2]).toMatch(/^\d\d:\d\d:\d\d warn  The machine/);
  });

  test("in systemd's journal has a priority, and no time", async () => {
    expect(await written("text", { env: { JOURNAL_STREAM: "" } })).toEqual([
      "<6>app 7 web: Installing service 'web shop/web@sha256:0123456789ab'",
      String.raw`<3>app 7: Failed to kill ffffffffffff:\n\u001b[2Jno`,
      "<4>The machine cannot be measured: no /proc",
      "<4>No LED",
    ]);
  });

  test("of a program whose output is redirected from the journal to a file has no priority", async () => {
    for (const line of await written("text", { env: { JOURNAL_STREAM: "8:1" } })) expect(line).not.toMatch(/^</);
  });

  test("as JSON has the fields of the event, with whole names of images", async () => {
    const at = expect.stringMatching(new RegExp(`^${time}$`));
    expect((await written("json")).map((line): unknown => JSON.parse(line))).toEqual([
      {
        ...{ time: at, level: "info", kind: "serviceInstalling", appId: 7, service: "web", commit: "abc" },
        message: "Installing service 'web shop/web@sha256:0123456789ab'",
        ...{ image: `shop/web@${digest}`, cause: "release" },
      },
      {
        ...{ time: at, level: "error", kind: "stepFailed", appId: 7 },
        message: "Failed to kill ffffffffffff:\n\u001b[2Jno",
        reason: `Failed to kill ${"f".repeat(64)}:\n\u001b[2Jno`,
      },
      {
        ...{ time: at, level: "warn", kind: "metricsFailed", message: "The machine cannot be measured: no /proc" },
        reason: "no /proc",
      },
      { time: at, level: "warn", kind: "agent", message: "No LED" },
    ]);
  });
});

test("the program logs to a pipe, as text or JSON, and never a variable's value", async () => {
  const [text, json] = await Promise.all(
    [[], ["--log-format", "json"]].map(async (args) => {
      const agent = await startAgent(await temporaryFolder(), { args });
      const secret = { ...service("web", 1), environment: { TOKEN: "hunter2" } };
      await agent.post("/v2/local/target-state", target([secret]));
      await settled(agent);
      agent.kill("SIGTERM");
      const { stdout, stderr } = await agent.ended;
      expect(stdout + stderr).not.toContain("hunter2");
      return stdout.trim().split("\n");
    }),
  );
  expect(
    text?.filter((line) => new RegExp(`^${time} info app 1 web: Installed service 'web `).test(line)),
  ).toHaveLength(1);
  const lines = (json ?? []).map((line): unknown => JSON.parse(line));
  expect(lines).toContainEqual(expect.objectContaining({ kind: "serviceInstalled", appId: 1, service: "web" }));
  expect(lines[0]).toMatchObject({
    ...{ level: "info", kind: "agent" },
    message: expect.stringMatching(/^Fairlead answers on http:/),
  });
});

test("the program sends priorities if its output is systemd's journal", async () => {
  const folder = await temporaryFolder();
  const file = join(folder, "journal");
  const fd = openSync(file, "w");
  onTestFinished(() => closeSync(fd));
  const { dev, ino } = fstatSync(fd);
  const settings = [
    "--engine",
    "embedded",
    "--port",
    "0",
    "--listen",
    "127.0.0.2",
    "--state-dir",
    join(folder, "state"),
  ];
  const child = spawn(
    process.execPath,
    ["--import", "tsx", "runtimes/cli/cli.ts", "agent", ...settings, "--host-root", folder],
    {
      cwd: join(import.meta.dirname, "../.."),
      env: { PATH: process.env["PATH"], JOURNAL_STREAM: `${dev}:${ino}` },
      stdio: ["ignore", fd, fd],
    },
  );
  onTestFinished(() => void child.kill("SIGKILL"));
  await expect.poll(() => readFileSync(file, "utf8"), { timeout: 30_000 }).toMatch(/ try +curl (\S+)\n/);
  const said = readFileSync(file, "utf8");
  expect(said).toMatch(/^<4> {2}WARNING {2}everybody who reaches these addresses/m);
  const url = / try +curl (http:\/\/[^/]+)/.exec(said)?.[1] ?? "";
  const body = JSON.stringify(target([service("web", 1)]));
  await fetch(`${url}/v2/local/target-state`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  await expect
    .poll(() => readFileSync(file, "utf8"), { timeout: 30_000 })
    .toMatch(/^<6>app 1 web: Installed service 'web /m);
});
