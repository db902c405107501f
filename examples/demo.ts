import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { createTestHarness } from "wrangler";
import * as z from "zod";
import { startAgent } from "../runtimes/node/agent.ts";
import { plainIo } from "../runtimes/cli/io.ts";
import { runProgram } from "../runtimes/cli/run.ts";
import { readSettings, type Settings } from "../runtimes/node/settings.ts";

/**
 * A cloud and a device of it on this machine: the Worker in a local workerd, the agent beside it, joined, with a sample
 * application. `npm run demo`, or with a real engine: `npm run demo -- --engine docker`. Ctrl-C ends both; nothing stays.
 */
if (process.argv.includes("--help")) {
  console.log(`Usage: npm run demo [-- options of fairlead agent]

A cloud and a device of it on this machine. The engine is in memory; with a real one: npm run demo -- --engine docker
`);
  process.exit(0);
}

const secret = crypto.randomUUID();

// Nothing of this needs the network.
Object.assign(process.env, {
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_HIDE_BANNER: "true",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  CI: "1",
  WRANGLER_LOG: "warn",
});

const print = (text: string) => void process.stdout.write(text);
const folder = mkdtempSync(join(tmpdir(), "fairlead-demo-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
// A wrong option is refused before anything is started.
demoSettings();
const worker = createTestHarness({
  workers: [{ configPath: join(import.meta.dirname, "../wrangler.toml"), secrets: { ADMIN_SECRET: secret } }],
});
print("Starting the cloud …\n");
const cloudUrl = (await worker.listen()).url.origin;

const account = { FAIRLEAD_CLOUD_URL: cloudUrl, FAIRLEAD_CLOUD_TOKEN: secret };

/** What `fairlead cloud …` says, as JSON. */
async function cloud<T>(shape: z.ZodType<T>, ...args: readonly string[]): Promise<T> {
  let said = "";
  await runProgram(
    ["cloud", ...args, "--json"],
    plainIo(account, (text) => (said += text)),
  );
  return shape.parse(JSON.parse(said));
}

const fleet = await cloud(z.object({ id: z.int(), uuid: z.string() }), "fleet", "create", "demo");
const { key } = await cloud(z.object({ key: z.string() }), "fleet", "key", "demo");
const { token } = await cloud(z.object({ token: z.string() }), "token", "create", "demo", "--write", "--days", "1");

await runProgram(
  ["join", cloudUrl, "--key", key, "--state-dir", folder],
  plainIo({}, () => undefined),
);
const complain = (message: string) => void process.stderr.write(`${message}\n`);
const quiet = { info: () => undefined, warn: complain, error: complain };
const settings = demoSettings();
const agent = await startAgent(settings, quiet);
const { identity, keys } = agent.supervisor;
const { uuid } = identity;

/** A release of the demo's fleet: the agent is told of it at once. */
async function release(commit: string, services: object): Promise<void> {
  const file = join(folder, "docker-compose.yml");
  // YAML takes JSON as it is.
  writeFileSync(file, JSON.stringify({ services }));
  await cloud(z.unknown(), "release", "demo", file, "--keep-tags", "--commit", commit);
}

/** Waits until the agent has so many containers, and all of them run. */
async function untilRunning(count: number): Promise<void> {
  const settled = async () => {
    const { containers } = await agent.engine.look({ fresh: true });
    return containers.length === count && containers.every(({ state }) => state === "running");
  };
  while (!(await settled())) await setTimeout(100);
}

// One service: the specification's v1 examples are for applications of one.
await release("c1", { web: { image: "alpine:3", command: ["sleep", "infinity"] } });
await untilRunning(1);

print(`
  cloud    ${cloudUrl}   (its API: ${cloudUrl}/openapi.json)
  device   ${agent.url}   ${uuid}
  engine   ${settings.engine}
  token    ${token}
  key      ${keys.global()}   for the device's own API

Through the cloud, as for a device behind any router:

  export FAIRLEAD_CLOUD_URL=${cloudUrl} FAIRLEAD_CLOUD_TOKEN=${token}
  curl -X POST ${cloudUrl}/supervisor/v1/device -H "Authorization: Bearer $FAIRLEAD_CLOUD_TOKEN" \\
       -H "Content-Type: application/json" -d '{"uuid": "${uuid}", "method": "GET"}'
  curl -X POST ${cloudUrl}/supervisor/v1/restart -H "Authorization: Bearer $FAIRLEAD_CLOUD_TOKEN" \\
       -H "Content-Type: application/json" -d '{"uuid": "${uuid}", "data": {"appId": ${fleet.id}}}'
  npx tsx runtimes/cli/cli.ts cloud devices
  npx tsx runtimes/cli/cli.ts cloud call ${uuid} GET /v2/state/status

On the device:

  curl "${agent.url}/v1/device?apikey=${keys.global()}"

Ctrl-C ends both.
`);

async function end(): Promise<void> {
  // On a real engine the containers would outlive us.
  await release("none", {});
  await Promise.race([untilRunning(0), setTimeout(20_000)]);
  await agent.stop();
  await worker.close();
  process.exit(0);
}
for (const signal of ["SIGINT", "SIGTERM"]) {
  // The harness has put a listener there that ends this process at once, and leaves the rest behind.
  process.removeAllListeners(signal);
  process.once(signal, () => void end());
}

/** With what `join` has written, once it has. */
function demoSettings(): Settings {
  const own = ["--engine", "embedded", "--port", "0", "--state-dir", folder, "--host-root", folder];
  try {
    return readSettings([...own, ...process.argv.slice(2)], {});
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(2);
  }
}
