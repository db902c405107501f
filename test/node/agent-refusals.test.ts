import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { startProgram } from "./program.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** The real program with settings or a machine with which it cannot start. */

describe("refused with one sentence:", () => {
  /** The exit code is 2 for a wrong command line, and 1 for a fault of the machine. */
  async function refusal(args: readonly string[], environment: Readonly<Record<string, string>> = {}, status = 1) {
    const { code, stdout, stderr } = await startProgram(args, environment).ended;
    expect({ code, stdout }).toEqual({ code: status, stdout: "" });
    expect(stderr).not.toMatch(/\n +at /);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    return stderr.trim();
  }

  test.each<[readonly string[], RegExp]>([
    [["--port", "abc"], /^--port \(or FAIRLEAD_PORT\): expected a port, 0 to 65535, but got "abc"$/],
    [["--engine", "podman"], /^--engine \(or FAIRLEAD_ENGINE\): expected docker or embedded, but got "podman"$/],
    [["--prot", "1"], /^There is no option --prot; did you mean "--port"\?$/],
    [["now"], /^Unexpected argument 'now'/],
  ])("agent %j", async (args, sentence) => {
    expect(await refusal(["agent", ...args], {}, 2)).toMatch(sentence);
  });

  test("a config.json that does not exist, with the option that names it", async () => {
    expect(await refusal(["agent", "--config", "/nonexistent/config.json"])).toMatch(
      /^\/nonexistent\/config\.json \(--config or FAIRLEAD_CONFIG\) cannot be read: ENOENT/,
    );
  });

  test("a wrong variable", async () => {
    expect(await refusal(["agent"], { FAIRLEAD_PORT: "abc" }, 2)).toMatch(/^--port \(or FAIRLEAD_PORT\): /);
  });

  test("a config.json that is not valid", async () => {
    const file = join(await temporaryFolder(), "config.json");
    await writeFile(file, "{");
    expect(await refusal(["agent", "--config", file])).toMatch(/config\.json is not JSON: /);
  });

  test("a missing Docker", async () => {
    const args = ["agent", "--port", "0", "--docker-host", "unix:///nonexistent.sock"];
    expect(await refusal([...args, "--state-dir", await temporaryFolder()])).toMatch(
      /^No Docker engine answers at unix:\/\/\/nonexistent\.sock \(.+\)\. Start it, set DOCKER_HOST, or try with --engine embedded\.$/,
    );
  });

  /** Everything that an agent needs, except what a test removes. */
  const almost = (folder: string) => [
    "agent",
    ...["--engine", "embedded", "--port", "0", "--state-dir", join(folder, "state"), "--host-root", folder],
  ];

  test("a port number in use", async () => {
    const other = createServer();
    onTestFinished(() => void other.close());
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const address = other.address();
    const port = typeof address === "object" && address ? String(address.port) : "";
    expect(await refusal([...almost(await temporaryFolder()), "--port", port])).toMatch(
      new RegExp(
        `^Cannot answer on 127\\.0\\.0\\.1, port ${port}: .*EADDRINUSE.*: another program listens there, .*balena-supervisor.*--port`,
      ),
    );
  });

  test("an address of another machine", async () => {
    expect(await refusal([...almost(await temporaryFolder()), "--listen", "203.0.113.1"])).toMatch(
      /^Cannot answer on 203\.0\.113\.1, port \d+: .*EADDRNOTAVAIL.*: this machine does not have this address; see --listen/,
    );
  });

  test("a state folder that cannot be created", async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, "file"), "");
    expect(await refusal([...almost(folder), "--state-dir", join(folder, "file", "state")])).toContain(
      join(folder, "file"),
    );
  });

  test("a file that is not a database", async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, "state"));
    await writeFile(join(folder, "state", "embedded.sqlite"), "This is no database.".repeat(100));
    expect(await refusal(almost(folder))).toContain("embedded.sqlite");
  });

  test("a host's root that does not exist", async () => {
    const folder = await temporaryFolder();
    expect(await refusal([...almost(folder), "--host-root", "/nonexistent/root"])).toContain("/nonexistent/root");
  });

  test("an unknown command", async () => {
    const { code, stderr } = await startProgram(["fly"]).ended;
    expect(code).toBe(2);
    expect(stderr).toBe("There is no command fairlead fly\nfairlead --help lists the commands\n");
  });
});

test.each([[[]], [["help"]], [["--help"]]])("%j lists the commands", async (args) => {
  const { code, stdout, stderr } = await startProgram(args).ended;
  expect([code, stderr]).toEqual([0, ""]);
  for (const command of ["agent", "doctor", "join", "cloud"])
    expect(stdout).toMatch(new RegExp(`^  ${command} +\\S`, "m"));
});

test.each(["agent", "doctor"])("%s --help lists the settings", async (command) => {
  const { code, stdout, stderr } = await startProgram([command, "--help"]).ended;
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toContain(`Usage: fairlead ${command} [options]\n`);
  for (const flag of [
    "--port",
    "--listen",
    "--allow-origin",
    "--allow-host",
    "--engine",
    "--state-dir",
    "--host-root",
    "--config",
    "--led-file",
    "--docker-host",
  ])
    expect(stdout).toContain(`${flag} `);
});
