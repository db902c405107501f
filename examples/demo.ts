import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { createTestHarness } from "wrangler";
import * as z from "zod";
import { startAgent } from "../runtimes/node/agent.ts";
import { cloudCommand } from "../runtimes/node/cloud-cli.ts";
import { joinCommand } from "../runtimes/node/join.ts";
import { readSettings } from "../runtimes/node/settings.ts";

/**
 * A cloud and a device of it on this machine: the Worker in a local workerd, the agent beside it, joined, with a sample
 * application. `npm run demo`, or with a real engine: `npm run demo -- --engine docker`. Ctrl-C ends both; nothing stays.
 */
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
const worker = createTestHarness({
  workers: [{ configPath: join(import.meta.dirname, "../wrangler.toml"), secrets: { ADMIN_SECRET: secret } }],
});
print("Starting the cloud …\n");
const cloudUrl = (await worker.listen()).url.origin;

const account = { FAIRLEAD_CLOUD_URL: cloudUrl, FAIRLEAD_CLOUD_TOKEN: secret };

/** What `fairlead cloud …` says, as JSON. */
async function cloud<T>(shape: z.ZodType<T>, ...args: readonly string[]): Promise<T> {
  let said = "";
  await cloudCommand([...args, "--json"], account, (text) => (said += text));
  return shape.parse(JSON.parse(said));
}

const fleet = await cloud(z.object({ id: z.int(), uuid: z.string() }), "fleet", "create", "demo");
const { key } = await cloud(z.object({ key: z.string() }), "fleet", "key", "demo");
const { token } = await cloud(z.object({ token: z.string() }), "token", "create", "demo", "--write", "--days", "1");

await joinCommand([cloudUrl, "--key", key, "--state-dir", folder], {}, () => undefined);
const quiet = { info: () => undefined, warn: (message: string) => void process.stderr.write(`${message}\n`) };
const settings = readSettings(
  ["--engine", "embedded", "--port", "0", "--state-dir", folder, "--host-root", folder, ...process.argv.slice(2)],
  {},
);
const agent = await startAgent(settings, quiet);
const { identity, keys, loop, targets } = agent.supervisor;
const { uuid } = identity;

// One service: the specification's v1 examples are for applications of one.
const web = {
  id: 1,
  image_id: 1,
  image: "alpine:3",
  environment: {},
  labels: {},
  composition: { command: ["sleep", "infinity"] },
};
const sample = await targets.setCloud({
  [uuid]: {
    name: "demo",
    config: {},
    apps: {
      [fleet.uuid]: {
        id: fleet.id,
        name: "demo",
        is_host: false,
        class: "fleet",
        releases: { c1: { id: 1, services: { web } } },
      },
    },
  },
});
if (!sample.ok) throw new Error(sample.faults.join("\n"));
loop.retry({ force: false });

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
  npx tsx runtimes/node/cli.ts cloud device
  npx tsx runtimes/node/cli.ts cloud call ${uuid} GET /v2/state/status

On the device:

  curl "${agent.url}/v1/device?apikey=${keys.global()}"

Ctrl-C ends both.
`);

async function end(): Promise<void> {
  // On a real engine the containers would outlive us.
  await targets.setCloud({ [uuid]: { name: "demo", config: {}, apps: {} } });
  await loop.look();
  while (!loop.isAtRest()) await setTimeout(50);
  await agent.stop();
  await worker.close();
  process.exit(0);
}
for (const signal of ["SIGINT", "SIGTERM"]) {
  // The harness has put a listener there that ends this process at once, and leaves the rest behind.
  process.removeAllListeners(signal);
  process.once(signal, () => void end());
}
