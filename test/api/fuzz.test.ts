import { deflateSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { MemoryDeviceOptions } from "../../core/embedded/device.ts";
import { systemClock, type Clock } from "../../core/ports/clock.ts";
import { endpoints } from "../../core/api/index.ts";
import { app, expectDeclared, service, testDevice, type Answer, type TestDevice } from "../support/device.ts";
import { managedDevice } from "./managed.ts";

/**
 * For any request, every answer is one that its endpoint declares, no unexpected error occurs, and the device
 * goes on. An unhandled rejection fails the run too: vitest reports it.
 */

const { FUZZ_SEED, FUZZ_PATH, FUZZ_RUNS = "200" } = process.env;

/** The requested number of runs, or as many as fit into a few seconds. */
async function hold<T>(property: fc.IAsyncProperty<T>): Promise<void> {
  await fc.assert(property, {
    ...(FUZZ_SEED && { seed: Number(FUZZ_SEED), path: FUZZ_PATH ?? "" }),
    numRuns: Number(FUZZ_RUNS),
    interruptAfterTimeLimit: FUZZ_SEED ? 60_000 : 4_000 * Math.max(1, Number(FUZZ_RUNS) / 200),
    asyncReporter: async (details) => {
      if (!details.failed) return;
      const again = `FUZZ_SEED=${details.seed} FUZZ_PATH=${details.counterexamplePath ?? ""}`;
      const message = (await fc.asyncDefaultReportMessage(details)) ?? "";
      throw new Error(
        `${message}\nOnce more: ${again} npx vitest run --config test/vitest.config.ts test/api/fuzz.test.ts`,
        { cause: details.errorInstance },
      );
    },
  });
}

// ── Arbitrary values ─────────────────────────────────────────────────────────────────────────────────────────────────

const word = fc.constantFrom("1", "2", "one", "true", "on", "", "0", "-1", "nope", "__proto__", "constructor", "[]");
const oddText = fc.oneof(word, fc.string({ maxLength: 12 }), fc.string({ unit: "binary", maxLength: 6 }));
const oddValue = fc.oneof(
  oddText,
  fc.constantFrom<unknown>(null, true, false, 0, 1, -1, 1.5, 1e300, [], {}, [1], ["x"], { "1": null }),
  fc.jsonValue({ maxDepth: 2 }),
);
/** Fields that endpoints read, and unknown fields. */
const field = fc.oneof(
  fc.constantFrom("force", "cancel", "appId", "serviceName", "imageId", "network", "hostname", "proxy", "noProxy"),
  fc.constantFrom("count", "unit", "follow", "since", "local", "apps", "config", "name", "type", "ip", "port", "dns"),
  oddText,
);
const fields = fc.dictionary(field, oddValue, { maxKeys: 4 });
const nested = fc.dictionary(field, fc.oneof(fields, oddValue), { maxKeys: 4 });

// ── Requests ─────────────────────────────────────────────────────────────────────────────────────────────────────────

type Bytes = Uint8Array<ArrayBuffer>;
interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Bytes;
}

const bytes = (text: string): Bytes => new TextEncoder().encode(text);

const percent = (text: string): string => encodeURIComponent(text.toWellFormed());
const query = fc
  .array(
    fc.tuple(
      fc.oneof(fc.constantFrom("service", "serviceName", "apikey", "follow", "tail", "since", "appId"), oddText),
      oddText,
    ),
    { maxLength: 3 },
  )
  .chain((pairs) =>
    fc.constantFrom("&", "&&", ";").map((mark) => pairs.map((pair) => pair.map(percent).join("=")).join(mark)),
  );

const segment = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom("1", "2") },
  { weight: 2, arbitrary: oddText.map((text) => percent(text) || "0") },
  { weight: 1, arbitrary: fc.constantFrom("%zz", "%", "%00", "%2f", "1e3", "+1", "99999999999999999999", "..", "1;2") },
);

const path = fc
  .tuple(
    fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom(...Object.values(endpoints)).map((route) => route.path) },
      { weight: 1, arbitrary: fc.array(oddText, { maxLength: 4 }).map((parts) => `/${parts.map(percent).join("/")}`) },
    ),
    segment,
    fc.constantFrom("", "", "", "/", "//"),
    fc.oneof(
      { weight: 2, arbitrary: fc.constant("") },
      { weight: 1, arbitrary: query.map((text) => `?${text}`) },
      fc.constantFrom("?%", "?%zz=1", "?=", "?a[b]=%E4"),
    ),
  )
  .map(([pattern, appId, end, search]) => pattern.replace(/:\w+/g, () => appId) + end + search);

const formOf = (values: object): string =>
  Object.entries(values)
    .map(([name, value]) => `${percent(name)}=${percent(String(JSON.stringify(value)))}`)
    .join("&");

const bracketed = fc
  .array(
    fc.tuple(
      field,
      fc.array(fc.constantFrom("", "0", "1", "999999999", "pop", "length", "a", "__proto__"), { maxLength: 12 }),
      oddText,
    ),
    { maxLength: 4 },
  )
  .map((all) =>
    all
      .map(([name, inner, value]) => `${percent(name)}${inner.map((one) => `[${one}]`).join("")}=${percent(value)}`)
      .join("&"),
  );

const json = fc.oneof(nested, fields, oddValue).map((value) => JSON.stringify(value));

const body: fc.Arbitrary<Bytes> = fc.oneof(
  { weight: 8, arbitrary: json.map(bytes) },
  { weight: 3, arbitrary: fc.tuple(json, fc.nat(40)).map(([text, length]) => bytes(text.slice(0, length))) },
  { weight: 2, arbitrary: fields.map((values) => bytes(formOf(values))) },
  { weight: 2, arbitrary: bracketed.map(bytes) },
  { weight: 2, arbitrary: json.map((text) => new Uint8Array(gzipSync(text))) },
  { weight: 2, arbitrary: fc.uint8Array({ maxLength: 60 }).map((some) => new Uint8Array(some)) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('{"a":', "[", '{"network":', "a[b]").map((text) => bytes(text.repeat(20_000))),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(99, 2_000, 200_000)
      .map((depth) => bytes(`{"local":${"[".repeat(depth)}${"]".repeat(depth)}}`)),
  },
);

const headerText = fc.string({ unit: "grapheme-ascii", maxLength: 10 }).map((text) => text.trim());
const optionally = (name: string, values: fc.Arbitrary<string>): fc.Arbitrary<Record<string, string>> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constant({}) },
    { weight: 1, arbitrary: values.map((value) => ({ [name]: value })) },
  );
const contentType = fc.oneof(
  { weight: 6, arbitrary: fc.constant("application/json") },
  { weight: 3, arbitrary: fc.constant("application/x-www-form-urlencoded") },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      "text/plain",
      "application/json; charset=latin1",
      "APPLICATION/JSON;;",
      ";",
      "multipart/form-data",
    ),
  },
  { weight: 1, arbitrary: headerText },
);
const headers = fc
  .tuple(
    contentType.map((value) => ({ "content-type": value })),
    optionally("content-encoding", fc.oneof(fc.constantFrom("gzip", "deflate", "identity", "br"), headerText)),
    optionally("content-length", fc.constantFrom("0", "5", "99999999", "-1", "x")),
    optionally("authorization", fc.oneof(fc.constantFrom("Bearer KEY", "apikey KEY", "Bearer "), headerText)),
    optionally("if-none-match", fc.oneof(fc.constantFrom("*", 'W/"x", "y"'), headerText)),
  )
  .map((all): Record<string, string> => Object.assign({}, ...all));

const request: fc.Arbitrary<Sent> = fc
  .record({
    method: fc.oneof(
      { weight: 4, arbitrary: fc.constant("own") },
      { weight: 1, arbitrary: fc.constantFrom("GET", "HEAD", "POST", "PATCH", "OPTIONS", "PUT", "DELETE", "FOO") },
    ),
    path,
    headers,
    body,
  })
  .map((sent) => {
    // A Request normalizes its path, without "..".
    const { pathname, search } = new URL(`http://device${sent.path}`);
    return { ...sent, path: pathname + search, method: sent.method === "own" ? ownMethod(sent.path) : sent.method };
  });

const ownMethod = (asked: string): string =>
  Object.values(endpoints).find(
    (route) =>
      route.path.split("/").slice(0, 3).join("/") === asked.split("/").slice(0, 3).join("/") && route.method !== "GET",
  )?.method ?? "GET";

/** The answer, or the beginning of an endless one. */
async function ask(device: TestDevice, { method, path: to, headers: with_, body: carried }: Sent): Promise<Answer> {
  const carries = method !== "GET" && method !== "HEAD";
  const init = { method, headers: with_, ...(carries && { body: carried }) };
  const response = await device.fetch(new Request(`http://device${to}`, init));
  const isEndless = response.headers.get("content-type") === "application/x-ndjson";
  if (isEndless) await response.body?.cancel();
  const text = isEndless ? "" : await response.text();
  return { status: response.status, headers: response.headers, text, json: parse(text) };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const services = { "1": app({ one: {}, two: { depends_on: ["one"] } }) };
/** A clock that is twenty times as fast. */
const began = Date.now();
const hasty: Clock = {
  ...systemClock,
  now: () => began + (Date.now() - began) * 20,
  monotonic: () => systemClock.monotonic() * 20,
  sleep: (ms, signal) => systemClock.sleep(ms / 20, signal),
};
const options: MemoryDeviceOptions = {
  clock: hasty,
  pullMs: 0,
  stopMs: 0,
  ports: { journal: { read: () => new Blob(["a line\n"]).stream() } },
};

/** Errors of handlers and of the loop are both logged. */
const surprises = (device: TestDevice): string[] =>
  device.log.lines.filter((line) =>
    / failed: |TypeError|RangeError|is not a function|Cannot read|undefined/.test(line),
  );

async function expectAlive(device: TestDevice): Promise<void> {
  expect(await device.get("/ping")).toMatchObject({ status: 200, text: "OK" });
  expect(surprises(device)).toEqual([]);
}

test("a device in local mode answers any request as declared and goes on", async () => {
  await hold(
    fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 6 }), async (requests) => {
      const device = await testDevice(options);
      try {
        await device.run(services);
        for (const sent of requests) expectDeclared(sent.method, sent.path, await ask(device, sent));
        await expectAlive(device);
      } finally {
        device.stop();
      }
    }),
  );
});

// The pages of the API have nothing of the device.
test("a managed device answers only ping, healthy and the pages of the API without a key", async () => {
  const device = await managedDevice(options);
  const open = /^\/(ping|v1\/healthy|docs|docs\/errors)\/*(\?|$)/i;
  await hold(
    fc.asyncProperty(request, async (sent) => {
      const { status } = await ask(device, sent);
      if (!open.test(sent.path)) expect(status).toBe(401);
    }),
  );
  await expectAlive(device);
});

// ── Expensive requests ───────────────────────────────────────────────────────────────────────────────────────────────

const takers = Object.values(endpoints)
  .filter(({ method }) => method !== "GET")
  .map(({ method, path: to }) => ({ method, to }));
const taker = fc.oneof(
  { weight: 1, arbitrary: fc.constant({ method: "POST", to: "/v2/local/target-state" }) },
  { weight: 1, arbitrary: fc.constantFrom(...takers) },
);

/** Input that grows a lot when it is decompressed or parsed, or when its faults are reported. */
const unpackedBytes = 64 * 1024 * 1024;
const plainBytes = 9 * 1024 * 1024;
const mark = fc.constantFrom(
  "[",
  "{",
  '{"a":',
  "{},",
  "[[],",
  "0,",
  '"",',
  '"a":{},',
  ",",
  ":",
  "]",
  " ",
  '"',
  "\\",
  "x",
  "a=b&",
  "%5B",
);
const start = fc.constantFrom(
  "",
  "[",
  '{"a":[',
  '{"local":{"apps":{"1":{"services":{"1":{"ports":[',
  '{"local":{"name":"',
  "a[]=",
);
const bomb = fc
  .tuple(
    start,
    mark,
    fc.constantFrom("", "gzip", "deflate"),
    fc.constantFrom("application/json", "application/x-www-form-urlencoded"),
  )
  .map(([first, unit, encoding, type]): Bomb => ({
    first,
    unit,
    last: "",
    encoding,
    type,
    size: encoding ? unpackedBytes : plainBytes,
  }));

interface Bomb {
  readonly first: string;
  readonly unit: string;
  readonly last: string;
  readonly encoding: string;
  readonly type: string;
  readonly size: number;
}

const packed = new Map<string, Bytes>();
/** Cached, because compression takes longer than the rest of the test. */
function bytesOf({ first, unit, last, encoding, size }: Bomb): Bytes {
  const name = first + unit + last + encoding;
  const made = packed.get(name);
  if (made) return made;
  const plain = Buffer.concat([Buffer.from(first), Buffer.alloc(size, unit), Buffer.from(last)]);
  if (!encoding) return plain;
  const carried = new Uint8Array((encoding === "gzip" ? gzipSync : deflateSync)(plain, { level: 1 }));
  packed.set(name, carried);
  return carried;
}

const heldMb = () => process.memoryUsage().rss / 1024 / 1024;

/** Sends it and returns by how many megabytes the process has grown. */
async function costOf(device: TestDevice, { method, to }: { method: string; to: string }, what: Bomb): Promise<number> {
  const path = to.replace(":appId", "1");
  const headers = { "content-type": what.type, ...(what.encoding && { "content-encoding": what.encoding }) };
  const carried = bytesOf(what);
  const before = heldMb();
  const answer = await ask(device, { method, path, headers, body: carried });
  expectDeclared(method, path, answer);
  expect(answer.text.length).toBeLessThan(100_000);
  return heldMb() - before;
}

/** The beginning of a target state up to a list in its service, and the end after that list. */
const listOf = (field: string) => `{"local":{"apps":{"1":{"services":{"1":{"${field}":[`;
const end = "]}}}}}}";

test.each([
  [listOf("nope"), "{},", `0${end}`],
  [listOf("tmpfs"), "0,", `0${end}`],
])("a target state of %s%s…%s does not use hundreds of megabytes of memory", async (first, unit, last) => {
  const device = await testDevice(options);
  for (const encoding of ["", "gzip"]) {
    const what = { first, unit, last, encoding, type: "application/json", size: plainBytes };
    expect(await costOf(device, { method: "POST", to: "/v2/local/target-state" }, what)).toBeLessThan(250);
  }
  await expectAlive(device);
});

test("input that grows uses little memory", async () => {
  const device = await testDevice(options);
  await hold(
    fc.asyncProperty(taker, bomb, async (to, what) => {
      expect(await costOf(device, to, what)).toBeLessThan(250);
    }),
  );
  await expectAlive(device);
});

test("slow, stopped or disconnected senders do not delay other clients", async () => {
  const pieces = fc.array(fc.constantFrom('{"a":"', "x".repeat(100), "x".repeat(70_000), "[", '"}'), { maxLength: 6 });
  const sender = fc.record({ taker, pieces, pauseMs: fc.nat(2), end: fc.constantFrom("end", "break off", "stop") });
  await hold(
    fc.asyncProperty(fc.array(sender, { minLength: 1, maxLength: 12 }), async (senders) => {
      const device = await testDevice(options);
      try {
        await device.run(services);
        const gone = Promise.withResolvers<void>();
        const answers = senders.map(async ({ taker: { method, to }, pieces: parts, pauseMs, end }) => {
          const path = to.replace(":appId", "1");
          const carried = new ReadableStream<Uint8Array>({
            async start(controller) {
              for (const part of parts) {
                controller.enqueue(bytes(part));
                await new Promise((resolve) => setTimeout(resolve, pauseMs));
              }
              if (end === "stop") await gone.promise;
              if (end === "end") controller.close();
              else controller.error(new Error("the sender has gone"));
            },
          });
          const init = { method, headers: { "content-type": "application/json" }, body: carried, duplex: "half" };
          const response = await device.fetch(new Request(`http://device${path}`, init));
          const text = await response.text();
          expectDeclared(method, path, { status: response.status, headers: response.headers, text, json: parse(text) });
        });
        await expectAlive(device);
        expect((await device.post("/v2/local/target-state", target)).status).toBe(200);
        gone.resolve();
        await Promise.all(answers);
        // A disconnected sender does not count towards the limit.
        const large = { local: { name: "x".repeat(70_000), apps: {} } };
        expect((await device.post("/v2/local/target-state", large)).status).toBe(400);
      } finally {
        device.stop();
      }
    }),
  );
});

// ── Target states ────────────────────────────────────────────────────────────────────────────────────────────────────

const target = {
  local: {
    name: "device",
    config: { SUPERVISOR_LOCAL_MODE: "1" },
    apps: {
      "1": {
        name: "fleet",
        commit: "c1",
        releaseId: 1,
        services: {
          "1": service("one", 1, {
            ports: ["8080:80"],
            volumes: ["data:/data"],
            networks: { default: { aliases: ["a"] } },
            healthcheck: { test: ["CMD", "true"], interval: "1s" },
            environment: { A: "b" },
            labels: { "io.balena.features.supervisor-api": "1" },
            restart: "always",
            mem_limit: "64m",
            command: "sleep 1",
          }),
          "2": service("two", 2, { depends_on: ["one"], network_mode: "service:one", tmpfs: ["/x:size=1m"] }),
        },
        volumes: { data: {} },
        networks: { default: { ipam: { config: [{ subnet: "172.30.0.0/16" }] } } },
      },
    },
  },
};

/** Changes one place of a value: the n-th, counted from its root. */
interface Mutation {
  readonly place: number;
  readonly act: "replace" | "remove" | "rename" | "add";
  readonly key: string;
  readonly value: unknown;
}

const mutation: fc.Arbitrary<Mutation> = fc.record({
  place: fc.nat(80),
  act: fc.constantFrom("replace", "remove", "rename", "add"),
  key: fc.oneof(field, fc.constantFrom("1", "01", "2", "services", "volumes", "networks", "image", "running")),
  value: oddValue,
});

function mutate(value: unknown, { place, act, key, value: put }: Mutation): unknown {
  let left = place;
  const visit = (node: unknown): unknown => {
    if (typeof node !== "object" || node === null) return node;
    const entries = Object.entries(node).flatMap(([name, inner]): [string, unknown][] => {
      if (left-- !== 0) return [[name, visit(inner)]];
      switch (act) {
        case "replace":
          return [[name, put]];
        case "remove":
          return [];
        case "rename":
          return [[key, inner]];
        case "add":
          return [
            [name, inner],
            [key, put],
          ];
      }
    });
    return Array.isArray(node) ? entries.map(([, inner]) => inner) : Object.fromEntries(entries);
  };
  return visit(value);
}

const targetPath = "/v2/local/target-state";

test("any target state is accepted and can be posted back, or is refused and the old one stays", async () => {
  await hold(
    fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 3 }), async (mutations) => {
      const device = await testDevice(options);
      const names = async () => (await device.engine.look()).containers.map(({ id }) => id).sort();
      try {
        await device.run(services);
        const [before, running] = [await device.get(targetPath), await names()];
        const answer = await device.post(targetPath, mutations.reduce(mutate, target));
        await device.settled();
        const after = await device.get(targetPath);
        if (answer.status === 200) {
          expect((await device.post(targetPath, Object(after.json).state)).status).toBe(200);
          await device.settled();
        } else {
          expect(answer.json).toMatchObject({ message: expect.stringMatching(/^Invalid target state\.\n\S/) });
          expect(after.json).toEqual(before.json);
          expect(await names()).toEqual(running);
        }
        for (const path of [
          "/v2/applications/state",
          "/v2/state/status",
          "/v1/device",
          "/v1/apps/1",
          "/v2/containerId",
        ])
          await device.get(path);
        await expectAlive(device);
      } finally {
        device.stop();
      }
    }),
  );
});
