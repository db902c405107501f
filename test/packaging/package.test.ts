import { execFile, spawn } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { supervisorVersion } from "fairlead";

/** The published package, built, packed, and unpacked in a folder that knows nothing of this one. */

const root = join(import.meta.dirname, "../..");
const run = promisify(execFile);
const node = (...args: readonly string[]) => run(process.execPath, [...args], { cwd: folder });

const Packed = z.array(z.object({ filename: z.string(), files: z.array(z.object({ path: z.string() })) }));
const Manifest = z.object({
  version: z.string(),
  license: z.string(),
  dependencies: z.record(z.string(), z.string()),
  bin: z.object({ fairlead: z.string() }),
  exports: z.record(z.string(), z.unknown()),
});
const readManifest = (file: string): unknown => JSON.parse(readFileSync(file, "utf8"));

const folder = mkdtempSync(join(tmpdir(), "fairlead-package-"));
const installed = join(folder, "node_modules/fairlead");
let files: readonly string[];

beforeAll(async () => {
  const dist = join(folder, "dist");
  await run(process.execPath, ["--import", "tsx", "packaging/build.ts", dist], { cwd: root });
  const [packed] = Packed.parse(JSON.parse((await run("npm", ["pack", "--json", dist], { cwd: folder })).stdout));
  files = packed?.files.map(({ path }) => path) ?? [];
  // As npm would, but for the registry: its only dependency is already here.
  mkdirSync(installed, { recursive: true });
  await run("tar", ["-xzf", join(folder, packed?.filename ?? ""), "--strip-components=1", "-C", installed]);
  symlinkSync(join(root, "node_modules/zod"), join(folder, "node_modules/zod"));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
  copyFileSync(join(import.meta.dirname, "user.ts"), join(folder, "user.ts"));
});

afterAll(() => rmSync(folder, { recursive: true }));

test("its manifest has the root's version and licence, and none of the tools that it is made with", () => {
  const { version, license } = z
    .object({ version: z.string(), license: z.string() })
    .parse(readManifest(join(root, "package.json")));
  const manifest = Manifest.loose().parse(readManifest(join(installed, "package.json")));
  expect(manifest).toMatchObject({ version, license, bin: { fairlead: "cli.js" } });
  expect(manifest).not.toHaveProperty("devDependencies");
  expect(manifest).not.toHaveProperty("private");
  expect(Object.keys(manifest.dependencies)).toEqual(["zod"]);
  expect(Object.keys(manifest.exports)).toEqual([".", "./node", "./testing", "./package.json"]);
});

test("it holds the program, the doors, their types, and the licences; no sources and no tests", () => {
  expect(files).toEqual(
    expect.arrayContaining([
      "cli.js",
      ...["index.js", "node.js", "testing.js"],
      ...["types/core/index.d.ts", "types/runtimes/node/index.d.ts", "types/core/embedded/index.d.ts"],
      ...["README.md", "LICENSE", "THIRD-PARTY-LICENSES.txt"],
    ]),
  );
  expect(files.filter((file) => /test\b|(?<!\.d)\.ts$/.test(file) && file !== "testing.js")).toEqual([]);
});

/** All files that are loaded with one, at once or later. */
function reach(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  const text = readFileSync(join(installed, file), "utf8");
  for (const [, name = ""] of text.matchAll(/(?:from|import)\s*"\.\.?\/([^"]+)"/g))
    reach(/chunks\//.test(name) || !file.startsWith("chunks/") ? name : `chunks/${name}`, seen);
  return seen;
}

test("`fairlead` and `fairlead/testing` need no Node", () => {
  for (const door of ["index.js", "testing.js"])
    for (const file of reach(door))
      expect(readFileSync(join(installed, file), "utf8"), file).not.toMatch(/from\s*"node:|import\s*"node:/);
});

describe("for who has installed it", () => {
  test("types hold under the strictest settings, those of the declarations checked too", async () => {
    const compilerOptions = {
      ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, skipLibCheck: false },
      ...{ module: "NodeNext", target: "ES2024", lib: ["ES2024"], noEmit: true, verbatimModuleSyntax: true },
      ...{ types: ["node"], typeRoots: [join(root, "node_modules/@types")] },
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["user.ts"] }));
    const compiled = await node(join(root, "node_modules/typescript/bin/tsc"), "-p", ".").catch(
      (error: unknown) => error,
    );
    expect(compiled).toMatchObject({ stdout: "" });
    expect(compiled).not.toBeInstanceOf(Error);
  });

  test("each subpath works, the agent embedded in a server of the user's own", async () => {
    const { stdout } = await node("--import", import.meta.resolve("tsx"), "user.ts", join(folder, "state"), folder);
    expect(JSON.parse(stdout)).toEqual({
      overHttp: "OK",
      inMemory: { status: "success", version: supervisorVersion },
      engine: "embedded",
      power: false,
      statuses: [202, 299],
      supervisor: "function",
    });
  });

  test("`fairlead agent --engine embedded` answers", async () => {
    const args = ["agent", "--engine", "embedded", "--port", "0", "--host-root", folder];
    const agent = spawn(
      process.execPath,
      [join(installed, "cli.js"), ...args, "--state-dir", join(folder, "state-2")],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    onTestFinished(() => void agent.kill("SIGKILL"));
    let said = "";
    for await (const bytes of agent.stdout) if (/curl \S+\n/.test((said += String(bytes)))) break;
    const [, url] = /Fairlead answers on (\S+)/.exec(said) ?? [];
    expect(await (await fetch(`${url}/ping`)).text()).toBe("OK");
  });

  test("`fairlead doctor` speaks with the system bus and the engine", async () => {
    const bus = `unix:path=${folder}/no.bus`;
    const { stdout } = await node(
      join(installed, "cli.js"),
      "doctor",
      "--bus",
      bus,
      "--docker-host",
      "unix:///no.sock",
    );
    expect(stdout).toContain(`no: The system bus at ${bus} does not answer: connect ENOENT`);
    expect(stdout).toMatch(/^engine +no: connect ENOENT \/no\.sock/m);
  });

  test("`fairlead agent` without an engine says in one sentence what is missing, and ends with 1", async () => {
    const ended = await node(join(installed, "cli.js"), "agent", "--docker-host", "unix:///nonexistent.sock").catch(
      (error: unknown) => error,
    );
    expect(ended).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringMatching(
        /^No Docker engine answers at unix:\/\/\/nonexistent\.sock \(.+\)\. Start it, set DOCKER_HOST, or try with --engine embedded\.\n$/,
      ),
    });
  });

  test("an engine over SSH is refused, with a way to have it all the same", async () => {
    const ended = await node(join(installed, "cli.js"), "agent", "--docker-host", "ssh://root@192.0.2.1").catch(
      (error: unknown) => error,
    );
    expect(ended).toMatchObject({ code: 1, stderr: expect.stringMatching(/^No .*ssh -L .*\n$/) });
  });
});
