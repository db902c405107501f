import { describe, expect, test } from "vitest";
import { SettingsError, UsageError } from "../../runtimes/node/settings-error.ts";
import { commands } from "../../runtimes/cli/commands.ts";
import { plainIo, type Io } from "../../runtimes/cli/io.ts";
import { runProgram } from "../../runtimes/cli/run.ts";
import { table } from "../../runtimes/cli/table.ts";
import { startProgram } from "../node/program.ts";

/** What the program prints, and its status or the error. */
async function type(args: readonly string[], io: Partial<Io> = {}) {
  let printed = "";
  const error = await runProgram(args, { ...plainIo({}, (text) => (printed += text)), ...io }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return { printed, error, message: error instanceof SettingsError ? error.message : undefined };
}

describe("a wrong command line is refused with the correction", () => {
  test.each<[typed: string, message: RegExp]>([
    ["agnet", /^There is no command fairlead agnet; did you mean "agent"\?\nfairlead --help lists the commands$/],
    ["cloud relese a b", /^There is no command fairlead cloud relese; did you mean "release"\?\nfairlead cloud --help/],
    ["cloud fleet creat x", /^There is no command fairlead cloud fleet creat; did you mean "create"\?/],
    ["cloud env TOKEN=hunter2", /^There is no command fairlead cloud env TOKEN=\(hidden\)\n/],
    ["cloud env set TOKEN=hunter2", /^Expected: fairlead cloud env set <device> <NAME=value>…, but got 1 argument$/],
    ["cloud release", /^Expected: fairlead cloud release <fleet> <compose file>, but got no argument$/],
    ["cloud releases a b", /^Expected: fairlead cloud releases <fleet>, but got 2 arguments$/],
    ["cloud release a b --dryrun", /^There is no option --dryrun; did you mean "--dry-run"\?$/],
    ["cloud logs d --count abc", /^--count: expected a whole number of 1 or more, but got "abc"$/],
    ["cloud wait f --timeout soon", /^--timeout: expected a number of minutes, at most 10080, but got "soon"$/],
    ["cloud wait f --stay-up 4000", /^--stay-up: expected a number of seconds, at most 3600, but got "4000"$/],
    ["cloud release f c --wait --offline skip", /^--offline: expected the word wait, but got "skip"$/],
    ["cloud release f c --wait --dry-run", /^--wait: nothing is released with --dry-run$/],
    ["cloud audit --count 0", /^--count: expected a whole number of 1 or more, but got "0"$/],
    ["cloud call d GET v1/device", /^Expected a path such as \/v1\/device, but got "v1\/device"$/],
    ["cloud call d POST /v1/restart --data {appId", /^--data is no JSON: /],
    ["cloud call d GET /v1/device --expires 60", /^--expires is for requests with --when-online$/],
    ["cloud call d GET /v1/device --expires 10x", /^--expires: expected a time such as 90s, 10m or 2h, but got "10x"$/],
    ["cloud call --fleet f GET /v1/device --when-online", /^--when-online is for one device, not a fleet$/],
    ["agent --prot 1", /^There is no option --prot; did you mean "--port"\?$/],
    ["agent --port abc", /^--port \(or FAIRLEAD_PORT\): expected a port, 0 to 65535, but got "abc"$/],
    ["completion tcsh", /^There is no shell "tcsh".*bash/],
    ["--port 80", /^There is no command fairlead 80/],
  ])("fairlead %s", async (typed, message) => {
    const { error, message: said } = await type(typed.split(" "));
    expect(said).toMatch(message);
    expect(said).not.toContain("hunter2");
    expect(error).toBeInstanceOf(UsageError);
  });
});

test.each(commands.map(({ usage }) => [usage]))("fairlead %s has a help with its options", async (usage) => {
  const verbs = usage.split(" ").filter((word) => /^[a-z][a-z-]*$/.test(word));
  const { printed } = await type([...verbs, "--help"]);
  expect(printed).toMatch(new RegExp(`^Usage: fairlead ${verbs.join(" ")}`));
  expect(printed.split("\n").length).toBeGreaterThan(4);
  expect((await type(["help", ...verbs])).printed).toBe(printed);
});

test("the program's help names every command that needs no cloud, that of cloud the others", async () => {
  const all = [(await type(["--help"])).printed, (await type(["cloud", "-h"])).printed];
  for (const { usage } of commands) expect(all[usage.startsWith("cloud ") ? 1 : 0]).toContain(`  ${usage}`);
  expect((await type([])).printed).toBe(all[0]);
  expect((await type(["cloud"])).printed).toBe(all[1]);
});

test("the version is printed", async () => {
  const { printed } = await type(["--version"]);
  expect(printed).toMatch(/^fairlead \d+\.\d+\.\d+ \(Supervisor API \d+\.\d+\.\d+\)\n$/);
});

describe("a deletion", () => {
  const revoke = ["cloud", "token", "revoke", "t"];
  const account = { FAIRLEAD_CLOUD_URL: "http://127.0.0.1:1", FAIRLEAD_CLOUD_TOKEN: "secret" };
  const question = "Revoke the token t, and all keys and tokens that were made with it?";

  test("without a terminal needs --yes", async () => {
    const { message } = await type(revoke, { environment: account });
    expect(message).toBe(`${question} To confirm, add --yes`);
    expect((await type([...revoke, "--yes"], { environment: account })).message).toMatch(/cannot be reached/);
  });

  test.each([
    ["y", /cannot be reached/],
    ["yes", /cannot be reached/],
    ["", /^Nothing was changed$/],
    ["n", /^Nothing was changed$/],
  ])("in a terminal asks; the answer %j", async (answer, message) => {
    const asked: string[] = [];
    const ask = async (question: string) => (asked.push(question), answer);
    expect((await type(revoke, { environment: account, isTerminal: true, ask })).message).toMatch(message);
    expect(asked).toEqual([`${question} [y/N] `]);
  });
});

test("a secret is asked for without echo, and is not an argument", async () => {
  const asked: object[] = [];
  const ask: Io["ask"] = async (question, options) => (asked.push({ question, ...options }), "secret");
  const { message } = await type(["cloud", "init", "http://127.0.0.1:1"], { isTerminal: true, ask });
  expect(message).toMatch(/cannot be reached/);
  expect(asked).toEqual([{ question: "The token, or the admin secret: ", secret: true }]);
});

describe("a table", () => {
  const rows = [
    { name: "kitchen", uuid: "a".repeat(32), problem: "\u001b[31mred" },
    { name: "roof", uuid: "b".repeat(32), problem: null },
  ];
  const style = (_: unknown, text: string) => text;

  test("has the width of its cells in a pipe, and replaces control characters", () => {
    expect(table(rows, { columns: undefined, style })).toBe(
      `NAME     UUID                              PROBLEM\nkitchen  ${"a".repeat(32)}  ?[31mred\nroof     ${"b".repeat(32)}  -\n`,
    );
  });

  test("fits a terminal: the widest columns are shortened, the first one last", () => {
    const lines = table(rows, { columns: 36, style }).trimEnd().split("\n");
    expect(lines[1]).toBe(`kitchen  ${"a".repeat(16)}…  ?[31mred`);
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(36);
  });
});

describe("the process", () => {
  test("ends with 2 for a wrong command line, and with 1 for a fault", async () => {
    expect(await startProgram(["agnet"]).ended).toMatchObject({ code: 2, stdout: "" });
    const fleets = startProgram(["cloud", "fleet"], {
      FAIRLEAD_CLOUD_URL: "http://127.0.0.1:1",
      FAIRLEAD_CLOUD_TOKEN: "t",
    });
    expect(await fleets.ended).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringMatching(/cannot be reached: /),
    });
  });

  test("ends silently when the reader of its output ends", async () => {
    const { execFileSync } = await import("node:child_process");
    const line = `${process.execPath} --import tsx runtimes/cli/cli.ts completion bash | head -1`;
    const printed = execFileSync("bash", ["-c", `set -o pipefail; ${line} 2>&1`], { encoding: "utf8" });
    expect(printed).toBe("# Completion of fairlead for bash.\n");
  });
});
