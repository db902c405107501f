import fc from "fast-check";
import { createServer, type Server } from "node:http";
import { createHash } from "node:crypto";
import { describe, expect, onTestFinished, test } from "vitest";
import { MemoryLog } from "../../core/embedded/ports.ts";
import { systemClock, type Clock } from "../../core/ports/clock.ts";
import { encodeFrame } from "../../core/relay/frame.ts";
import { redialMs, standBackMs, startTunnel } from "../../runtimes/node/cloud/tunnel.ts";
import { connected, dial, joinAgent, newDevice, startRelay, type Known } from "./devices.ts";

const cloud = startRelay();
const ok = () => Promise.resolve(new Response("OK"));
const ping = async ({ uuid }: Known) => (await cloud.relay("/ping", { uuid, method: "GET" })).text();

describe("the delay before dialling again", () => {
  const worst = { random: () => 0.999 };
  const best = { random: () => 0 };

  test("is random between 0 and twice the last one, at most a minute", () => {
    expect([1, 2, 3, 20].map((failures) => Math.round(redialMs(failures, worst) / 100))).toEqual([20, 40, 80, 599]);
    expect(redialMs(20, best)).toBe(0);
  });

  test("of a replaced agent is at least 15 s and can become much longer", () => {
    expect([1, 2, 20].map((times) => standBackMs(times, best))).toEqual([15_000, 15_000, 15_000]);
    expect([1, 2, 20].map((times) => Math.round(standBackMs(times, worst) / 1000))).toEqual([45, 75, 914]);
  });
});

test("of two agents with one uuid, the newer one gets requests, and the other one backs off and logs why", async () => {
  const known = await newDevice(cloud);
  const slept: number[] = [];
  const clock: Clock = {
    ...systemClock,
    sleep: (ms, signal) => {
      slept.push(ms);
      return systemClock.sleep(ms, signal);
    },
  };
  const older = await dial(cloud, known, () => Promise.resolve(new Response("older")), { clock });
  expect(await ping(known)).toBe("older");
  const newer = await dial(cloud, known, () => Promise.resolve(new Response("newer")));
  await expect
    .poll(() => older.tunnel.state())
    .toEqual({
      is: "disconnected",
      error: "another device has connected with the same uuid",
    });
  await expect.poll(() => slept.at(-1)).toBeGreaterThanOrEqual(15_000);
  expect(older.log.lines.at(-1)).toMatch(/^warning: No connection to the cloud at .*: another device has connected/);
  for (let n = 0; n < 3; n++) expect(await ping(known)).toBe("newer");
  expect(newer.tunnel.state().is).toBe("connected");
});

test("/v2/device/vpn shows whether the cloud can reach the agent", async () => {
  const { agent, tunnel } = await joinAgent(cloud);
  const vpn = async () => (await agent.fetch(new Request("http://device/v2/device/vpn"))).json();
  expect(await vpn()).toMatchObject({ vpn: { connected: true } });
  tunnel.stop();
  await expect.poll(vpn).toMatchObject({ vpn: { connected: false } });
});

test("a wrong key does not connect, and is logged once for any number of tries", async () => {
  const known = await newDevice(cloud);
  const log = new MemoryLog();
  let tries = 0;
  const clock: Clock = {
    ...systemClock,
    sleep: (ms, signal) => {
      if (ms !== 30_000) tries++;
      return systemClock.sleep(ms === 30_000 ? ms : 5, signal);
    },
  };
  const tunnel = startTunnel({ url: cloud.url(), uuid: known.uuid, key: "w".repeat(32), fetch: ok, clock, log });
  onTestFinished(() => tunnel.stop());
  await expect.poll(() => tries, { timeout: 10_000 }).toBeGreaterThan(3);
  expect(log.lines).toEqual([expect.stringMatching(/: it does not know this device's key$/)]);
  const noKey = startTunnel({
    url: cloud.url(),
    uuid: known.uuid,
    key: "short",
    fetch: ok,
    clock,
    log: new MemoryLog(),
  });
  onTestFinished(() => noKey.stop());
  await expect.poll(() => noKey.state()).toEqual({ is: "disconnected", error: "it does not know this device's key" });
  const plain = await fetch(`${cloud.url()}/tunnel/${known.uuid}`);
  expect([plain.status, await plain.json()]).toEqual([426, "Expected the WebSocket of a device"]);
});

test("a cloud without tunnels is logged once without a warning, and is asked less and less often", async () => {
  const balena = createServer((_, response) => response.writeHead(404).end());
  await new Promise<void>((resolve) => balena.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void balena.close());
  const address = balena.address();
  const log = new MemoryLog();
  const slept: number[] = [];
  const clock: Clock = {
    ...systemClock,
    random: () => 0.999,
    sleep: (ms, signal) => {
      if (ms !== 30_000) slept.push(ms);
      return systemClock.sleep(ms === 30_000 ? ms : 1, signal);
    },
  };
  const url = `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`;
  const tunnel = startTunnel({ url, uuid: "0".repeat(32), key: "k", fetch: ok, clock, log });
  onTestFinished(() => tunnel.stop());
  await expect.poll(() => Math.max(...slept), { timeout: 10_000 }).toBeGreaterThan(50 * 60_000);
  expect(log.lines).toEqual([
    expect.stringMatching(/^Polling the cloud at .* without a tunnel: it has no tunnels for devices \(404\)$/),
  ]);
});

test("SUPERVISOR_VPN_CONTROL closes the connection, and opens it again", async () => {
  const known = await newDevice(cloud);
  let isWanted = true;
  const { tunnel } = await dial(cloud, known, ok, { isWanted: () => isWanted, pingMs: 1000 });
  isWanted = false;
  await expect
    .poll(() => tunnel.state(), { timeout: 10_000 })
    .toEqual({ is: "disconnected", error: "SUPERVISOR_VPN_CONTROL is off" });
  await expect.poll(() => ping(known), { timeout: 10_000 }).toBe('"No online device(s) found"');
  isWanted = true;
  await connected(tunnel);
  expect(await ping(known)).toBe("OK");
}, 60_000);

test("200 devices that connect at once all become connected and answer", async () => {
  const known: Known[] = [];
  for (let n = 0; n < 200; n++) known.push(await newDevice(cloud, 200));
  const joined = await Promise.all(
    known.map(({ uuid, key }) => {
      const log = new MemoryLog();
      const tunnel = startTunnel({ url: cloud.url(), uuid, key, fetch: ok, clock: systemClock, log });
      onTestFinished(() => tunnel.stop());
      return connected(tunnel);
    }),
  );
  expect(joined.length).toBe(200);
  const answer = await cloud.relay("/ping", { appId: 200, method: "GET" });
  expect(answer.status).toBe(207);
  expect(await answer.json()).toEqual(
    known.map(({ uuid, deviceId }) => ({ statusCode: 200, body: "OK", uuid, deviceId })),
  );
}, 120_000);

describe("hostile frames", () => {
  const hostile = fc.oneof(
    fc.uint8Array({ maxLength: 100 }).map((bytes) => new Uint8Array(bytes)),
    fc.tuple(fc.integer({ min: 1, max: 5 }), fc.uint8Array({ maxLength: 100 })).map(([kind, rest]) => {
      return new Uint8Array([kind, 0, 0, 0, 0, 1, ...rest]);
    }),
    fc.string(),
  );

  /** A socket to the relay with a device's key, which may violate the protocol. */
  async function socketOf({ uuid, key }: Known) {
    const init = { headers: { authorization: `Bearer ${key}` } };
    const socket: WebSocket = Reflect.construct(WebSocket, [
      `${cloud.url().replace("http", "ws")}/tunnel/${uuid}`,
      init,
    ]);
    const said: unknown[] = [];
    socket.addEventListener("message", ({ data }: MessageEvent<unknown>) => said.push(data));
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve);
      socket.addEventListener("error", reject);
    });
    onTestFinished(() => socket.close());
    return { socket, said };
  }

  test("from a device end only its connection", async () => {
    const bystander = await joinAgent(cloud);
    const known = await newDevice(cloud);
    await fc.assert(
      fc.asyncProperty(fc.array(hostile, { minLength: 1, maxLength: 5 }), async (messages) => {
        const { socket } = await socketOf(known);
        for (const message of messages) socket.send(message);
        expect(await ping(bystander)).toBe("OK");
        socket.close();
      }),
      { numRuns: 15 },
    );
    const { socket, said } = await socketOf(known);
    socket.send(new Uint8Array([9, 9, 9]));
    await expect.poll(() => said).toEqual(["bye:4002"]);
    await dial(cloud, known, ok);
    expect(await ping(known)).toBe("OK");
  }, 120_000);

  test("as an answer make the call fail with an error", async () => {
    const known = await newDevice(cloud);
    const { socket } = await socketOf(known);
    socket.addEventListener("message", () => socket.send(new Uint8Array([2, 0, 0, 0, 0, 1, 255, 255])));
    const response = await cloud.relay("/v1/reboot", { uuid: known.uuid });
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ mayHaveActed: true });
  });

  test("from a cloud make the tunnel reconnect and do not crash the agent", async () => {
    const messages = fc.sample(hostile, 100).map((message) => (typeof message === "string" ? `x${message}` : message));
    const fake = await fakeCloud(messages.map(toWire));
    const log = new MemoryLog();
    const clock: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 5), signal) };
    const tunnel = startTunnel({
      url: fake.url,
      uuid: "0".repeat(32),
      key: "k",
      fetch: ok,
      clock,
      log,
      pingMs: 10_000,
    });
    onTestFinished(() => tunnel.stop());
    await expect.poll(() => fake.served(), { timeout: 20_000 }).toBe(messages.length);
    expect(log.lines.some((line) => /does not keep to the protocol/.test(line))).toBe(true);
  });
});

/** One message of a server on the wire: unmasked and unfragmented. */
function toWire(message: string | Uint8Array): Buffer {
  const payload = Buffer.from(message);
  const opcode = typeof message === "string" ? 1 : 2;
  const length = payload.length < 126 ? [payload.length] : [126, payload.length >> 8, payload.length & 0xff];
  return Buffer.concat([Buffer.from([0x80 | opcode, ...length]), payload]);
}

/** Accepts WebSockets and sends one of the messages on each. A valid frame is followed by an invalid one. */
async function fakeCloud(messages: readonly Buffer[]) {
  let served = 0;
  const wrong = toWire(encodeFrame({ is: "data", id: 1, body: new Uint8Array(0), end: false }).fill(9, 0, 1));
  const server: Server = createServer();
  server.on("upgrade", (request, socket) => {
    socket.on("error", () => {});
    const accept = createHash("sha1")
      .update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest("base64");
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
    );
    const message = messages[served];
    if (!message) return socket.end();
    served++;
    socket.write(Buffer.concat([message, wrong]));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  return { url: `http://127.0.0.1:${port}`, served: () => served };
}
