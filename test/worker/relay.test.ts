import { describe, expect, test } from "vitest";
import type { Fetch } from "../../core/http/fetch.ts";
import { dial, joinAgent, newDevice, startRelay, type Known } from "./devices.ts";

const cloud = startRelay();
const { relay } = cloud;
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const text = new TextEncoder();

// The harness compresses other types and buffers them for that.
const lines = { "content-type": "application/x-ndjson" };

const answering =
  (answer: (request: Request) => Response | Promise<Response>): Fetch =>
  async (request) =>
    answer(request);

describe("one device", () => {
  test("answers with its own status, headers and body of any type", async () => {
    const odd = new Uint8Array([0, 255, 1, 254]);
    const device = await dial(
      cloud,
      await newDevice(cloud),
      answering(
        () =>
          new Response(odd, {
            status: 418,
            headers: { "content-type": "application/x-odd", etag: 'W/"1"', "set-cookie": "a=b", "x-private": "1" },
          }),
      ),
    );
    const response = await relay("/anything", { uuid: device.uuid });
    expect(response.status).toBe(418);
    expect(response.headers.get("content-type")).toBe("application/x-odd");
    expect(response.headers.get("etag")).toBe('W/"1"');
    expect([response.headers.get("set-cookie"), response.headers.get("x-private")]).toEqual([null, null]);
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(odd);
  });

  test("receives method, path, query and data, but no keys and cookies", async () => {
    const device = await dial(
      cloud,
      await newDevice(cloud),
      answering(async (request) => {
        const { method, url, headers } = request;
        return Response.json({ method, url, headers: [...headers], body: await request.text() });
      }),
    );
    const path = "/v1/x%20y?a=1&apikey=secret&API_KEY=secret&token=secret&b=2";
    const headers = {
      cookie: "secret",
      "x-forwarded-for": "secret",
      accept: "text/plain",
      "x-fairlead-call": "secret",
    };
    const sent = await relay(path, { uuid: device.uuid, method: "put", data: { force: true } }, { headers });
    const seen = await sent.text();
    expect(JSON.parse(seen)).toMatchObject({
      method: "PUT",
      url: "http://device/v1/x%20y?a=1&b=2",
      body: '{"force":true}',
    });
    expect(JSON.parse(seen).headers.toSorted()).toEqual([
      ["accept", "text/plain"],
      ["content-type", "application/json"],
    ]);
    expect(seen).not.toContain("secret");

    const read = await relay("/v1/y?a=1", { uuid: device.uuid, method: "GET", data: { serviceName: "a b" } });
    expect(await read.json()).toMatchObject({ url: "http://device/v1/y?a=1&serviceName=a+b", body: "" });
  });

  test("is selected by each id, as number or digits, and by all of them together", async () => {
    const device = await joinAgent(cloud, 70);
    const { uuid, deviceId } = device;
    for (const choice of [
      { uuid },
      { deviceId },
      { deviceId: String(deviceId) },
      { appId: "70" },
      { uuid, deviceId, appId: 70 },
      { uuid, deviceId: null, appId: null },
    ]) {
      const response = await relay("/ping", { ...choice, method: "GET" });
      expect([choice, response.status, await response.text()]).toEqual([choice, 200, "OK"]);
    }
    for (const choice of [
      { uuid, appId: 71 },
      { uuid, deviceId: deviceId + 1000 },
      { deviceId, appId: 71 },
    ]) {
      const response = await relay("/ping", { ...choice, method: "GET" });
      expect([response.status, await response.json()]).toEqual([404, "No online device(s) found"]);
    }
  });

  test.each([
    ["nothing at all", "", "Expected a JSON object with uuid, deviceId or appId"],
    ["no device", "{}", "At least one filter must be specified"],
    ["an appId that is no number", '{"appId":"x"}', "App ID must be a valid integer if specified"],
    ["a deviceId that is no integer", '{"deviceId":1.5}', "Device ID must be a valid integer if specified"],
    ["a uuid that is no string", '{"uuid":7}', "uuid: expected a string"],
    ["a method that is none", '{"deviceId":1,"method":"brew"}', "Invalid method 'BREW'"],
    ["data that is no object", '{"deviceId":1,"data":[]}', "data: expected an object"],
  ])("cannot be selected by a request with %s", async (_, body, message) => {
    const response = await relay("/ping", {}, { body });
    expect([response.status, await response.json()]).toEqual([400, message]);
  });

  test("without a filter is refused with a message", async () => {
    const response = await relay("/", { deviceId: 1 });
    expect([response.status, await response.json()]).toEqual([400, "Supervisor API url must be specified"]);
  });

  test("that is offline, in another fleet, deleted or unknown gets the same answer", async () => {
    const { uuid } = await newDevice(cloud);
    const nobody = "f".repeat(32);
    for (const choice of [{ uuid }, { uuid: nobody }, { uuid: "no uuid" }, { deviceId: 99_999 }, { appId: 99_999 }]) {
      const response = await relay("/ping", choice);
      expect([response.status, await response.text()]).toEqual([404, '"No online device(s) found"']);
    }
  });

  test("that disconnects during a call may have acted, unless the request was a read", async () => {
    const known = await newDevice(cloud);
    for (const [method, mayHaveActed] of [
      ["POST", true],
      ["GET", false],
    ] as const) {
      let asked = 0;
      const device = await dial(cloud, known, () => {
        asked++;
        return new Promise(() => {});
      });
      const answer = relay("/v1/reboot", { uuid: known.uuid, method });
      await expect.poll(() => asked).toBe(1);
      device.tunnel.stop();
      const response = await answer;
      expect(response.status).toBe(502);
      expect(await response.json()).toMatchObject({
        mayHaveActed,
        error: expect.stringMatching(/^No answer of the device/),
      });
      expect(asked).toBe(1);
    }
  });

  test("that does not answer within the requested time is 504, and its request is cancelled", async () => {
    let left = false;
    const device = await dial(cloud, await newDevice(cloud), ({ signal }) => {
      signal.addEventListener("abort", () => (left = true));
      return new Promise(() => {});
    });
    const before = Date.now();
    const response = await relay("/v1/reboot", { uuid: device.uuid }, { headers: { prefer: "wait=1" } });
    expect(response.status).toBe(504);
    expect(response.headers.get("preference-applied")).toBe("wait=1");
    expect(await response.json()).toMatchObject({ mayHaveActed: true, error: expect.stringContaining("in time") });
    expect(Date.now() - before).toBeLessThan(5000);
    await expect.poll(() => left).toBe(true);
  });

  test("without a key is 401", async () => {
    const response = await relay("/ping", { deviceId: 1 }, { headers: { authorization: "Bearer wrong" } });
    expect(response.status).toBe(401);
  });
});

describe("a stream", () => {
  test("of a log arrives line by line, as it is produced", async () => {
    const { agent, uuid } = await joinAgent(cloud);
    const response = await relay("/v2/local/logs", { uuid, method: "GET" });
    expect(response.status).toBe(200);
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let seen = "";
    const until = async (wanted: string) => {
      while (!seen.includes(wanted)) {
        const { value, done } = await reader.read();
        if (done) throw new Error(`It ended without ${wanted}: ${seen}`);
        seen += value;
      }
    };
    await until("Streaming logs");
    const app = {
      name: "fleet",
      commit: "c1",
      releaseId: 1,
      services: { "1": { serviceName: "one", imageId: 1, image: "one:latest", environment: {}, labels: {} } },
    };
    const target = { local: { name: "local", config: {}, apps: { "1": app } } };
    await agent.fetch(
      new Request("http://device/v2/local/target-state", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(target),
      }),
    );
    await until("Downloading image");
    await reader.cancel();
  });

  test("delivers its first line before the last is produced, and every byte", async () => {
    const count = 50;
    let sent = 0;
    const device = await dial(
      cloud,
      await newDevice(cloud),
      answering(
        () =>
          new Response(
            new ReadableStream({
              async pull(controller) {
                if (sent === count) return controller.close();
                await pause(sent === 0 ? 0 : 10);
                controller.enqueue(text.encode(`{"line":${sent++}}\n`));
              },
            }),
            { headers: { "content-type": "application/x-ndjson" } },
          ),
      ),
    );
    const response = await relay("/logs", { uuid: device.uuid, method: "GET" });
    expect(response.headers.get("content-type")).toBe("application/x-ndjson");
    const reader = response.body!.getReader();
    const first = await reader.read();
    expect(sent).toBeLessThan(count / 2);
    let all = new TextDecoder().decode(first.value);
    for (let next = await reader.read(); !next.done; next = await reader.read())
      all += new TextDecoder().decode(next.value);
    expect(all).toBe(Array.from({ length: count }, (_, n) => `{"line":${n}}\n`).join(""));
  });

  test("that is cut in the middle fails instead of ending", async () => {
    const device = await dial(
      cloud,
      await newDevice(cloud),
      answering(
        () =>
          new Response(new ReadableStream({ start: (controller) => controller.enqueue(text.encode("half")) }), {
            headers: lines,
          }),
      ),
    );
    const response = await relay("/logs", { uuid: device.uuid, method: "GET" });
    const reader = response.body!.getReader();
    expect(new TextDecoder().decode((await reader.read()).value)).toBe("half");
    device.tunnel.stop();
    await expect(reader.read()).rejects.toThrow();
  });

  test("is cancelled on the device when its reader disconnects", async () => {
    let aborted = false;
    const device = await dial(cloud, await newDevice(cloud), async ({ signal }) => {
      signal.addEventListener("abort", () => (aborted = true));
      const stream = new ReadableStream({
        async pull(controller) {
          await pause(10);
          controller.enqueue(text.encode("line\n"));
        },
      });
      return new Response(stream, { headers: lines });
    });
    const leave = new AbortController();
    const answer = await relay("/logs", { uuid: device.uuid, method: "GET" }, { signal: leave.signal });
    await answer.body!.getReader().read();
    leave.abort();
    await expect.poll(() => aborted, { timeout: 5000 }).toBe(true);
  });

  test("ends when its reader's access ends", async () => {
    const device = await dial(
      cloud,
      await newDevice(cloud),
      answering(
        () =>
          new Response(new ReadableStream({ start: (controller) => controller.enqueue(text.encode("line\n")) }), {
            headers: lines,
          }),
      ),
    );
    const response = await relay("/logs", { uuid: device.uuid, method: "GET" });
    const reader = response.body!.getReader();
    await reader.read();
    await cloud.tell({ to: "revoke", uuid: device.uuid, tokenIds: ["somebody else's"] });
    expect(device.tunnel.state().is).toBe("connected");
    const next = expect(reader.read()).rejects.toThrow();
    await cloud.tell({ to: "revoke", uuid: device.uuid, tokenIds: ["admin"] });
    await next;
    expect((await relay("/ping", { uuid: device.uuid })).status).toBe(404);
  });

  test("of 16 MiB with a slow reader stops its producer, and arrives complete", async () => {
    const size = 16 * 1024 * 1024;
    let made = 0;
    const device = await dial(
      cloud,
      await newDevice(cloud),
      answering(
        () =>
          new Response(
            new ReadableStream({
              pull(controller) {
                if (made >= size) return controller.close();
                made += 65536;
                controller.enqueue(new Uint8Array(65536));
              },
            }),
            { headers: { "content-type": "application/octet-stream" } },
          ),
      ),
    );
    const response = await relay("/blob", { uuid: device.uuid, method: "GET" });
    await pause(500);
    // Our windows, and the buffers of two sockets.
    expect(made).toBeLessThan(size);
    expect((await response.arrayBuffer()).byteLength).toBe(size);
  });
});

describe("several devices", () => {
  test("each have an entry in order, also if one is offline, slow, failing or too large", async () => {
    const fleetId = 80;
    const good = await joinAgent(cloud, fleetId);
    const off = await newDevice(cloud, fleetId);
    const slow = await dial(cloud, await newDevice(cloud, fleetId), () => new Promise(() => {}));
    const bad = await dial(cloud, await newDevice(cloud, fleetId), () => Promise.reject(new Error("no memory")));
    const large = await dial(
      cloud,
      await newDevice(cloud, fleetId),
      answering(() => new Response(new Uint8Array(2 ** 21))),
    );
    const headers = { prefer: "wait=2" };
    const response = await relay("/v2/device/name", { appId: fleetId, method: "GET", data: {} }, { headers });
    expect(response.status).toBe(207);
    const said = (error: string) => ({ error: expect.stringContaining(error), mayHaveActed: false });
    const entry = ({ uuid, deviceId }: { uuid: string; deviceId: number }, statusCode: number, body: unknown) => ({
      ...{ statusCode, body, uuid, deviceId },
    });
    expect(await response.json()).toEqual([
      entry(good, 200, { status: "success", deviceName: "local" }),
      entry(off, 404, "No online device(s) found"),
      entry(slow, 504, said("in time")),
      entry(bad, 502, said("no memory")),
      entry(large, 502, said("larger than 1048576 bytes")),
    ]);

    const asText = await relay("/v2/device/name", { appId: fleetId, method: "GET" }, { headers });
    expect((await asText.json())[0].body).toBe('{"status":"success","deviceName":"local"}');
  });

  test("that are too many for one request get no request", async () => {
    await cloud.tell({ to: "fill", fleetId: 82, devices: 9001 });
    const response = await relay("/v1/reboot", { appId: 82 });
    expect([response.status, await response.json()]).toEqual([
      400,
      "App 82 has more than the 9000 devices that one request can reach: ask each by uuid",
    ]);
  });

  test("that are all offline are 404", async () => {
    for (let n = 0; n < 2; n++) await newDevice(cloud, 81);
    const response = await relay("/ping", { appId: 81 });
    expect([response.status, await response.json()]).toEqual([404, "No online device(s) found"]);
  });
});

describe("hibernation", () => {
  test("is possible once no call is in progress, and clients do not notice it", async () => {
    let asked = 0;
    let answer = (_: Response): void => undefined;
    const device = await dial(cloud, await newDevice(cloud), () => {
      asked++;
      return new Promise((resolve) => (answer = resolve));
    });
    for (const word of ["done", "again"]) {
      const before = asked;
      const called = relay("/v1/update", { uuid: device.uuid });
      await expect.poll(() => asked).toBeGreaterThan(before);
      answer(new Response(word));
      expect(await (await called).text()).toBe(word);
      // Fails if something still keeps the object in memory, such as a timer.
      await cloud.hibernate(device);
    }
  });

  test("between two requests is not noticed by clients", async () => {
    const { uuid, ...device } = await joinAgent(cloud);
    for (let n = 0; n < 3; n++) {
      const response = await relay("/ping", { uuid, method: "GET" });
      expect([response.status, await response.text()]).toEqual([200, "OK"]);
      await cloud.hibernate({ uuid, ...device });
    }
    expect(device.tunnel.state().is).toBe("connected");
    expect(device.log.lines.length).toBe(1);
  });
});

test("a deployment breaks open requests, and devices reconnect, abort them and answer the next request", async () => {
  const seen = { asked: 0, aborted: 0 };
  const device = await dial(cloud, await newDevice(cloud), (request) => {
    if (request.url.endsWith("/ping")) return Promise.resolve(new Response("OK"));
    seen.asked++;
    request.signal.addEventListener("abort", () => seen.aborted++);
    const stream = new ReadableStream({
      async pull(controller) {
        await pause(10);
        controller.enqueue(text.encode("line\n"));
      },
    });
    return request.url.endsWith("/logs")
      ? Promise.resolve(new Response(stream, { headers: lines }))
      : new Promise(() => {});
  });
  const { uuid } = device;
  const waiting = relay("/v1/reboot", { uuid }).then(
    ({ status }) => status,
    () => 0,
  );
  const read = (await relay("/logs", { uuid, method: "GET" })).text().then(
    () => "ended",
    () => "failed",
  );
  await expect.poll(() => seen.asked).toBe(2);
  await cloud.deploy();
  expect(await waiting).not.toBe(200);
  expect(await read).toBe("failed");
  await expect.poll(() => seen.aborted, { timeout: 10_000 }).toBe(2);
  const pinged = async () => (await relay("/ping", { uuid, method: "GET" })).text();
  await expect.poll(pinged, { timeout: 15_000 }).toBe("OK");
});

describe("a session", () => {
  const grant = { tokenId: "t1", fleets: [90], write: true, issuedAt: 0 };

  test("relays permitted requests, and reveals nothing about the device to others", async () => {
    const device = await joinAgent(cloud, 90);
    const ask = (who: object, what = { method: "POST", path: "/v1/blink" }) =>
      cloud.tell({ to: "call", uuid: device.uuid, grant: { ...grant, ...who }, ...what });
    const unknown = { is: "failed", status: 404, error: "No online device(s) found", mayHaveActed: false };
    const answered = { is: "answered", status: 200 };
    expect(await ask({})).toMatchObject(answered);
    expect(await ask({ fleets: "all" })).toMatchObject(answered);
    expect(await ask({ fleets: [91] })).toEqual(unknown);
    expect(await ask({ fleets: [] })).toEqual(unknown);
    expect(await ask({ fleets: [91], device: device.uuid })).toMatchObject(answered);
    expect(await ask({ device: "0".repeat(32) })).toEqual(unknown);
    expect(await ask({ write: false })).toMatchObject({ is: "failed", status: 403 });
    expect(await ask({ write: false }, { method: "GET", path: "/ping" })).toMatchObject(answered);
    await cloud.tell({ to: "revoke", uuid: device.uuid, tokenIds: ["t1"] });
    expect(await ask({})).toEqual(unknown);
    expect(await ask({ tokenId: "t2" })).toMatchObject(answered);
    await cloud.hibernate(device);
    expect(await ask({})).toEqual(unknown);
    await cloud.tell({ ...enrolment(device), fleetId: 91 });
    expect(await ask({})).toEqual(unknown);
    expect(await ask({ fleets: [91] })).toMatchObject(answered);
  });

  test("has the time of its device's connection", async () => {
    const before = Date.now();
    const device = await dial(
      cloud,
      await newDevice(cloud),
      answering(() => new Response()),
    );
    const status = () => cloud.tell({ to: "status", uuid: device.uuid });
    const connected = { connected: true, since: expect.closeTo(before, -4) };
    expect(await status()).toEqual(connected);
    await cloud.hibernate(device);
    expect(await status()).toEqual(connected);
    device.tunnel.stop();
    await expect.poll(status).toEqual({ connected: false });
  });

  test("closes the socket of a deleted device, and of one whose key was replaced", async () => {
    const device = await dial(
      cloud,
      await newDevice(cloud),
      answering(() => new Response()),
    );
    await cloud.tell({ ...enrolment(device), key: "another" });
    await expect.poll(() => device.tunnel.state().is).toBe("disconnected");
    await cloud.tell({ to: "forget", uuid: device.uuid });
    expect((await relay("/ping", { uuid: device.uuid })).status).toBe(404);
  });
});

const enrolment = ({ uuid, deviceId, fleetId, key }: Known) => ({ to: "enroll", uuid, deviceId, fleetId, key });
