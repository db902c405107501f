import { expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { Command } from "../../core/api/admin/index.ts";
import { createMemoryDevice, type MemoryDevice } from "../../core/embedded/device.ts";
import { MemoryLog } from "../../core/embedded/ports.ts";
import { systemClock } from "../../core/ports/clock.ts";
import { plainIo } from "../../runtimes/cli/io.ts";
import { runProgram } from "../../runtimes/cli/run.ts";
import { startTunnel } from "../../runtimes/node/cloud/tunnel.ts";
import { adminSecret, startCloud } from "./cloud.ts";
import { connected } from "./devices.ts";
import { newDevice, newFleet, newToken, type Registered } from "./people.ts";

/** Commands for devices that are offline, with whole agents. */

const cloud = startCloud();
let fleets = 0;

const newAgent = async () => {
  const device = await newDevice(cloud, await newFleet(cloud, `commands ${++fleets}`));
  const agent = await createMemoryDevice({ identity: { uuid: device.uuid } });
  onTestFinished(() => agent.stop());
  return { device, agent };
};

async function comeBack({ uuid, api_key: key }: Registered, { fetch }: MemoryDevice) {
  const tunnel = startTunnel({ url: cloud.url(), uuid, key, fetch, clock: systemClock, log: new MemoryLog() });
  onTestFinished(() => tunnel.stop());
  await connected(tunnel);
  return tunnel;
}

interface Asked {
  readonly prefer?: string;
  readonly bearer?: string;
  readonly key?: string;
  readonly expires?: number;
}

const ask = (path: string, { uuid }: Registered, { prefer = "respond-async", bearer, key, expires }: Asked = {}) =>
  fetch(`${cloud.url()}/supervisor${path}`, {
    method: "POST",
    headers: {
      ...{ authorization: `Bearer ${bearer ?? adminSecret}`, "content-type": "application/json", prefer },
      ...(key !== undefined && { "idempotency-key": key }),
    },
    body: JSON.stringify({ uuid, ...(expires !== undefined && { expires }) }),
  });

async function queued(...asking: Parameters<typeof ask>): Promise<string> {
  const answer = await ask(...asking);
  expect(answer.status).toBe(202);
  return answer.headers.get("location") ?? "";
}

const commandAt = (location: string, wait = 30) => cloud.get(Command, `${location}?wait=${wait}`);

test("a command waits for the device, acts once, and its answer is fetched", async () => {
  const { device, agent } = await newAgent();
  const location = await queued("/v1/blink", device, { key: "once" });
  expect(location).toMatch(new RegExp(`^/admin/v1/devices/${device.uuid}/commands/[0-9a-f]{32}$`));
  expect(await queued("/v1/blink", device, { key: "once" })).toBe(location);
  expect(await commandAt(location, 0)).toMatchObject({ request: "POST /v1/blink", state: "queued" });
  const last = await queued("/v2/applications/7/restart", device);
  await comeBack(device, agent);
  expect(await commandAt(location)).toMatchObject({ state: "done", answer: { status: 200 } });
  expect(await commandAt(last)).toMatchObject({
    ...{ request: "POST /v2/applications/:appId/restart", state: "failed" },
    answer: { status: 503, body: { status: "failed" } },
  });
  expect(agent.led.blinks).toBe(1);
  const all = await cloud.get(z.array(Command), `/admin/v1/devices/${device.uuid}/commands`);
  expect(all.map(({ state }) => state)).toEqual(["failed", "done"]);
  const changed = await cloud.worker.getWorker().getDurableObjectStorage("Directory", { name: "directory" });
  const rows = await changed.exec("SELECT data FROM changes WHERE kind = 'command.finished' AND uuid = ?", device.uuid);
  expect(JSON.stringify(rows)).toContain("POST /v1/blink");
}, 90_000);

test("an eviction while the command waits loses nothing, and one while it is sent acts once", async () => {
  const { device, agent } = await newAgent();
  const evict = () => cloud.worker.getWorker().evictDurableObject("DeviceSession", { name: device.uuid });
  const location = await queued("/v1/blink", device);
  await evict();
  // The first answer is lost with the connection.
  let cuts = 0;
  const tunnel = await comeBack(device, {
    ...agent,
    fetch: async (request, known) => {
      const answer = await agent.fetch(request, known);
      if (new URL(request.url).pathname !== "/v1/blink" || cuts++ > 0) return answer;
      tunnel.stop();
      return new Promise<Response>(() => {});
    },
  });
  await expect.poll(() => agent.led.blinks, { timeout: 20_000 }).toBe(1);
  await comeBack(device, agent);
  expect(await commandAt(location, 45)).toMatchObject({ state: "done", answer: { status: 200 } });
  expect(agent.led.blinks).toBe(1);
}, 120_000);

test("a command that is cancelled, or expires, is not sent", async () => {
  const { device, agent } = await newAgent();
  const cancelled = await queued("/v1/blink", device);
  const expired = await queued("/v1/blink", device, { expires: 1 });
  expect((await cloud.ask("DELETE", cancelled)).status).toBe(204);
  expect((await cloud.ask("DELETE", cancelled)).json).toMatchObject({ type: "/docs/errors#operation-ended" });
  expect(await commandAt(expired)).toMatchObject({ state: "expired" });
  await comeBack(device, agent);
  const after = await queued("/ping", device);
  expect((await commandAt(after)).state).not.toBe("queued");
  expect([(await commandAt(cancelled)).state, agent.led.blinks]).toEqual(["cancelled", 0]);
}, 90_000);

test("a token may queue what it may ask, sees only its own, and queues nothing once it is revoked", async () => {
  const { device, agent } = await newAgent();
  const reader = await newToken(cloud);
  const writer = await newToken(cloud, { write: true });
  expect((await ask("/v1/blink", device, { bearer: reader.token })).status).toBe(403);
  const location = await queued("/v1/blink", device, { bearer: writer.token });
  expect((await cloud.ask("GET", location, undefined, reader.token)).json).toMatchObject({
    type: "/docs/errors#unknown-command",
  });
  expect((await cloud.ask("GET", location, undefined, writer.token)).status).toBe(200);
  expect((await cloud.ask("DELETE", location, undefined, reader.token)).status).toBe(403);
  expect((await cloud.ask("DELETE", `/admin/v1/tokens/${writer.id}`)).status).toBe(200);
  await comeBack(device, agent);
  expect(await commandAt(location)).toMatchObject({
    ...{ state: "failed", why: "The token that queued it may not do this any more" },
  });
  expect(agent.led.blinks).toBe(0);
}, 90_000);

test("nothing is queued without respond-async, for keys, or without end", async () => {
  const { device, agent } = await newAgent();
  expect((await ask("/v1/blink", device, { prefer: "wait=1" })).status).toBe(404);
  expect((await ask("/v1/regenerate-api-key", device)).status).toBe(400);
  expect((await ask("/v1/blink", device, { expires: 0 })).status).toBe(400);
  for (let n = 0; n < 32; n++) await queued("/v1/blink", device);
  expect((await ask("/v1/blink", device)).status).toBe(503);
  expect(agent.led.blinks).toBe(0);
}, 90_000);

test("a device that is online answers within the time that the caller waits", async () => {
  const { device, agent } = await newAgent();
  await comeBack(device, agent);
  const answer = await ask("/v2/applications/7/restart", device, { prefer: "respond-async, wait=20" });
  expect([answer.status, await answer.json()]).toMatchObject([503, { status: "failed" }]);
}, 60_000);

test("the command line queues a request, lists it, shows what has become of it, and cancels it", async () => {
  const { device, agent } = await newAgent();
  const said = async (...args: readonly string[]) => {
    let [printed, warned] = ["", ""];
    const io = plainIo({ FAIRLEAD_CLOUD_URL: cloud.url(), FAIRLEAD_CLOUD_TOKEN: adminSecret }, (text) => {
      printed += text;
    });
    const status = await runProgram(["cloud", ...args], { ...io, warn: (text) => void (warned += text) });
    return { status, printed, warned };
  };
  const queue = async (path: string, ...more: readonly string[]) => {
    const { status, printed, warned } = await said("call", device.uuid, "POST", path, "--when-online", ...more);
    expect([status, JSON.parse(printed)]).toMatchObject([0, { state: "queued" }]);
    const [, id = ""] =
      new RegExp(`^.*: fairlead cloud command show ${device.uuid} ([0-9a-f]{32})\n$`).exec(warned) ?? [];
    return id;
  };
  expect((await said("command", "list", device.uuid)).printed).toMatch(/^This token has queued nothing/);
  const blink = await queue("/v1/blink");
  const restart = await queue("/v1/restart", "--data", '{"appId":1}', "--expires", "10m");
  expect((await said("command", "cancel", device.uuid, restart)).printed).toBe(`The device will not get ${restart}\n`);
  expect((await said("command", "list", device.uuid)).printed).toMatch(
    new RegExp(`^ID +REQUEST +STATE[^]*${restart} +POST /v1/restart +cancelled[^]*${blink} +POST /v1/blink +queued`),
  );
  await comeBack(device, agent);
  await expect
    .poll(async () => (await said("command", "show", device.uuid, blink, "--json")).printed)
    .toMatch(/"state": "done",[^]*"status": 200/);
  expect(agent.led.blinks).toBe(1);
});
