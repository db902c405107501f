import { createHmac } from "node:crypto";
import { createServer, type IncomingHttpHeaders } from "node:http";
import { describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { CloudChange, Webhook } from "../../core/api/admin/index.ts";
import { createMemoryDevice } from "../../core/embedded/device.ts";
import { MemoryLog } from "../../core/embedded/ports.ts";
import { systemClock } from "../../core/ports/clock.ts";
import example from "../../examples/webhook/worker.ts";
import { plainIo } from "../../runtimes/cli/io.ts";
import { runProgram } from "../../runtimes/cli/run.ts";
import { startTunnel } from "../../runtimes/node/cloud/tunnel.ts";
import { adminSecret, startCloud } from "./cloud.ts";
import { connected } from "./devices.ts";
import { newDevice, newFleet, newToken, type Registered, type TestFleet } from "./people.ts";

const cloud = startCloud(adminSecret, { ALLOW_LOOPBACK_WEBHOOKS: "1" });

const storage = () => cloud.worker.getWorker().getDurableObjectStorage("Directory", { name: "directory" });

async function report({ uuid, api_key }: Registered, part: object) {
  const { status, text } = await cloud.ask("PATCH", "/device/v3/state", { [uuid]: part }, api_key);
  expect([status, text]).toEqual([200, ""]);
}

const updating = ({ uuid }: TestFleet, status: string) => ({
  apps: { [uuid]: { releases: { one: { update_status: status, services: {} } } } },
});

const problem = (kind: string, service: string) => ({
  ...{ appId: 1, service, kind, message: `${service} is ${kind}`, since: "2026-11-23T20:00:00.000Z" },
});

/** A reader of `GET /admin/v1/changes`. */
async function follow(query = "", key = adminSecret) {
  const response = await fetch(`${cloud.url()}/admin/v1/changes${query}`, {
    headers: { authorization: `Bearer ${key}` },
  });
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/x-ndjson"]);
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!reader) throw new Error("no body");
  onTestFinished(() => reader.cancel());
  let text = "";
  const next = async (): Promise<CloudChange> => {
    while (!text.includes("\n")) text += (await reader.read()).value ?? "";
    const end = text.indexOf("\n");
    const line = text.slice(0, end);
    text = text.slice(end + 1);
    return line === "" ? next() : CloudChange.parse(JSON.parse(line));
  };
  const until = async (kind: string): Promise<CloudChange> => {
    for (;;) {
      const change = await next();
      if (change.kind === kind) return change;
    }
  };
  return { next, until, cancel: () => reader.cancel() };
}

describe("GET /admin/v1/changes", () => {
  test("tells updates, problems and locks of devices, and what people change", async () => {
    const fleet = await newFleet(cloud, "changing");
    const device = await newDevice(cloud, fleet);
    const { next } = await follow(`?fleetId=${fleet.id}`);
    await report(device, updating(fleet, "downloading"));
    await report(device, {
      ...updating(fleet, "downloading"),
      problems: [problem("unhealthy", "web"), problem("locked", "db")],
    });
    await report(device, { ...updating(fleet, "done"), problems: [problem("locked", "db")] });
    await report(device, { problems: [] });
    await cloud.ask("PATCH", `/admin/v1/fleets/${fleet.id}`, { name: "changed" });
    const about = { fleetId: fleet.id, uuid: device.uuid };
    expect([
      await next(),
      await next(),
      await next(),
      await next(),
      await next(),
      await next(),
      await next(),
    ]).toMatchObject([
      { kind: "update.changed", ...about, data: { status: "downloading", release: "one", before: null } },
      { kind: "problem.found", ...about, data: { problem: "unhealthy", service: "web", message: "web is unhealthy" } },
      { kind: "lock.found", ...about, data: { service: "db" } },
      { kind: "update.changed", data: { status: "done", before: "downloading" } },
      { kind: "problem.ended", data: { problem: "unhealthy" } },
      { kind: "lock.ended", data: { service: "db" } },
      { kind: "audit", uuid: null, data: { who: "admin", operation: "changeFleet", about: "name" } },
    ]);
  });

  test("tells that devices connect, and that they have been gone for some seconds", async () => {
    const fleet = await newFleet(cloud, "connecting");
    const device = await newDevice(cloud, fleet);
    const agent = await createMemoryDevice({ identity: { uuid: device.uuid } });
    onTestFinished(() => agent.stop());
    const stream = await follow(`?fleetId=${fleet.id}`);
    const dial = () =>
      startTunnel({
        ...{ url: cloud.url(), uuid: device.uuid, key: device.api_key },
        ...{ fetch: agent.fetch, log: new MemoryLog(), clock: systemClock },
      });
    const first = dial();
    await connected(first);
    expect(await stream.until("device.online")).toMatchObject({
      uuid: device.uuid,
      data: { name: expect.any(String) },
    });
    // A device that comes back at once was not offline.
    first.stop();
    const second = dial();
    await connected(second);
    await new Promise((resolve) => setTimeout(resolve, 12_000));
    second.stop();
    const offline = await stream.next();
    expect(offline).toMatchObject({ kind: "device.offline", uuid: device.uuid });
  }, 60_000);

  test("a device whose socket is dead without a sign is found by its silence", async () => {
    const fleet = await newFleet(cloud, "silent");
    const device = await newDevice(cloud, fleet);
    const stream = await follow(`?fleetId=${fleet.id}`);
    await (
      await storage()
    ).exec(`UPDATE devices SET connected = 1, check_at = 1, heard_at = NULL WHERE uuid = '${device.uuid}'`);
    // Another change plans the alarm.
    const other = await newDevice(cloud, fleet);
    await cloud.ask("DELETE", `/admin/v1/devices/${other.uuid}`);
    expect(await stream.until("device.offline")).toMatchObject({ uuid: device.uuid });
  }, 30_000);

  test("continues after a change, and says what is no longer kept", async () => {
    const fleet = await newFleet(cloud, "kept");
    const device = await newDevice(cloud, fleet);
    const stream = await follow();
    await report(device, updating(fleet, "downloading"));
    const { id } = await stream.until("update.changed");
    for (const status of ["downloaded", "applying changes", "done"]) await report(device, updating(fleet, status));
    const again = await follow(`?after=${id}&fleetId=${fleet.id}`);
    expect([await again.next(), await again.next()]).toMatchObject([
      { id: id + 1, data: { status: "downloaded" } },
      { id: id + 2, data: { status: "applying changes" } },
    ]);
    await (await storage()).exec(`DELETE FROM changes WHERE id <= ${id + 2}`);
    const late = await follow(`?after=${id}`);
    expect([await late.next(), await late.next()]).toMatchObject([
      { id: id + 2, kind: "changes.lost", data: { after: id, before: id + 3 } },
      { id: id + 3, data: { status: "done" } },
    ]);
  });

  test("a token sees its fleets, and what people do only if it may manage", async () => {
    const [own, other] = [await newFleet(cloud, "own"), await newFleet(cloud, "other")];
    const { token } = await newToken(cloud, { fleets: [own.id] });
    const { next } = await follow("", token);
    await report(await newDevice(cloud, other), updating(other, "done"));
    await cloud.ask("PATCH", `/admin/v1/fleets/${own.id}`, { name: "own, renamed" });
    const device = await newDevice(cloud, own);
    await report(device, updating(own, "done"));
    expect(await next()).toMatchObject({ kind: "update.changed", uuid: device.uuid });
    expect((await cloud.ask("GET", `/admin/v1/changes?fleetId=${other.id}`, undefined, token)).status).toBe(404);
    expect((await cloud.ask("GET", "/admin/v1/webhooks", undefined, token)).status).toBe(403);
  });
});

interface Received {
  readonly path: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

const Message = z.object({ type: z.string(), timestamp: z.string(), data: z.looseObject({ id: z.int() }) });

/** A receiver on this machine. `answer`: the status for each message, by their number. */
async function receiver(answer: (n: number) => number = () => 204) {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (bytes) => (body += String(bytes)));
    request.on("end", () => {
      received.push({ path: request.url, headers: request.headers, body });
      const status = answer(received.length);
      response
        .writeHead(status, status === 302 ? { location: `http://127.0.0.1:${request.socket.localPort}/elsewhere` } : {})
        .end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}/hook`;
  return { url, received, messages: () => received.map(({ body }) => Message.parse(JSON.parse(body))) };
}

const WithSecret = Webhook.extend({ secret: z.string() });

async function newWebhook(given: object) {
  const webhook = await cloud.make(WithSecret, "/admin/v1/webhooks", given);
  onTestFinished(async () => void (await cloud.ask("DELETE", `/admin/v1/webhooks/${webhook.id}`)));
  return webhook;
}

const listed = async (id: string) =>
  (await cloud.get(z.array(Webhook), "/admin/v1/webhooks")).find((one) => one.id === id);

describe("a webhook", () => {
  test("gets changes in their order, signed with a secret that is shown once and not stored", async () => {
    const fleet = await newFleet(cloud, "hooked");
    const device = await newDevice(cloud, fleet);
    const { url, received, messages } = await receiver();
    const { secret, id } = await newWebhook({ url, fleetId: fleet.id, kinds: ["update.changed"] });
    const statuses = ["downloading", "downloaded", "applying changes", "done"];
    for (const status of statuses) await report(device, updating(fleet, status));
    await expect.poll(() => received.length, { timeout: 10_000 }).toBe(statuses.length);
    expect(messages().map(({ type, data }) => [type, data["uuid"], Object(data["data"]).status])).toEqual(
      statuses.map((status) => ["update.changed", device.uuid, status]),
    );
    for (const { headers, body } of received) {
      const content = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
      const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
      expect(headers["webhook-signature"]).toBe(`v1,${createHmac("sha256", key).update(content).digest("base64")}`);
      expect(Math.abs(Date.now() / 1000 - Number(headers["webhook-timestamp"]))).toBeLessThan(60);
    }
    expect(new Set(received.map(({ headers }) => headers["webhook-id"])).size).toBe(statuses.length);
    expect(await listed(id)).toMatchObject({ failures: 0, disabledAt: null, url });
    const rows = JSON.stringify([...(await (await storage()).exec("SELECT * FROM webhooks"))]);
    expect(rows).toContain(id);
    expect(rows).not.toContain(secret.slice(6));
    expect((await cloud.ask("GET", "/admin/v1/webhooks")).text).not.toContain(secret.slice(6));
  });

  test("is told how a command has ended that waited for its device", async () => {
    const fleet = await newFleet(cloud, "commanded");
    const device = await newDevice(cloud, fleet);
    const { url, messages } = await receiver();
    await newWebhook({ url, fleetId: fleet.id, kinds: ["command.finished"] });
    const answer = await fetch(`${cloud.url()}/supervisor/v1/blink`, {
      method: "POST",
      headers: {
        ...{ authorization: `Bearer ${adminSecret}`, "content-type": "application/json" },
        prefer: "respond-async",
      },
      body: JSON.stringify({ uuid: device.uuid, expires: 1 }),
    });
    const { id } = z.object({ id: z.string() }).parse(await answer.json());
    await expect.poll(() => messages().length, { timeout: 20_000 }).toBe(1);
    expect(messages()[0]).toMatchObject({
      type: "command.finished",
      data: { uuid: device.uuid, data: { command: id, request: "POST /v1/blink", state: "expired" } },
    });
  });

  test("is sent the same message with the same id until it accepts it, and the next ones wait", async () => {
    const fleet = await newFleet(cloud, "failing");
    const device = await newDevice(cloud, fleet);
    // A redirect is no acceptance, and is not followed.
    const { url, received, messages } = await receiver((n) => (n === 1 ? 500 : n === 2 ? 302 : 200));
    const { id } = await newWebhook({ url, fleetId: fleet.id, kinds: ["update.changed"] });
    await report(device, updating(fleet, "downloading"));
    await report(device, updating(fleet, "done"));
    await expect.poll(() => received.length, { timeout: 10_000 }).toBe(1);
    await expect.poll(() => listed(id)).toMatchObject({ failures: 1, lastError: "The receiver answered 500" });
    for (const count of [2, 3]) {
      // The pause is over.
      await cloud.ask("PATCH", `/admin/v1/webhooks/${id}`, { kinds: ["update.changed"] });
      await expect.poll(() => received.length, { timeout: 10_000 }).toBeGreaterThanOrEqual(count);
      if (count === 2) await expect.poll(() => listed(id)).toMatchObject({ failures: 2 });
    }
    await expect.poll(() => received.length, { timeout: 10_000 }).toBe(4);
    const [first, second, third, fourth] = received.map(({ headers }) => headers["webhook-id"]);
    expect([second, third]).toEqual([first, first]);
    expect(new Set(received.map(({ path }) => path))).toEqual(new Set(["/hook"]));
    expect(fourth).not.toBe(first);
    expect(messages().map(({ data }) => Object(data["data"]).status)).toEqual([
      ...["downloading", "downloading", "downloading", "done"],
    ]);
    expect(await listed(id)).toMatchObject({ failures: 0, lastError: null, retryAt: null });
  }, 40_000);

  test("that has failed for three days is disabled, which is told, and goes on where it was", async () => {
    const fleet = await newFleet(cloud, "hopeless");
    const device = await newDevice(cloud, fleet);
    let status = 503;
    const { url, received, messages } = await receiver(() => status);
    const { id } = await newWebhook({ url, fleetId: fleet.id, kinds: ["update.changed"] });
    const told = await follow(`?fleetId=${fleet.id}`);
    await report(device, updating(fleet, "downloading"));
    await expect.poll(() => received.length, { timeout: 10_000 }).toBe(1);
    await expect.poll(async () => (await listed(id))?.failures).toBe(1);
    await (
      await storage()
    ).exec(`UPDATE webhooks SET failing_since = ${Date.now() - 3 * 86_400_000} WHERE id = '${id}'`);
    await cloud.ask("PATCH", `/admin/v1/webhooks/${id}`, {});
    expect(await told.until("webhook.disabled")).toMatchObject({
      data: { webhook: id, host: new URL(url).host, error: "The receiver answered 503" },
    });
    expect(await listed(id)).toMatchObject({ disabledAt: expect.any(String), lastError: "The receiver answered 503" });
    await report(device, updating(fleet, "done"));
    status = 200;
    await cloud.ask("PATCH", `/admin/v1/webhooks/${id}`, { enabled: true });
    await expect.poll(() => received.length, { timeout: 10_000 }).toBe(4);
    expect(messages().map(({ data }) => Object(data["data"]).status)).toEqual([
      ...["downloading", "downloading", "downloading", "done"],
    ]);
  }, 40_000);

  test("is made, shown and deleted on the command line, and the example's receiver accepts its messages", async () => {
    const fleet = await newFleet(cloud, "typed");
    const device = await newDevice(cloud, fleet);
    const type = async (...args: readonly string[]) => {
      let printed = "";
      const environment = { FAIRLEAD_CLOUD_URL: cloud.url(), FAIRLEAD_CLOUD_TOKEN: adminSecret };
      const io = plainIo(environment, (text) => void (printed += text));
      expect(await runProgram(["cloud", "webhook", ...args], io)).toBe(0);
      return printed;
    };
    const { url, received } = await receiver();
    const made = await type("create", url, "--fleet", "typed", "--kinds", "update.changed");
    const [, secret = "", id = ""] = /^(whsec_\S+)\n[^]* id is (\w+)\n$/.exec(made) ?? [];
    expect(await type()).toMatch(new RegExp(`${id} +${url} +${fleet.id} +update\\.changed +works`));
    await report(device, updating(fleet, "done"));
    await expect.poll(() => received.length, { timeout: 10_000 }).toBe(1);
    for (const { headers, body } of received) {
      const signed = Object.entries(headers).filter(([name]) => name.startsWith("webhook-"));
      const sent = {
        method: "POST",
        body,
        headers: signed.map(([name, value]): [string, string] => [name, String(value)]),
      };
      const answer = await example.fetch(new Request("https://receiver.example/", sent), { WEBHOOK_SECRET: secret });
      expect(answer.status).toBe(204);
    }
    expect(await type("enable", id)).toMatch(/goes on/);
    expect(await type("delete", id, "--yes")).toMatch(/nothing from now on/);
    expect(await listed(id)).toBeUndefined();
  });

  test("ends with the token that has made it", async () => {
    const fleet = await newFleet(cloud, "revoked");
    const device = await newDevice(cloud, fleet);
    const { id: tokenId, token } = await newToken(cloud, { fleets: [fleet.id], manage: true });
    const { url, received } = await receiver();
    const { json } = await cloud.ask("POST", "/admin/v1/webhooks", { url, kinds: ["update.changed"] }, token);
    const { id } = WithSecret.parse(json);
    await cloud.ask("DELETE", `/admin/v1/tokens/${tokenId}`);
    await report(device, updating(fleet, "done"));
    await expect
      .poll(async () => (await listed(id))?.lastError, { timeout: 10_000 })
      .toBe("The token that made it has ended");
    expect(received).toEqual([]);
  });

  test("gets changes of its token's fleets only", async () => {
    const [own, other] = [await newFleet(cloud, "hooks own"), await newFleet(cloud, "hooks other")];
    const { token } = await newToken(cloud, { fleets: [own.id], manage: true });
    const { url, messages } = await receiver();
    const { json } = await cloud.ask("POST", "/admin/v1/webhooks", { url, kinds: ["update.changed"] }, token);
    expect(WithSecret.parse(json).madeBy).not.toBeNull();
    await report(await newDevice(cloud, other), updating(other, "done"));
    const device = await newDevice(cloud, own);
    await report(device, updating(own, "done"));
    await expect.poll(() => messages().length, { timeout: 10_000 }).toBe(1);
    expect(messages()[0]?.data).toMatchObject({ uuid: device.uuid });
    expect((await cloud.ask("POST", "/admin/v1/webhooks", { url, fleetId: other.id }, token)).status).toBe(404);
  });
});
