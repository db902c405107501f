import { execFile, spawn } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { createTestHarness } from "wrangler";
import { supervisorVersion } from "fairlead";
import "../worker/offline.ts";

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
  expect(Object.keys(manifest.exports)).toEqual([".", "./node", "./testing", "./client", "./worker", "./package.json"]);
});

test("it holds the program, the doors, their types, and the licences; no sources and no tests", () => {
  expect(files).toEqual(
    expect.arrayContaining([
      "cli.js",
      ...["index.js", "node.js", "testing.js", "client.js", "worker.js", "wrangler.toml"],
      ...["types/core/index.d.ts", "types/runtimes/node/index.d.ts", "types/core/embedded/index.d.ts"],
      "types/runtimes/worker/worker.d.ts",
      ...["README.md", "LICENSE", "THIRD-PARTY-LICENSES.txt", "sbom.cdx.json"],
      "device.html.gz",
      ...["systemd/fairlead.service", "systemd/fairlead.conf"],
    ]),
  );
  expect(files.filter((file) => /test\b|(?<!\.d)\.ts$/.test(file) && file !== "testing.js")).toEqual([]);
});

test("its bill of materials names each bundled package once, with its version and licence, and no path of this machine", () => {
  const text = readFileSync(join(installed, "sbom.cdx.json"), "utf8");
  const { bomFormat, components } = Sbom.parse(JSON.parse(text));
  const named = components.map(({ group, name, version }) => `${group ? `${group}/` : ""}${name} ${version}`);
  const licences = readFileSync(join(installed, "THIRD-PARTY-LICENSES.txt"), "utf8");
  const bundled = [...licences.matchAll(/^(\S+ \d+\.\d+\.\d+\S*) \(.+\)$/gm)].map(([, one]) => one);
  expect(bomFormat).toBe("CycloneDX");
  expect(named.toSorted()).toEqual(bundled.toSorted());
  expect(named.length).toBeGreaterThan(20);
  expect(components.filter(({ licenses }) => licenses.length === 0)).toEqual([]);
  expect(text).not.toContain(root);
});

const Sbom = z.object({
  bomFormat: z.string(),
  components: z.array(
    z.object({
      group: z.string().optional(),
      name: z.string(),
      version: z.string(),
      licenses: z.array(z.unknown()),
    }),
  ),
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

test("`fairlead`, `fairlead/testing`, `fairlead/client` and `fairlead/worker` need no Node", () => {
  for (const door of ["index.js", "testing.js", "client.js", "worker.js"])
    for (const file of reach(door))
      expect(readFileSync(join(installed, file), "utf8"), file).not.toMatch(/from\s*"node:|import\s*"node:/);
});

async function compile(file: string, more: object): Promise<void> {
  const compilerOptions = {
    ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, skipLibCheck: false },
    ...{ module: "NodeNext", target: "ES2024", lib: ["ES2024"], noEmit: true, verbatimModuleSyntax: true },
    ...more,
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: [file] }));
  const compiled = await node(join(root, "node_modules/typescript/bin/tsc"), "-p", ".").catch(
    (error: unknown) => error,
  );
  expect(compiled).toMatchObject({ stdout: "" });
  expect(compiled).not.toBeInstanceOf(Error);
}

describe("for who has installed it", () => {
  test("types hold under the strictest settings, those of the declarations checked too", async () => {
    await compile("user.ts", { types: ["node"], typeRoots: [join(root, "node_modules/@types")] });
  });

  test("each subpath works, the agent embedded in a server of the user's own", async () => {
    const { stdout } = await node("--import", import.meta.resolve("tsx"), "user.ts", join(folder, "state"), folder);
    expect(JSON.parse(stdout)).toEqual({
      overHttp: "OK",
      inMemory: { status: "success", version: supervisorVersion },
      states: {},
      unnamed: 404,
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
    // The exit status is 1 without an engine, and execFile's error has the output.
    const doctor = ["doctor", "--bus", bus, "--docker-host", "unix:///no.sock"];
    const ended = await node(join(installed, "cli.js"), ...doctor).catch((error: unknown) => error);
    const { code, stdout } = z.object({ code: z.number(), stdout: z.string() }).parse(ended);
    expect(code).toBe(1);
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

  test("on a Node that is too old, the program says so in one sentence, and ends with 1", async () => {
    // As the real one, it must not get as far as an import, which fails there.
    expect(readFileSync(join(installed, "cli.js"), "utf8")).not.toMatch(/^import\b/m);
    const older = (version: string) =>
      `data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"${version}"}})`;
    const start = (version: string) =>
      node("--import", older(version), join(installed, "cli.js"), "help").catch((error: unknown) => error);
    for (const version of ["20.20.2", "22.12.0"])
      expect(await start(version)).toMatchObject({
        code: 1,
        stdout: "",
        stderr: `fairlead needs Node 22.13 or later, and this is Node ${version}.\n`,
      });
    for (const version of ["22.13.0", "24.0.0"])
      expect(await start(version)).toMatchObject({ stdout: expect.stringMatching(/^Usage: fairlead/), stderr: "" });
  });

  test("an engine over SSH is refused, with a way to have it all the same", async () => {
    const ended = await node(join(installed, "cli.js"), "agent", "--docker-host", "ssh://root@192.0.2.1").catch(
      (error: unknown) => error,
    );
    expect(ended).toMatchObject({ code: 1, stderr: expect.stringMatching(/^No .*ssh -L .*\n$/) });
  });

  describe("a Worker of three lines is the cloud", () => {
    beforeAll(() => {
      writeFileSync(
        join(folder, "cloud.ts"),
        `import cloud from "fairlead/worker";
export { DeviceLogs, DeviceSession, Directory } from "fairlead/worker";
export default cloud;
`,
      );
      const deployment = readFileSync(join(installed, "wrangler.toml"), "utf8");
      writeFileSync(join(folder, "wrangler.toml"), deployment.replace('"worker.js"', '"cloud.ts"'));
    });

    test("its types hold", () =>
      compile("cloud.ts", { types: [join(root, "node_modules/@cloudflare/workers-types")] }));

    test("it makes a fleet, and lets a device join", async () => {
      const secret = "the admin secret of the tests of Fairlead";
      const worker = createTestHarness({
        workers: [{ configPath: join(folder, "wrangler.toml"), secrets: { ADMIN_SECRET: secret } }],
      });
      onTestFinished(() => worker.close());
      const { origin } = (await worker.listen()).url;
      const make = async <T>(shape: z.ZodType<T>, path: string, body: object, bearer: string): Promise<T> => {
        const headers = { authorization: `Bearer ${bearer}`, "content-type": "application/json" };
        const response = await fetch(origin + path, { method: "POST", headers, body: JSON.stringify(body) });
        expect(response.status).toBe(201);
        return shape.parse(await response.json());
      };
      const { id } = await make(z.object({ id: z.int() }), "/admin/v1/fleets", { name: "boards" }, secret);
      const keys = `/admin/v1/fleets/${id}/provisioning-keys`;
      const { key } = await make(z.object({ key: z.string() }), keys, {}, secret);
      const uuid = "0123456789abcdef0123456789abcdef";
      const newcomer = { application: id, device_type: "generic-amd64", uuid };
      expect(await make(z.object({ uuid: z.string() }), "/device/register", newcomer, key)).toEqual({ uuid });
    });
  });
});
