import { readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { part, until } from "../cloud/fleet.ts";
import { startCloud } from "../support/fake-cloud.ts";
import { startAgent } from "./program.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** The real program with a cloud: registration with a provisioning key, an outage, and a kill. */

const uuid = "b".repeat(32);
const web = "127.0.0.1:5000/v2/4f9ef689f5cf6bb8d5482ff67c68fb54";

async function provisioned() {
  const cloud = await startCloud({ shortestPollMs: 1000 });
  const folder = await temporaryFolder();
  const config = join(folder, "config.json");
  await writeFile(
    config,
    JSON.stringify({
      // Some tools write the URL with a slash at the end; a double slash would give 404.
      apiEndpoint: `${cloud.url}/`,
      uuid,
      deviceType: "generic-amd64",
      apiKey: cloud.fleet.key,
      applicationId: "1",
      appUpdatePollInterval: 1000,
    }),
  );
  const start = () => startAgent(folder, { args: ["--config", config] });
  return { cloud, folder, start };
}

test("an agent registers, polls, runs, reports and sends its log, and so does the next one after an outage and a kill", async () => {
  const { cloud, folder, start } = await provisioned();
  const first = await start();
  await until("it is registered", () => cloud.devices.has(uuid));
  const known = cloud.device(uuid);
  known.config = { RESIN_SUPERVISOR_POLL_INTERVAL: "1000" };
  cloud.setTarget(uuid, "c1", { id: 1, services: { web: part(1, web) } });
  await until("it runs and is reported", () => known.installs.get(web)?.status === "Running", 25_000);
  const said = (what: string) => known.logs.filter(({ message }) => message.includes(what)).length;
  await until("its log is there", () => said("Downloading image") === 1);

  await cloud.stop();
  const kept = new DatabaseSync(join(folder, "state", "embedded-logs.sqlite"), { readOnly: true });
  const alone = kept.prepare("SELECT text FROM lines WHERE text LIKE '%cannot be asked%'");
  await until("it has kept a line about it", () => alone.get() !== undefined);
  kept.close();
  first.kill("SIGKILL");
  const { stdout, stderr } = await first.ended;
  for (const secret of [known.key, cloud.fleet.key]) expect(stdout + stderr).not.toContain(secret);

  const second = await start();
  expect((await second.get("/v1/healthy")).status).toBe(200);
  await cloud.start();
  await until("the next one delivers what the first one kept", () => said("cannot be asked") > 0, 25_000);
  // The engine in memory has ended with the first agent, so the next agent downloads the stored target state again.
  await until("and says what it does itself", () => said("Downloading image") === 2, 25_000);
  expect(cloud.asked.filter(({ path }) => path === "/device/register")).toHaveLength(1);
  // This includes the lines about the missing tunnel and its diagnosis.
  expect(cloud.asked.map(({ path }) => path)).toContain(`/tunnel/${uuid}`);
  for (const { headers } of cloud.asked)
    expect(headers["user-agent"]).toMatch(/^Supervisor\/19\.0\.5 \(Linux; .+; (dev|prod)\)$/);
}, 90_000);

test("an agent with nothing to do writes no file and requests only its target state", async () => {
  const { cloud, folder, start } = await provisioned();
  await start();
  await until("it is registered", () => cloud.devices.has(uuid));
  const known = cloud.device(uuid);
  // Tunnel attempts are left out: without a tunnel they become less and less frequent.
  known.config = { RESIN_SUPERVISOR_POLL_INTERVAL: "1000", RESIN_SUPERVISOR_VPN_CONTROL: "false" };
  cloud.setTarget(uuid, "c1", { id: 1, services: { web: part(1, web) } });
  await until("it runs and is reported", () => known.installs.get(web)?.status === "Running", 25_000);
  const delivered = () => cloud.asked.filter(({ path }) => path.endsWith("/log-stream")).length;
  for (let before = -1; before !== delivered(); await new Promise((resolve) => setTimeout(resolve, 2500)))
    before = delivered();

  const [asked, files] = [cloud.asked.length, await filesOf(join(folder, "state"))];
  await until("it has asked three times", () => cloud.asked.length >= asked + 3);
  expect(await filesOf(join(folder, "state"))).toEqual(files);
  expect(new Set(cloud.asked.slice(asked).map(({ method, status }) => `${method} ${status}`))).toEqual(
    new Set(["GET 304"]),
  );
});

/** Each file's size and modification time. */
async function filesOf(folder: string): Promise<readonly (readonly [string, number, number])[]> {
  const names = (await readdir(folder)).sort();
  return Promise.all(
    names.map(async (name) => {
      const { size, mtimeMs } = await stat(join(folder, name));
      return [name, size, mtimeMs] as const;
    }),
  );
}
