import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { startCloud } from "./cloud.ts";
import { newDevice, newFleet, newToken, newUuid, type Registered } from "./people.ts";

const cloud = startCloud();

const Line = z.looseObject({
  message: z.string(),
  createdAt: z.number(),
  timestamp: z.number(),
  isSystem: z.boolean(),
});

let clock = 1_000_000;
const line = (message: string, more: object = {}): string =>
  `${JSON.stringify({ message, timestamp: clock++, ...more })}\n`;

const ndjson = { "content-type": "application/x-ndjson" };

const send = ({ uuid, api_key: key }: Registered, body: BodyInit | null, headers: Record<string, string> = {}) =>
  fetch(`${cloud.url()}/device/v2/${uuid}/log-stream`, {
    method: "POST",
    body,
    headers: { ...ndjson, authorization: `Bearer ${key}`, ...headers },
    ...(body instanceof ReadableStream && { duplex: "half" }),
  });

const history = ({ uuid }: Registered, query = "") => cloud.get(z.array(Line), `/device/v2/${uuid}/logs${query}`);
const messages = async (device: Registered, query = "") => (await history(device, query)).map(({ message }) => message);

const someDevice = async () => newDevice(cloud, await newFleet(cloud, `logs of ${newUuid()}`));

describe("lines", () => {
  test("are stored in order, complete, with the cloud's time, across an eviction of the object", async () => {
    const device = await someDevice();
    const before = Date.now();
    const all = Array.from({ length: 300 }, (_, n) => `line ${n}`);
    expect((await send(device, all.map((one) => line(one)).join(""))).status).toBe(201);
    await cloud.worker.getWorker().evictDurableObject("DeviceLogs", { name: device.uuid });
    expect((await send(device, line("more", { serviceId: 7, isStdErr: true }).trim())).status).toBe(201);
    expect(await messages(device)).toEqual([...all, "more"]);
    const [last] = await history(device, "?count=1");
    expect(last).toMatchObject({ message: "more", isSystem: false, isStdErr: true, serviceId: 7 });
    expect(last?.createdAt).toBeGreaterThanOrEqual(before);
    expect(await messages(device, "?count=3")).toEqual(["line 298", "line 299", "more"]);
    expect(await messages(device, `?start=${Date.now() + 60_000}`)).toEqual([]);
  });

  test("can be compressed", async () => {
    const device = await someDevice();
    const body = new Uint8Array(gzipSync(line("packed one") + line("packed two")));
    expect((await send(device, body, { "content-encoding": "gzip" })).status).toBe(201);
    expect(await messages(device)).toEqual(["packed one", "packed two"]);
  });

  test("of a repeated request are stored once, together with its new lines", async () => {
    const device = await someDevice();
    const [one, two, three] = [line("one"), line("two"), line("three")];
    await send(device, one + two);
    await send(device, one + two);
    await send(device, one + two + three);
    expect(await messages(device)).toEqual(["one", "two", "three"]);
    await send(device, line("one"));
    expect(await messages(device)).toEqual(["one", "two", "three", "one"]);
  });

  test("that are invalid are counted, and the lines around them are stored", async () => {
    const device = await someDevice();
    const odd = `{"message":5,"timestamp":1}\n`;
    expect((await send(device, line("before") + odd + odd + line("after"))).status).toBe(201);
    expect(await messages(device)).toEqual([
      "before",
      "after",
      "Warning: 2 log lines were not of the expected shape, and are left out",
    ]);
  });

  test("are stored up to a number of bytes, and the oldest are deleted", async () => {
    const device = await someDevice();
    const chunk = (n: number) => line(`${n} ${"x".repeat(90_000)}`);
    for (let n = 0; n < 60; n += 5) await send(device, Array.from({ length: 5 }, (_, m) => chunk(n + m)).join(""));
    const kept = (await messages(device)).map((message) => Number.parseInt(message, 10));
    expect(kept.at(-1)).toBe(59);
    expect(kept).toEqual(Array.from({ length: kept.length }, (_, n) => 60 - kept.length + n));
    expect(kept.length * 90_000).toBeLessThanOrEqual(4 * 1024 * 1024);
    expect(kept.length * 90_000).toBeGreaterThan(3 * 1024 * 1024);
  });
});

/** The lines of a stream as they arrive, without heartbeats. */
async function* follow(device: Registered, query: string, signal: AbortSignal, key?: string): AsyncGenerator<string> {
  const { token } = key === undefined ? await newToken(cloud) : { token: key };
  const response = await fetch(`${cloud.url()}/device/v2/${device.uuid}/logs?stream=1${query}`, {
    headers: { authorization: `Bearer ${token}` },
    signal,
  });
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/x-ndjson"]);
  let rest = "";
  for await (const text of (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const one of lines) if (one !== "") yield Line.parse(JSON.parse(one)).message;
  }
}

describe("a follower", () => {
  test("receives the existing lines, and then each line while the device still sends", async () => {
    const device = await someDevice();
    await send(device, line("a") + line("b") + line("c"));
    const left = new AbortController();
    const seen = follow(device, "&count=2", left.signal);
    expect([(await seen.next()).value, (await seen.next()).value]).toEqual(["b", "c"]);

    const { readable, writable } = new TransformStream<string, string>();
    const writer = writable.getWriter();
    const answered = send(device, readable.pipeThrough(new TextEncoderStream()));
    await writer.write(line("live"));
    expect((await seen.next()).value).toBe("live");
    await writer.write(line("and on"));
    expect((await seen.next()).value).toBe("and on");
    await writer.close();
    expect((await answered).status).toBe(201);
    left.abort();
    await expect(seen.next()).rejects.toThrow();
    await send(device, line("nobody is there"));
    expect(await messages(device, "?count=1")).toEqual(["nobody is there"]);
  });

  test("is disconnected when the token is revoked, and when the device is deleted", async () => {
    const device = await someDevice();
    const { id, token } = await newToken(cloud);
    const never = new AbortController().signal;
    const [first, second] = [follow(device, "", never, token), follow(device, "", never)];
    const ends = [first.next(), second.next()];
    await sleep(200);
    await cloud.ask("DELETE", `/admin/v1/tokens/${id}`);
    expect(await ends[0]).toEqual({ done: true, value: undefined });
    await cloud.ask("DELETE", `/admin/v1/devices/${device.uuid}`);
    expect(await ends[1]).toEqual({ done: true, value: undefined });
  });
});

describe("access to a log:", () => {
  test("users with a valid token for the fleet can read it", async () => {
    const fleet = await newFleet(cloud, "log readers");
    const device = await newDevice(cloud, fleet);
    await send(device, line("seen"));
    const { token, id } = await newToken(cloud, { fleets: [fleet.id] });
    const { token: stranger } = await newToken(cloud, { fleets: [(await newFleet(cloud, "others")).id] });
    const path = `/device/v2/${device.uuid}/logs`;
    const as = async (key: string | null) => {
      const { status, json } = await cloud.ask("GET", path, undefined, key);
      return [status, json];
    };
    expect(await as(token)).toEqual([200, [expect.objectContaining({ message: "seen" })]]);
    expect(await as(stranger)).toEqual([404, `No device with uuid ${device.uuid}`]);
    expect(await as(device.api_key)).toEqual([401, undefined]);
    expect(await as(null)).toEqual([401, undefined]);
    await cloud.ask("DELETE", `/admin/v1/tokens/${id}`);
    expect((await as(token))[0]).toBe(404);
  });

  test("only the device with its current key can write it, and its deletion deletes the log", async () => {
    const device = await someDevice();
    await send(device, line("one"));
    const { json } = await cloud.ask("POST", `/admin/v1/devices/${device.uuid}/key`, {});
    const { key } = z.object({ key: z.string() }).parse(json);
    expect((await send(device, line("old key"))).status).toBe(401);
    expect((await send({ ...device, api_key: key }, line("new key"))).status).toBe(201);
    expect(await messages(device)).toEqual(["one", "new key"]);
    await cloud.ask("DELETE", `/admin/v1/devices/${device.uuid}`);
    expect((await send({ ...device, api_key: key }, line("after"))).status).toBe(401);
    const rows = cloud.worker.getWorker().getDurableObjectStorage("DeviceLogs", { name: device.uuid });
    expect(await (await rows).exec("SELECT name FROM sqlite_master WHERE name = 'arrivals'")).toEqual([]);
  });

  test("an invalid uuid wakes no Durable Object", async () => {
    expect((await cloud.ask("GET", "/device/v2/abc/logs")).status).toBe(404);
  });
});
