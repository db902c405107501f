import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestHarness } from "wrangler";
import * as z from "zod";
import { wait } from "../support/wait.ts";
import "../worker/offline.ts";

/**
 * Every command line with `fairlead` in README.md and docs/, as it is typed, with the built package, installed by npm, and
 * the built Worker. The lines run in their order, against one cloud.
 */

const root = join(import.meta.dirname, "../..");
const run = promisify(execFile);
const secret = "the admin secret of the tests of Fairlead";
const folder = mkdtempSync(join(tmpdir(), "fairlead-command-lines-"));
const bin = join(folder, "node_modules/.bin/fairlead");

interface Line {
  readonly file: string;
  readonly text: string;
}

/** Indented lines, with and without a prompt, and code within sentences. A comment is not typed. */
function linesOf(file: string): Line[] {
  // Wrong lines: test/docs/troubleshooting.test.ts types them.
  const text = readFileSync(join(root, file), "utf8").replace(/^## Typed by mistake$[^]*/m, "");
  const found = [...text.matchAll(/^ {4,}(?:\$ )?((?:sudo )?fairlead .*)$|`(fairlead [^`…<]+(?:<[^`]*)?)`/gm)];
  return found.map(([, block, inline]) => ({ file, text: (block ?? inline ?? "").replace(/\s+#.*$/, "").trim() }));
}

/** The pages that make a cloud, a fleet, a device and a release come first. */
const walk = ["cloud.md", "fleet.md"];
const pages = readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md"));
const docs = ["README.md", ...new Set([...walk, ...pages.sort()].map((name) => `docs/${name}`))];
const lines = docs.flatMap(linesOf);

/** Parts of sentences that name a command without its arguments: they are refused, with the arguments that are expected. */
const names = new Set([
  ...["fairlead cloud env", "fairlead cloud release", "fairlead cloud device delete", "fairlead join --dev"],
  ...[
    "fairlead join",
    "fairlead cloud env list",
    "fairlead cloud env set",
    "fairlead cloud fleet forbid",
    "fairlead cloud init",
    "fairlead cloud token create",
  ],
]);

const worker = createTestHarness({
  workers: [{ configPath: join(folder, "dist/wrangler.toml"), secrets: { ADMIN_SECRET: secret } }],
});
let cloud = "";
let environment: NodeJS.ProcessEnv;
let agent: ReturnType<typeof spawn> | undefined;

beforeAll(async () => {
  await run(process.execPath, ["--import", "tsx", "packaging/build.ts", join(folder, "dist")], { cwd: root });
  // Its only dependency, which is for its types, comes from a folder: there is no registry.
  const pack = async (from: string) => (await run("npm", ["pack", "--silent", from], { cwd: folder })).stdout.trim();
  const packages = [await pack(join(root, "node_modules/zod")), await pack(join(folder, "dist"))];
  writeFileSync(join(folder, "package.json"), "{}");
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", ...packages.map((one) => `./${one}`)], {
    cwd: folder,
  });
  cloud = (await worker.listen()).url.origin;
  writeFileSync(join(folder, "admin-secret"), secret);
  writeFileSync(join(folder, "docker-compose.yml"), compose(readFileSync(join(root, "docs/fleet.md"), "utf8")));
  mkdirSync(join(folder, "host"));
  environment = {
    PATH: `${join(process.execPath, "..")}:${process.env["PATH"]}`,
    HOME: folder,
    XDG_STATE_HOME: join(folder, "state"),
    XDG_CONFIG_HOME: join(folder, "config"),
    FAIRLEAD_STATE_DIR: join(folder, "state/fairlead"),
    FAIRLEAD_HOST_ROOT: join(folder, "host"),
    FAIRLEAD_ENGINE: "embedded",
    // Commands of the device look for the agent there.
    FAIRLEAD_PORT: String(await freePort()),
  };
}, 240_000);

afterAll(async () => {
  agent?.kill("SIGKILL");
  await worker.close();
  rmSync(folder, { recursive: true });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** The compose file of docs/fleet.md, as a reader copies it. */
const compose = (text: string): string =>
  (/^ {4}services:\n(?: {4}.*\n)+/m.exec(text)?.[0] ?? "").replaceAll(/^ {4}/gm, "");

async function admin<T>(shape: z.ZodType<T>, path: string): Promise<T> {
  const response = await fetch(`${cloud}${path}`, { headers: { authorization: `Bearer ${secret}` } });
  return shape.parse(await response.json());
}

/** What the program prints in the end; a command that follows or serves is ended when it has begun. */
async function type(text: string): Promise<{ code: number | null; output: string }> {
  const isAgent = / agent\b(?!.*--help)/.test(text);
  // One folder of state is for one agent.
  if (isAgent) agent?.kill("SIGKILL");
  const lasting = isAgent || text.includes("--follow");
  const child = spawn("sh", ["-c", `${lasting ? "exec " : ""}${text.replace("fairlead", bin)}`], {
    cwd: folder,
    env: environment,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes: Buffer) => (output += bytes.toString()));
  // For what is read from standard input.
  if (!text.includes(" <")) child.stdin.end("yes\n");
  const code = new Promise<number | null>((resolve) => child.on("close", resolve));
  if (!lasting) return { code: await code, output };
  const begun = isAgent ? /Fairlead answers on/ : /\n/;
  await Promise.race([code, wait(`${text} to begin`, async () => begun.test(output))]);
  if (child.exitCode !== null) return { code: child.exitCode, output };
  if (isAgent) agent = child;
  else child.kill("SIGKILL");
  return { code: 0, output };
}

const Devices = z.array(z.object({ uuid: z.string(), connected: z.boolean() }));
const Made = z.object({ key: z.string() });
let commit = "";

/** With what the reader puts in the place of the words in brackets. */
async function filled(text: string): Promise<string> {
  const [device] = await admin(Devices, "/admin/v1/devices");
  const values: Readonly<Record<string, string>> = {
    "https://fairlead.<you>.workers.dev": cloud,
    "http://<your machine>:8787": cloud,
    "<url of the cloud>": cloud,
    "<uuid>": device?.uuid ?? "",
    "misty-sea": device?.uuid ?? "",
    "<commit>": commit,
    "<fleet>": "cameras",
    "<compose file>": "docker-compose.yml",
  };
  let typed = text.replace(/^sudo /, "").replace(/ && sudo systemctl .*/, "");
  for (const [words, value] of Object.entries(values)) typed = typed.replaceAll(words, value);
  if (typed.includes("<provisioning key>")) {
    const { output } = await type("fairlead cloud fleet key cameras --json");
    typed = typed.replace("<provisioning key>", Made.parse(JSON.parse(output)).key);
  }
  // A lease's id, and a program that exists.
  if (/^fairlead lock (renew|release) <id>/.test(typed)) {
    const { output } = await type('fairlead lock take web --reason "a test" --json');
    typed = typed.replace("<id>", z.object({ id: z.string() }).parse(JSON.parse(output)).id);
  }
  typed = typed.replace("-- /usr/local/bin/backup --all", "-- true");
  if (typed.includes("<id>")) {
    const { output } = await type("fairlead cloud token create reader --json");
    typed = typed.replace("<id>", z.object({ id: z.string() }).parse(JSON.parse(output)).id);
  }
  return typed;
}

test("the documentation has command lines, from each of its walks", () => {
  const texts = lines.map(({ text }) => text);
  expect(texts).toContain("fairlead cloud release cameras docker-compose.yml");
  expect(texts).toContain("fairlead cloud init https://fairlead.<you>.workers.dev < admin-secret");
  expect(texts).toContain("fairlead doctor");
  expect(texts.length).toBeGreaterThan(30);
});

test("each of them works as it is typed", { timeout: 300_000 }, async () => {
  const wrong: unknown[] = [];
  // install.sh has started the service before the first line.
  await type("fairlead agent");
  for (const { file, text } of lines) {
    // After its start, the agent on the engine in memory has to download the images again.
    if (/^fairlead (logs|lock) /.test(text))
      await wait("a service to run", async () => / Running /.test((await type("fairlead ps")).output));
    const typed = await filled(text);
    const { code, output } = await type(typed);
    commit = /^Release (\S+) of/m.exec(output)?.[1] ?? commit;
    const isName = names.has(text);
    const asExpected = isName
      ? (code === 2 && /^Expected/.test(output)) || (code === 0 && /^Usage/.test(output))
      : code === 0;
    if (!asExpected && !isKnown(text, output)) wrong.push({ file, text, typed, code, output: output.slice(0, 400) });
    if (code === 0 && / agent$/.test(text) && (await admin(Devices, "/admin/v1/devices")).length > 0)
      await wait("the device to be connected", async () =>
        (await admin(Devices, "/admin/v1/devices")).some(({ connected }) => connected),
      );
  }
  expect(wrong).toEqual([]);
});

/** The documents tell the same story more than once, to one cloud and one device. */
const isKnown = (text: string, output: string): boolean =>
  (/cloud fleet create/.test(text) && /There is a fleet/.test(output)) ||
  // Tests of the decisions are in test/api/update.test.ts: here, no update has failed or waits.
  (/^fairlead update (apply|confirm|rollback|retry)$/.test(text) && /^The device refuses \(409\): /.test(output)) ||
  // The device belongs to a cloud by then. test/cli/device.test.ts types them on one that does not.
  (/^fairlead (up|up --safe|plan)$/.test(text) && /local mode|is managed by its cloud/.test(output)) ||
  (/fairlead join/.test(text) && /has joined .* already|knows a device with this uuid already/.test(output));
