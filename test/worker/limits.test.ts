import { get } from "node:http";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { startWorkerd } from "../../bench/relay/workerd.ts";
import { refuse } from "../../core/api/refusal.ts";
import { adminSecret, startCloud } from "./cloud.ts";
import { newDevice, newFleet, newToken, newUuid, registration, type Registered } from "./people.ts";

/** The limits for anonymous clients, devices and stolen keys. */

const cloud = startCloud();

describe("the admin secret", () => {
  const weak = startCloud("x".repeat(31));

  test("is read only from the Authorization header", async () => {
    expect((await cloud.ask("GET", "/actor/v1/whoami")).status).toBe(200);
    const paths = ["/actor/v1/whoami", "/admin/v1/fleets", "/v7/device"];
    for (const path of paths)
      expect([path, (await cloud.ask("GET", `${path}?apikey=${adminSecret}`, undefined, null)).status]).toEqual([
        path,
        401,
      ]);
    const relayed = await cloud.ask("POST", `/supervisor/ping?apikey=${adminSecret}`, { appId: 1 }, null);
    expect(relayed.status).toBe(401);
  });

  test("of fewer than 32 characters is rejected", async () => {
    const { status, json } = await weak.ask("GET", "/actor/v1/whoami");
    expect([status, json]).toEqual([
      503,
      { error: expect.stringMatching(/^ADMIN_SECRET is missing, or has not 32 to 4500 characters/) },
    ]);
  });
});

describe("a credential", () => {
  test("of too many characters is rejected without computing a digest", async () => {
    // Directly on workerd, because the harness's proxy accepts only 16 KiB of headers.
    const bare = await startWorkerd();
    onTestFinished(() => bare.stop());
    const begun = performance.now();
    // A UTF-8 character at the end that a pattern matches as white space and HTTP does not trim.
    const hostile = `Bearer ${" ".repeat(30_000)}a${" ".repeat(30_000)}\u00c2\u00a0`;
    for (const authorization of [hostile, hostile, hostile, `Bearer ${"a ".repeat(15_000)}`, "a".repeat(30_000)]) {
      const { status } = await fetch(`${bare.url}/actor/v1/whoami`, { headers: { authorization } });
      expect(status).toBe(401);
    }
    expect((await fetch(`${bare.url}/actor/v1/whoami?apikey=${"a".repeat(30_000)}`)).status).toBe(401);
    expect(performance.now() - begun).toBeLessThan(5000);
  });
});

/** The answer to an OData address, which must not be an internal error. */
const odata = (address: string) => cloud.ask("GET", `/v7/${address}`);

const directory = () => cloud.worker.getWorker().getDurableObjectStorage("Directory", { name: "directory" });

describe("a query on resources", () => {
  const counter = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ";
  let fleetId: number;

  beforeAll(async () => {
    const fleet = await newFleet(cloud, "a large one");
    const { id } = await newDevice(cloud, fleet);
    fleetId = fleet.id;
    const storage = await directory();
    await storage.exec(
      `${counter}300) INSERT INTO devices (uuid, name, fleet_id, device_type, key_digest, created_at)
       SELECT printf('%032x', i + 1000000), 'd' || i, ${fleet.id}, 'generic-amd64', 'digest' || i, '' FROM n`,
    );
    await storage.exec(
      `${counter}99) INSERT INTO tags (device_id, tag_key, value)
       SELECT devices.id, 'key' || i, 'v' FROM n JOIN devices ON fleet_id = ${fleet.id}`,
    );
    await storage.exec(
      `${counter}900) INSERT INTO variables (kind, device_id, name, value, created_at)
       SELECT 'config', ${id}, 'BALENA_' || i, hex(zeroblob(5000)), '' FROM n`,
    );
  });

  test("does not expand a resource within itself", async () => {
    const back = "owns__device($expand=belongs_to__application($expand=owns__device))";
    expect(await odata(`application?$expand=${back}`)).toMatchObject({
      status: 400,
      json: "$expand leads back to where it comes from: application → device → application",
    });
    const { status, json } = await odata("device?$select=id&$expand=belongs_to__application($expand=owns__device)");
    expect([status, json]).toEqual([400, "$expand leads back to where it comes from: device → application → device"]);
    const single = await odata("device_tag?$top=1&$expand=device($select=id;$expand=belongs_to__application)");
    expect(single.status).toBe(200);
    const leaf = "device?$select=id&$top=1&$expand=device_tag($select=id;$top=1;$expand=device($select=id))";
    expect((await odata(leaf)).status).toBe(200);
  });

  test("expands at most four levels", async () => {
    const levels = (n: number): string => `a${n > 1 ? `($expand=${levels(n - 1)})` : ""}`;
    expect((await odata(`application?$expand=${levels(4)}`)).json).toBe("application has nothing to expand called a");
    expect(await odata(`application?$expand=${levels(5)}`)).toMatchObject({
      status: 400,
      json: "$expand is nested too deeply, expected at most 4 levels",
    });
  });

  test("answers at most 20,000 rows, expanded ones included", async () => {
    const { status, json } = await odata(`application(${fleetId})?$expand=owns__device($select=id;$expand=device_tag)`);
    expect([status, json]).toEqual([400, expect.stringMatching(/^The answer is larger than 20000 rows: /)]);
    const fewer = `application(${fleetId})?$expand=owns__device($select=id;$expand=device_tag($top=10))`;
    expect((await odata(fewer)).status).toBe(400);
    expect((await odata(`device?$select=id&$top=150&$expand=device_tag($select=id)`)).status).toBe(200);
  });

  test("answers at most 8 MiB, with repeated rows counted each time", async () => {
    expect((await odata("device_config_variable?$select=id")).status).toBe(200);
    const { status, json } = await odata("device_config_variable");
    expect([status, json]).toEqual([400, expect.stringMatching(/^The answer is larger than 8388608 bytes: /)]);
    const storage = await directory();
    await storage.exec(`UPDATE fleets SET name = hex(zeroblob(50000)) WHERE id = ${fleetId}`);
    const shared = await odata(
      `device?$select=id&$filter=belongs_to__application eq ${fleetId}&$expand=belongs_to__application`,
    );
    expect([shared.status, shared.json]).toEqual([400, expect.stringMatching(/^The answer is larger than 8388608 b/)]);
  });

  const terms = (count: number, term: string, by: string) => Array.from({ length: count }, () => term).join(by);
  test.each([
    ["device?$filter=" + terms(41, "id eq 1", " and "), "$filter has too many terms, expected at most 40"],
    ["device?$filter=" + terms(41, "(id eq 1)", " and "), "$filter has too many terms, expected at most 40"],
    ["device?$orderby=" + terms(41, "id", ","), "$orderby has too many parts, expected at most 40"],
    ["device?$select=" + terms(101, "id", ","), "$select has too many parts, expected at most 100"],
    [
      "device?$select=id&$expand=" + Array.from({ length: 101 }, (_, n) => `a${n}`).join(","),
      "$expand has too many parts, expected at most 100",
    ],
    ["device?$select=id&$expand=device_tag,device_tag", "device_tag is given twice"],
    [`device(${terms(11, "id=1", ",")})`, "The key has too many parts, expected at most 10"],
    ["device?$select=constructor", "device has no field constructor"],
    ["device?$select=id&$filter=__proto__ eq 1", "device has no field __proto__"],
    ["device?$select=id&$expand=constructor", "device has nothing to expand called constructor"],
    ["device?$select=id&$expand=__proto__", "device has nothing to expand called __proto__"],
    ["device?$select=id&$orderby=toString", "device has no field toString"],
    ["device(hasOwnProperty=1)", "device has no field hasOwnProperty"],
    ["device?$top=1000000000", expect.stringMatching(/^Expected the end/)],
  ])("%s is refused with a message", async (address, sentence) => {
    const { status, json } = await odata(address);
    expect([status, json]).toEqual([400, sentence]);
  });

  test.each(["constructor", "__proto__", "toString"])("there is no resource %s", async (name) => {
    for (const method of ["GET", "POST", "PATCH", "DELETE"])
      expect((await cloud.ask(method, `/v7/${name}(1)`, method === "GET" ? undefined : {})).status).toBe(404);
  });

  test.each([
    "device?$select=id&$filter=" + terms(40, "startswith(uuid,'0')", " and "),
    "device?$select=id&$filter=" + terms(40, "overall_progress eq null", " and "),
    "device(id=1,uuid='a',device_name='b')?$select=id&$filter=" + terms(40, "startswith(uuid,'0')", " and "),
    "device?$select=id&$orderby=" + terms(40, "overall_progress desc", ","),
    "device?$select=id&$top=999999999&$skip=999999999",
    "device/$count?$filter=" + terms(40, "startswith(uuid,'0')", " and "),
  ])("%s is answered", async (address) => {
    expect((await odata(address)).status).toBe(200);
  });

  test("never causes an internal error", async () => {
    const name = fc.constantFrom(
      ..."application device release image service image_install device_tag id uuid owns__device".split(" "),
      ..."belongs_to__application should_be_running__release installs__image is_online constructor __proto__".split(
        " ",
      ),
    );
    const literal = fc.oneof(fc.constantFrom("1", "-1", "null", "true", "1e9", "0.5", "''", "'a''b'"), fc.string());
    const list = (parts: fc.Arbitrary<string>, by = ",") =>
      fc.array(parts, { maxLength: 4 }).map((all) => all.join(by));
    const { option } = fc.letrec<{ option: string }>((tie) => ({
      option: fc.oneof(
        { depthSize: "small" },
        list(name).map((names) => `$select=${names}`),
        list(
          fc.tuple(name, fc.constantFrom("eq", "ne", "gt"), literal).map((one) => one.join(" ")),
          " and ",
        ).map((terms) => `$filter=${terms}`),
        fc.tuple(name, fc.constantFrom("", " asc", " desc", " up")).map((one) => `$orderby=${one.join("")}`),
        fc
          .tuple(fc.constantFrom("$top", "$skip"), fc.constantFrom("0", "1", "-1", "999999999", ""))
          .map((one) => one.join("=")),
        list(fc.tuple(name, list(tie("option"), ";")).map(([link, inner]) => (inner ? `${link}(${inner})` : link))).map(
          (links) => `$expand=${links}`,
        ),
      ),
    }));
    const key = fc.oneof(
      fc.constant(""),
      fc.constant("/$count"),
      literal.map((one) => `(${one})`),
      fc.tuple(name, literal).map((one) => `(${one.join("=")})`),
    );
    const method = fc.oneof(
      { weight: 4, arbitrary: fc.constant("GET") },
      { weight: 1, arbitrary: fc.constantFrom("POST", "PATCH") },
    );
    await fc.assert(
      fc.asyncProperty(method, name, key, fc.array(option, { maxLength: 3 }), async (how, resource, where, options) => {
        const query = options
          .map((one) => one.replace(/=(.*)/s, (_, text: string) => `=${encodeURIComponent(text)}`))
          .join("&");
        const path = `/v7/${resource}${encodeURIComponent(where).replaceAll("%2F", "/")}?${query}`;
        const begun = performance.now();
        const { status, text } = await cloud.ask(how, path, how === "GET" ? undefined : { value: "1" });
        expect([path, status < 500, text.length < 10_000_000]).toEqual([path, true, true]);
        expect(performance.now() - begun).toBeLessThan(10_000);
      }),
      { numRuns: 300, interruptAfterTimeLimit: 15_000 },
    );
  });
});

/**
 * A refused body is not read to its end, so the client or the proxy of the test harness (500) may lose its connection
 * before it has the answer.
 */
const refusalOf = async (ask: () => Promise<Response>, tries = 20): Promise<{ status: number; sentence: string }> => {
  try {
    const answer = await ask();
    const sentence = await answer.text();
    if (answer.status !== 500) return { status: answer.status, sentence };
    throw new Error(sentence);
  } catch (error) {
    if (tries <= 1) throw error;
    return refusalOf(ask, tries - 1);
  }
};

describe("a body", () => {
  /** A body as text, optionally compressed, with or without its length. */
  const send = (path: string, key: string, text: string, { gzip = false, method = "POST", chunked = false } = {}) => {
    const bytes = gzip ? new Uint8Array(gzipSync(text)) : new TextEncoder().encode(text);
    return fetch(cloud.url() + path, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        "content-type": "application/json",
        ...(gzip && { "content-encoding": "gzip" }),
      },
      body: chunked ? new Blob([bytes]).stream() : bytes,
      ...(chunked && { duplex: "half" }),
    });
  };
  const large = JSON.stringify({ value: "x".repeat(64 * 1024) });
  const ways = [{}, { chunked: true }, { gzip: true }, { gzip: true, chunked: true }];

  test.each(ways)("of more than 64 KiB is refused by every endpoint for users and devices: %j", async (way) => {
    const fleet = await newFleet(cloud, `large bodies ${newUuid()}`);
    const device = await newDevice(cloud, fleet);
    const joining = JSON.stringify({ ...registration(fleet), more: "x".repeat(64 * 1024) });
    const relayed = JSON.stringify({ uuid: device.uuid, data: { a: "x".repeat(70_000) } });
    const asked = [
      ["POST", "/device/register", fleet.key, joining],
      ["PATCH", "/device/v3/state", device.api_key, large],
      ["PATCH", "/device/v3/tags", device.api_key, large],
      ["POST", "/v7/device_tag", adminSecret, large],
      ["PATCH", `/v7/device(${device.id})`, adminSecret, large],
      ["POST", "/supervisor/v1/blink", adminSecret, relayed],
    ] as const;
    for (const [method, path, key, text] of asked) {
      const { status, sentence } = await refusalOf(() => send(path, key, text, { ...way, method }));
      expect([path, status, sentence]).toEqual([
        path,
        413,
        expect.stringMatching(/expected at most (65536|67584) bytes/),
      ]);
    }
  });

  test.each(ways)("of 64 KiB is relayed, and a target state of 10 MiB: %j", async (way) => {
    const { uuid } = await newDevice(cloud, await newFleet(cloud, `relayed bodies ${newUuid()}`));
    const relay = (path: string, bytes: number, how: object = way) =>
      send(`/supervisor${path}`, adminSecret, JSON.stringify({ uuid, data: { a: "x".repeat(bytes) } }), how);
    const offline = "No online device(s) found";
    expect([(await relay("/v1/blink", 64 * 1024)).status, await (await relay("/v1/blink", 1)).json()]).toEqual([
      404,
      offline,
    ]);
    expect(await (await relay("/v2/local/target-state", 9_000_000)).json()).toBe(offline);
    expect((await relay("/v2/local/target-state", 11_000_000, { ...way, gzip: true })).status).toBe(413);
  });

  test("of any JSON for the relay does not cause an internal error", async () => {
    const { uuid } = await newDevice(cloud, await newFleet(cloud, `any bodies ${newUuid()}`));
    const data = fc.dictionary(
      fc.string(),
      fc.oneof(fc.jsonValue(), fc.constantFrom({ toString: 1 }, { valueOf: null })),
    );
    const asked = fc.record(
      {
        uuid: fc.oneof(fc.constantFrom(uuid, "", "a".repeat(32), null), fc.string()),
        deviceId: fc.oneof(fc.constantFrom("1", "-1", null), fc.double(), fc.jsonValue()),
        appId: fc.oneof(fc.constantFrom("1", "9".repeat(400), null), fc.integer(), fc.jsonValue()),
        method: fc.oneof(fc.constantFrom("GET", "get", "PUT", "constructor"), fc.jsonValue()),
        data: fc.oneof(data, fc.jsonValue()),
      },
      { requiredKeys: [] },
    );
    const deep = fc.constantFrom(...[50, 5_000, 30_000].map((levels) => "[".repeat(levels) + "]".repeat(levels)));
    const text = fc.oneof(
      { weight: 6, arbitrary: asked.map((one) => JSON.stringify(one)) },
      { weight: 1, arbitrary: deep.map((one) => `{"uuid":"${uuid}","method":"GET","data":{"a":${one}}}`) },
      { weight: 1, arbitrary: deep.map((one) => `{"uuid":"${uuid}","data":{"a":${one}}}`) },
      { weight: 1, arbitrary: fc.string() },
    );
    const path = fc.constantFrom("/v1/blink", "/v1/a?b=1&apikey=2", "/%", "/v2/local/target-state", "//", "/../x");
    await fc.assert(
      fc.asyncProperty(path, text, fc.constantFrom(...ways), async (to, body, way) => {
        const { status } = await send(`/supervisor${to}`, adminSecret, body, way);
        expect([body.slice(0, 200), status < 500]).toEqual([body.slice(0, 200), true]);
      }),
      { numRuns: 300, interruptAfterTimeLimit: 15_000 },
    );
  });
});

describe("the log of a device", () => {
  let clock = 2_000_000;
  const line = (message: string) => `${JSON.stringify({ message, timestamp: clock++ })}\n`;
  const send = ({ uuid, api_key: key }: Registered, body: BodyInit, more: Record<string, string> = {}) =>
    fetch(`${cloud.url()}/device/v2/${uuid}/log-stream`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/x-ndjson", ...more },
      body,
      ...(body instanceof ReadableStream && { duplex: "half" }),
    });
  const follow = (uuid: string, signal: AbortSignal, query = "") =>
    fetch(`${cloud.url()}/device/v2/${uuid}/logs?stream=1${query}`, {
      headers: { authorization: `Bearer ${adminSecret}` },
      signal,
    });
  const someDevice = async () => newDevice(cloud, await newFleet(cloud, `limits of logs ${newUuid()}`));
  const Lines = z.array(z.object({ message: z.string() }));
  const messages = async (device: Registered) =>
    (await cloud.get(Lines, `/device/v2/${device.uuid}/logs?count=all`)).map(({ message }) => message);

  test("accepts 8 MiB of decompressed data in 10 s and refuses the rest with a message", async () => {
    const device = await someDevice();
    const bomb = gzipSync(line("x".repeat(1000)).repeat(44_000));
    expect(bomb.length).toBeLessThan(300_000);
    const answer = await send(device, new Uint8Array(bomb), { "content-encoding": "gzip" });
    expect([answer.status, answer.headers.get("retry-after"), await answer.json()]).toEqual([
      429,
      "10",
      "More than 8388608 bytes of log lines within 10 s: the rest was not read",
    ]);
    expect((await messages(device)).length).toBeGreaterThan(3000);
  });

  test("accepts the agent's largest requests in sequence", async () => {
    const device = await someDevice();
    for (let n = 0; n < 12; n++) {
      const batch = Array.from({ length: 25 }, (_, m) => line(`${n}.${m} ${"x".repeat(10_000)}`)).join("");
      expect((await send(device, batch)).status).toBe(201);
    }
    expect((await messages(device)).at(-1)).toMatch(/^11\.24 /);
  });

  test("accepts no line of more than 1 MiB, in any number of parts", async () => {
    const device = await someDevice();
    const refused = await refusalOf(() => {
      let parts = 0;
      const endless = new ReadableStream<Uint8Array>({
        pull: (controller) => (parts++ < 1100 ? controller.enqueue(new Uint8Array(1000).fill(97)) : controller.close()),
      });
      return send(device, endless);
    });
    expect(refused).toEqual({
      status: 400,
      sentence: '"The lines could not be read to their end: a line is longer than 1048576 characters"',
    });
    expect((await send(device, line("short"))).status).toBe(201);
  });

  test("accepts 8 streams at once", async () => {
    const device = await someDevice();
    const open = Array.from({ length: 8 }, () => {
      const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
      const answer = send(device, readable);
      const writer = writable.getWriter();
      void writer.write(new TextEncoder().encode(line("open")));
      return { answer, writer };
    });
    await expect.poll(async () => (await messages(device)).length).toBe(8);
    const refused = await send(device, new Blob([line("one more")]).stream());
    expect([refused.status, await refused.json()]).toEqual([
      429,
      expect.stringMatching(/^This device sends 8 streams/),
    ]);
    for (const { writer, answer } of open) {
      await writer.close();
      expect((await answer).status).toBe(201);
    }
    expect((await send(device, line("again"))).status).toBe(201);
  });

  test("has at most 10 followers, and room for another when one disconnects", async () => {
    const { uuid } = await someDevice();
    const left = new AbortController();
    const last = new AbortController();
    for (let n = 0; n < 10; n++) expect((await follow(uuid, n < 9 ? left.signal : last.signal)).status).toBe(200);
    const refused = await follow(uuid, left.signal);
    expect([refused.status, await refused.json()]).toEqual([
      429,
      "This log is followed by 10 readers already: end one of them first",
    ]);
    expect((await cloud.ask("GET", `/device/v2/${uuid}/logs`)).status).toBe(200);
    last.abort();
    await expect
      .poll(async () => (await follow(uuid, left.signal)).status, { timeout: 20_000, interval: 500 })
      .toBe(200);
    left.abort();
  });

  test("is read by a slow follower in order, and skipped lines are counted", async () => {
    const device = await someDevice();
    const left = new AbortController();
    const answer = await follow(device.uuid, left.signal, "&count=all");
    const sent = 600;
    for (let n = 0; n < sent; n += 20)
      await send(device, Array.from({ length: 20 }, (_, m) => line(`${n + m} ${"x".repeat(10_000)}`)).join(""));
    const seen: number[] = [];
    let missed = 0;
    let rest = "";
    for await (const text of (answer.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const { message } of Lines.parse(lines.filter((one) => one !== "").map((one) => JSON.parse(one))))
        if (message.startsWith("Warning: ")) missed += Number.parseInt(message.slice("Warning: ".length), 10);
        else seen.push(Number.parseInt(message, 10));
      if (seen.at(-1) === sent - 1) break;
    }
    left.abort();
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(new Set(seen).size + missed).toBe(sent);
  });
});

describe("an anonymous client", () => {
  const quiet = startCloud();
  const made = async (of: typeof cloud) =>
    Promise.all(
      ["Directory", "DeviceSession", "DeviceLogs"].map((one) => of.worker.getWorker().listDurableObjectIds(one)),
    );
  const uuid = "e".repeat(32);
  /** The status of the answer to a connecting device; 101 is success. */
  const dial = (of: typeof cloud, to: string, key: string, address = "192.0.2.99") =>
    new Promise<number | undefined>((resolve, reject) => {
      const headers = { connection: "Upgrade", upgrade: "websocket", "cf-connecting-ip": address };
      const asked = get(`${of.url()}/tunnel/${to}`, { headers: { ...headers, authorization: `Bearer ${key}` } });
      asked.on("response", (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      });
      asked.on("upgrade", () => resolve(101));
      asked.on("error", reject);
    });

  const unauthorized = [401, ""];
  const keyRequired = [401, JSON.stringify({ error: "API key required" })];
  const tokenRequired = [
    401,
    JSON.stringify(refuse("unauthorized", "Expected Authorization: Bearer, with a token of this cloud").body),
  ];
  const routes: readonly (readonly [string, string, readonly (number | string)[]])[] = [
    ["GET", "/actor/v1/whoami", unauthorized],
    ["GET", "/v7/device", unauthorized],
    ["PATCH", "/v7/device(1)", unauthorized],
    ["POST", "/device/register", keyRequired],
    ["GET", `/device/v3/${uuid}/state`, unauthorized],
    ["GET", `/device/v2/${uuid}/state`, unauthorized],
    ["GET", `/device/v3/fleet/${uuid}/state`, unauthorized],
    ["PATCH", "/device/v3/state", keyRequired],
    ["PATCH", "/device/v3/tags", keyRequired],
    ["GET", `/device/v2/${uuid}/logs`, unauthorized],
    ["POST", `/device/v2/${uuid}/logs`, keyRequired],
    ["POST", `/device/v2/${uuid}/log-stream`, keyRequired],
    ["GET", "/admin/v1/fleets", tokenRequired],
    ["POST", "/admin/v1/tokens", tokenRequired],
    ["DELETE", `/admin/v1/devices/${uuid}`, tokenRequired],
    ["POST", "/supervisor/v1/blink", [401, '"Unauthorized"']],
    ["GET", "/nowhere", [404, JSON.stringify({ error: "There is no GET /nowhere" })]],
  ];

  test("without a credential wakes no Durable Object on any endpoint", async () => {
    for (const [method, path, expected] of routes) {
      const { status, text } = await quiet.ask(method, path, method === "GET" ? undefined : { uuid }, null);
      expect([method, path, status, text]).toEqual([method, path, ...expected]);
    }
    expect(await made(quiet)).toEqual([[], [], []]);
  });

  test("with a malformed credential wakes no device's Durable Object, and the directory only to count refusals", async () => {
    const malformed = ["nonsense", "fl_a.b", `fl_${"a".repeat(100)}.${"b".repeat(43)}`, "x".repeat(5000)];
    for (const [method, path, expected] of routes)
      for (const key of malformed) {
        const { status, text } = await quiet.ask(method, path, method === "GET" ? undefined : { uuid }, key);
        expect([method, path, status, text]).toEqual([method, path, ...expected]);
      }
    expect(await dial(quiet, uuid, "nonsense")).toBe(401);
    // The refusals of a second are counted, and written to the audit log together.
    expect((await made(quiet)).slice(1)).toEqual([[], []]);
  });

  test("with an unknown key wakes no device's Durable Object", async () => {
    const before = await made(cloud);
    const { api_key: own } = await newDevice(cloud, await newFleet(cloud, `strangers ${newUuid()}`));
    const [, sessions, logs] = await made(cloud);
    expect(before).not.toEqual(await made(cloud));
    for (const key of ["k".repeat(32), own]) {
      const other = (n: number) => `${n}`.repeat(32);
      for (let n = 0; n < 5; n++) {
        expect(await dial(cloud, other(n), key)).toBe(401);
        expect((await cloud.ask("POST", `/device/v2/${other(n)}/log-stream`, {}, key)).status).toBe(401);
        expect((await cloud.ask("GET", `/device/v2/${other(n)}/logs`, undefined, key)).status).toBe(401);
        const relayed = await cloud.ask("POST", "/supervisor/v1/blink", { uuid: other(n) }, key);
        expect(relayed.status).toBe(key === own ? 404 : 401);
      }
    }
    const [, sessionsAfter, logsAfter] = await made(cloud);
    expect([sessionsAfter, logsAfter]).toEqual([sessions, logs]);
  });

  describe("that tries keys", () => {
    let next = 0;
    const from = (address: string, key: string, path = "/device/v3/tags") =>
      fetch(cloud.url() + path, { headers: { authorization: `Bearer ${key}`, "cf-connecting-ip": address } });
    const some = (): string => `wrong${String(next++).padStart(32, "0")}`;

    test("is slowed down after 60 keys within a minute, with the whole /64", async () => {
      const device = await newDevice(cloud, await newFleet(cloud, `neighbours ${newUuid()}`));
      const state = `/device/v3/${device.uuid}/state`;
      const address = (n: number) => `2001:db8:0:1::${n.toString(16)}`;
      expect((await from(address(1), device.api_key, state)).status).toBe(200);
      for (let n = 0; n < 60; n++) expect((await from(address(n), some(), state)).status).toBe(401);

      const slowed = await from(address(99), some(), state);
      expect([slowed.status, await slowed.json()]).toEqual([
        429,
        { error: expect.stringMatching(/^Too many wrong keys came from this address: try again in \d+ s$/) },
      ]);
      expect(Number(slowed.headers.get("retry-after"))).toBeGreaterThan(0);
      const admin = await from(address(99), some(), "/admin/v1/fleets");
      expect([admin.status, admin.headers.get("content-type"), await admin.json()]).toEqual([
        429,
        "application/problem+json; charset=utf-8",
        expect.objectContaining({ type: "/docs/errors#too-many-failures", status: 429 }),
      ]);
      expect(Number(admin.headers.get("retry-after"))).toBeGreaterThan(0);
      expect(await dial(cloud, device.uuid, some(), address(1))).toBe(429);
      // This does not slow down other networks, tokens, or devices that were known before.
      expect((await from("2001:db8:0:2::1", some(), state)).status).toBe(401);
      expect((await from(address(1), adminSecret, "/actor/v1/whoami")).status).toBe(200);
      expect((await from(address(1), device.api_key, state)).status).toBe(200);
    });

    test("repeating one key does not slow down others of the same network", async () => {
      const same = some();
      const statuses = new Set<number>();
      for (let n = 0; n < 70; n++) statuses.add((await from("192.0.2.7", same, "/v7/device")).status);
      expect([...statuses]).toEqual([401, 429]);
      expect((await from("192.0.2.7", some(), "/v7/device")).status).toBe(401);
    });
  });
});

describe("the stored data", () => {
  const someDevice = async () => {
    const fleet = await newFleet(cloud, `kept ${newUuid()}`);
    return { fleet, ...(await newDevice(cloud, fleet)) };
  };
  const texts = (count: number, value = "v", prefix = "k") =>
    Object.fromEntries(Array.from({ length: count }, (_, n) => [`${prefix}${n}`, value]));
  const refusal = ({ status, json }: { status: number; json: unknown }) => [status, json];

  test("of a report has limited applications, releases and services, and shortened texts", async () => {
    const { uuid, api_key: key, fleet } = await someDevice();
    const report = (part: object) => cloud.ask("PATCH", "/device/v3/state", { [uuid]: part }, key);
    const apps = (count: number) => Object.fromEntries(Object.keys(texts(count)).map((name) => [name, {}]));
    expect((await report({ apps: apps(100) })).status).toBe(200);
    expect(refusal(await report({ apps: apps(101) }))).toEqual([
      400,
      { error: "apps: expected at most 100 applications" },
    ]);
    const releases = Object.fromEntries(Object.keys(texts(101)).map((name) => [name, {}]));
    expect(refusal(await report({ apps: { [fleet.uuid]: { releases } } }))).toEqual([
      400,
      { error: `apps.${fleet.uuid}.releases: expected at most 100 releases` },
    ]);
    const services = { web: { image: "x".repeat(1001) } };
    expect(refusal(await report({ apps: { [fleet.uuid]: { releases: { c: { services } } } } }))).toEqual([
      400,
      { error: expect.stringMatching(/\.releases\.c\.services\.web\.image: /) },
    ]);
    const long = "x".repeat(10_000);
    expect((await report({ provisioning_state: long, cpu_id: long, storage_block_device: long })).status).toBe(200);
    const fields = "provisioning_state,cpu_id,storage_block_device";
    const { json } = await odata(`device(uuid='${uuid}')?$select=${fields}`);
    const cut = "x".repeat(255);
    expect(json).toEqual({ d: [{ provisioning_state: cut, cpu_id: cut, storage_block_device: cut }] });
  });

  test("of a progress report has whole numbers and the latest deleted installs", async () => {
    const { id, uuid, api_key: key, fleet } = await someDevice();
    const commit = "c1";
    const composition = { services: { web: { image: "web:1" } } };
    await cloud.ask("POST", `/admin/v1/fleets/${fleet.id}/releases`, { commit, composition });
    const services = { web: { image: "web:1", status: "Downloading", download_progress: 41.5 } };
    const apps = { [fleet.uuid]: { releases: { [commit]: { services } } } };
    expect((await cloud.ask("PATCH", "/device/v3/state", { [uuid]: { apps } }, key)).status).toBe(200);
    const storage = await directory();
    await storage.exec(
      `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
       INSERT INTO images (service_id, location) SELECT services.id, 'old:' || i FROM n JOIN services ON fleet_id = ${fleet.id}`,
    );
    await storage.exec(
      `INSERT INTO installs (device_id, image_id, release_id, status, installed_at)
       SELECT ${id}, images.id, releases.id, 'deleted', '' FROM images JOIN services ON services.id = service_id
       JOIN releases ON releases.fleet_id = services.fleet_id WHERE services.fleet_id = ${fleet.id} AND location LIKE 'old:%'`,
    );
    expect((await cloud.ask("PATCH", "/device/v3/state", { [uuid]: { apps } }, key)).status).toBe(200);
    const count = (filter: string) => odata(`image_install/$count?$filter=device eq ${id} and ${filter}`);
    expect((await count("status eq 'deleted'")).json).toEqual({ d: 100 });
    expect((await count("download_progress eq 42")).json).toEqual({ d: 1 });
  });

  test("of tags has at most 100 for each device, with names of 100 and values of 10,000 characters", async () => {
    const { id, uuid, api_key: key } = await someDevice();
    const tag = (tags: object) => cloud.ask("PATCH", "/device/v3/tags", { [uuid]: tags }, key);
    expect((await tag(texts(100))).status).toBe(200);
    expect((await tag(texts(100, "again"))).status).toBe(200);
    const full = "A device has at most 100 tags, and would have 101";
    expect(refusal(await tag({ one: "more" }))).toEqual([400, full]);
    const body = { device: id, tag_key: "more", value: "v" };
    expect(refusal(await cloud.ask("POST", "/v7/device_tag", body))).toEqual([400, full]);
    const address = `/v7/device_tag?$filter=device eq ${id} and tag_key eq 'k1'`;
    expect((await cloud.ask("PATCH", address, { value: "x".repeat(10_000) })).status).toBe(200);
    expect((await cloud.ask("PATCH", address, { value: "x".repeat(10_001) })).status).toBe(400);
    expect((await tag({ k1: "x".repeat(10_001) })).status).toBe(400);
    expect((await tag({ ["k".repeat(101)]: "v" })).status).toBe(400);
  });

  test("of variables has at most 1,000 for a fleet or device, 256 KiB in total and 32 KiB each", async () => {
    const { id, uuid, fleet } = await someDevice();
    const set = (variables: object) => cloud.ask("POST", `/admin/v1/devices/${uuid}/variables`, { variables });
    const tooMany = /^A fleet or a device has at most 1000 variables, of 262144 bytes together, and would have /;
    expect((await set(texts(1000))).status).toBe(204);
    expect((await set(texts(1000, "again"))).status).toBe(204);
    expect(refusal(await set({ one: "more" }))).toEqual([
      400,
      expect.objectContaining({ detail: expect.stringMatching(tooMany) }),
    ]);
    const body = { device: id, name: "more", value: "v" };
    expect(refusal(await cloud.ask("POST", "/v7/device_environment_variable", body))).toEqual([
      400,
      expect.stringMatching(tooMany),
    ]);
    expect((await cloud.ask("POST", "/v7/device_config_variable", { ...body, name: "BALENA_X" })).status).toBe(400);

    const ofFleet = `/admin/v1/fleets/${fleet.id}/variables`;
    const large = "x".repeat(32 * 1024);
    for (let n = 0; n < 7; n++)
      expect((await cloud.ask("POST", ofFleet, { variables: { [`A${n}`]: large } })).status).toBe(204);
    expect((await cloud.ask("POST", ofFleet, { variables: { B: "b" } })).status).toBe(204);
    expect(refusal(await cloud.ask("POST", ofFleet, { variables: { C: large } }))).toEqual([
      400,
      expect.objectContaining({ detail: expect.stringMatching(tooMany) }),
    ]);
    const ofB = `/v7/application_environment_variable?$filter=application eq ${fleet.id} and name eq 'B'`;
    expect(refusal(await cloud.ask("PATCH", ofB, { value: large }))).toEqual([400, expect.stringMatching(tooMany)]);
    expect(refusal(await cloud.ask("PATCH", ofB, { value: `${large}x` }))).toEqual([
      400,
      "value: The value must have at most 32768 characters",
    ]);
    expect((await cloud.ask("POST", ofFleet, { variables: { ["N".repeat(256)]: "v" } })).status).toBe(400);
  });

  test("of fleets, provisioning keys, releases and devices is limited", async () => {
    const { fleet } = await someDevice();
    const storage = await directory();
    const many = (count: number, insert: string) =>
      storage.exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count}) ${insert}`);
    await many(
      99,
      `INSERT INTO provisioning_keys (fleet_id, name, digest, created_at) SELECT ${fleet.id}, 'k', 'd ' || ${fleet.id} || i, '' FROM n`,
    );
    const path = `/admin/v1/fleets/${fleet.id}`;
    expect(refusal(await cloud.ask("POST", `${path}/provisioning-keys`, {}))).toEqual([
      409,
      expect.objectContaining({ detail: "The fleet has 100 provisioning keys already: delete some" }),
    ]);
    await many(
      10_000,
      `INSERT INTO releases (fleet_id, release_uuid, composition, created_at) SELECT ${fleet.id}, 'r' || i, '{}', '' FROM n`,
    );
    const release = { composition: { services: { web: { image: "web:1" } } } };
    expect(refusal(await cloud.ask("POST", `${path}/releases`, release))).toEqual([
      409,
      expect.objectContaining({ detail: "The fleet has 10000 releases already" }),
    ]);
    await many(
      9_999,
      `INSERT INTO devices (uuid, name, fleet_id, device_type, key_digest, created_at)
       SELECT printf('f%031x', i), 'd', ${fleet.id}, 'generic-amd64', 'of f ' || i, '' FROM n`,
    );
    expect(refusal(await cloud.ask("POST", "/device/register", registration(fleet), fleet.key))).toEqual([
      400,
      "A fleet has at most 10000 devices",
    ]);
    await many(
      1000,
      `INSERT INTO fleets (uuid, name, device_type, created_at) SELECT 'u' || i, 'n' || i, 'generic-amd64', '' FROM n`,
    );
    expect(refusal(await cloud.ask("POST", "/admin/v1/fleets", { name: "one more" }))).toEqual([
      409,
      expect.objectContaining({ detail: "There are 1000 fleets already" }),
    ]);
  });

  test("of tokens has at most 1,000 descendants of one owner's token", async () => {
    const first = await newToken(cloud, { manage: true });
    const make = async (key?: string, more: object = {}) =>
      cloud.ask("POST", "/admin/v1/tokens", { name: "t", fleets: "all", manage: true, ...more }, key);
    const second = z.object({ id: z.string(), token: z.string() }).parse((await make(first.token)).json);
    const storage = await directory();
    const insert = (count: number, madeBy: string, expiresAt: number | null) =>
      storage.exec(
        `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
         INSERT INTO tokens (id, name, fleets, write, issued_at, expires_at, made_by)
         SELECT hex(randomblob(8)), 't', '[]', 0, 0, ?, ? FROM n`,
        ...[expiresAt, madeBy],
      );
    const daysAgo = (days: number) => Math.floor(Date.now() / 1000) - days * 24 * 60 * 60;
    await insert(1000, second.id, daysAgo(31));
    await insert(500, first.id, null);
    await insert(497, second.id, daysAgo(29));
    const third = await make(second.token);
    expect(third.status).toBe(201);
    for (const key of [first.token, second.token, z.object({ token: z.string() }).parse(third.json).token])
      expect(refusal(await make(key))).toEqual([
        409,
        expect.objectContaining({
          detail: expect.stringMatching(/^1000 tokens have come of the same token of the owner's as this one/),
        }),
      ]);
    // Another owner's token has its own limit.
    const another = await newToken(cloud, { manage: true });
    expect((await make(another.token)).status).toBe(201);
  });
});
