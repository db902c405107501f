import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

/** What `npm run package` makes. test/host/install.test.ts installs it. */

const root = join(import.meta.dirname, "../..");
const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), "fairlead-debian-"));
const arch = process.arch === "arm64" ? "arm64" : "amd64";
const tree = join(folder, "tree");
const read = (file: string) => readFileSync(join(folder, file), "utf8");

const make = (out: string) =>
  run(
    process.execPath,
    [
      "--import",
      "tsx",
      "packaging/package.ts",
      "--quick",
      "--arch",
      arch,
      "--version",
      "1.2.3",
      "--out",
      join(folder, out),
    ],
    { cwd: root },
  );

beforeAll(async () => {
  await make("one");
  await run("dpkg-deb", ["--raw-extract", join(folder, `one/fairlead_1.2.3_${arch}.deb`), tree]);
}, 240_000);
afterAll(() => rmSync(folder, { recursive: true }));

test("two runs give the same bytes", { timeout: 240_000 }, async () => {
  await make("two");
  expect(read("two/SHA256SUMS")).toBe(read("one/SHA256SUMS"));
  expect(
    read("one/SHA256SUMS")
      .match(/^[0-9a-f]{64} {2}\S+$/gm)
      ?.map((line) => line.slice(66)),
  ).toEqual([`fairlead-1.2.3-linux-${arch}.tar.gz`, `fairlead_1.2.3_${arch}.deb`, "install.sh"]);
});

test("the program in it runs with the Node in it, and its settings file lists every setting as a comment", async () => {
  const { stdout } = await run(join(tree, "usr/lib/fairlead/node"), [
    join(tree, "usr/lib/fairlead/cli.js"),
    "agent",
    "--help",
  ]);
  const variables = [...stdout.matchAll(/^ {2}--\S+ <value> .*\(([A-Z_]+); default: /gm)].map(([, name]) => name);
  expect(variables).toContain("FAIRLEAD_PORT");
  const settings = read("tree/etc/fairlead.env");
  expect([...settings.matchAll(/^#([A-Z_]+)=$/gm)].map(([, name]) => name)).toEqual(variables);
  expect(settings.match(/^[^#\n]/gm)).toBeNull();
  expect(read("tree/DEBIAN/conffiles")).toBe("/etc/fairlead.env\n");
});

test("bash completes commands, commands of commands, and options", async () => {
  const complete = async (...words: readonly string[]) => {
    const script = `. "$0"; COMP_WORDS=(fairlead "$@"); COMP_CWORD=$#; _fairlead; echo "\${COMPREPLY[@]}"`;
    const file = join(tree, "usr/share/bash-completion/completions/fairlead");
    return (await run("bash", ["-c", script, file, ...words])).stdout.trim().split(" ");
  };
  expect(await complete("")).toEqual(expect.arrayContaining(["agent", "doctor", "join", "cloud"]));
  expect(await complete("cloud", "dev")).toEqual(["devices", "device"]);
  expect(await complete("cloud", "fleet", "")).toEqual(expect.arrayContaining(["create", "key", "keys", "revoke-key"]));
  expect(await complete("join", "--k")).toEqual(["--key"]);
  expect(await complete("agent", "--po")).toEqual(["--port"]);
  expect(await complete("cloud", "release", "--dry")).toEqual(["--dry-run"]);
  expect(await complete("cloud", "token", "--wr")).toEqual([""]);
  expect(await complete("cloud", "token", "create", "--wr")).toEqual(["--write"]);
});

test("an architecture without a package is refused, with those that have one", async () => {
  const args = ["--import", "tsx", "packaging/package.ts", "--arch", "armhf", "--out", join(folder, "none")];
  await expect(run(process.execPath, args, { cwd: root })).rejects.toThrow(
    '--arch: expected amd64 or arm64, got "armhf"',
  );
});
