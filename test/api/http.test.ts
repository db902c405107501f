import { deflateSync, gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { everything } from "../../core/model/scope.ts";
import type { Endpoint, Replies } from "../../core/api/endpoint.ts";
import { hasRefusals } from "../../core/api/fields.ts";
import { endpoints as api } from "../../core/api/index.ts";
import { app, expectDeclared, testDevice, type TestDevice } from "../support/device.ts";
import {
  empty,
  errorAt,
  failed,
  json,
  ok,
  refused,
  seen,
  text,
  unauthorized,
  unauthorizedAt,
  type Seen,
} from "./answers.ts";
import { bearer, cloudApp, managedDevice, twoApps } from "./managed.ts";

const version = json(200, { status: "success", version: "19.0.5" });

/** Every endpoint, with example values for its parameters. */
const endpoints = Object.values<Described>(api).map(({ method, path, open }) => ({
  method,
  path: path.replace(":appId", "1").replace(":service", "one").replace(":sessionId", "s1").replace(":id", "lease"),
  open,
}));
type Described = Pick<Endpoint<unknown, unknown, Replies>, "method" | "path" | "open">;
const withKey = endpoints.filter(({ open }) => !open);

describe("without a key, a managed device", () => {
  test.each(["/ping", "/v1/healthy"])("answers GET %s and its HEAD", async (path) => {
    const device = await managedDevice();
    expect((await device.get(path)).status).toBe(200);
    expect((await device.send("HEAD", path)).status).toBe(200);
  });

  test.each(withKey)("refuses $method $path", async ({ method, path }) => {
    const device = await managedDevice();
    expect(seen(await device.send(method, path))).toEqual(unauthorizedAt(path));
  });

  test.each([
    ["an unknown path", "GET", "/nope"],
    ["a path that is open for another method", "POST", "/ping"],
    ["OPTIONS", "OPTIONS", "/v1/device"],
    ["a path that cannot be decoded", "GET", "/v1/apps/%zz"],
  ])("refuses %s with 401 before it validates the request", async (_, method, path) => {
    const device = await managedDevice();
    expect(seen(await device.send(method, path))).toEqual(unauthorized);
  });

  test("refuses HEAD, without a body", async () => {
    const device = await managedDevice();
    expect(await device.send("HEAD", "/v1/device")).toMatchObject({ status: 401, text: "" });
  });

  test("refuses a request before it parses an invalid body", async () => {
    const device = await managedDevice();
    const headers = { "content-type": "application/json" };
    expect(seen(await device.send("POST", "/v1/restart", { headers, body: "{bad" }))).toEqual(unauthorized);
  });

  test("does not read the key from the body", async () => {
    const device = await managedDevice();
    const apikey = device.supervisor.keys.global();
    expect(seen(await device.post("/v1/update", { apikey }))).toEqual(unauthorized);
    const body = new URLSearchParams({ apikey });
    expect(seen(await device.send("POST", "/v1/update", { body }))).toEqual(unauthorized);
  });
});

describe("the key", () => {
  const query = (search: (key: string) => string) => (key: string) => ({
    path: `/v2/version?${search(key)}`,
    headers: {},
  });
  const header = (authorization: (key: string) => string) => (key: string) => ({
    path: "/v2/version",
    headers: { authorization: authorization(key) },
  });
  const both = (apikey: string, authorization: string) => (key: string) => ({
    path: `/v2/version?apikey=${apikey.replace("KEY", key)}`,
    headers: { authorization: `Bearer ${authorization.replace("KEY", key)}` },
  });

  test.each([
    ["?apikey=KEY", query((key) => `apikey=${key}`)],
    ["Bearer KEY", header((key) => `Bearer ${key}`)],
    ["bearer KEY", header((key) => `bearer ${key}`)],
    ["ApiKey KEY", header((key) => `ApiKey ${key}`)],
    ["apikey KEY", header((key) => `apikey ${key}`)],
    ["a right query and a wrong header", both("KEY", "wrong")],
    ["an empty query and a right header", both("", "KEY")],
  ])("is accepted as %s", async (_, request) => {
    const device = await managedDevice();
    const { path, headers } = request(device.supervisor.keys.global());
    expect(seen(await device.get(path, headers))).toEqual(version);
  });

  test.each([
    ["?apikey=wrong", query(() => "apikey=wrong")],
    ["?apikey=", query(() => "apikey=")],
    ["?apiKey=KEY", query((key) => `apiKey=${key}`)],
    ["?APIKEY=KEY", query((key) => `APIKEY=${key}`)],
    ["?apikey=KEY&apikey=KEY", query((key) => `apikey=${key}&apikey=${key}`)],
    ["?apikey[]=KEY", query((key) => `apikey[]=${key}`)],
    ["a part of the key", header((key) => `Bearer ${key.slice(0, -1)}`)],
    ["the key with more characters", header((key) => `Bearer ${key}0`)],
    ["the key in upper case", header((key) => `Bearer ${key.toUpperCase()}`)],
    ["Basic KEY", header((key) => `Basic ${key}`)],
    ["Token KEY", header((key) => `Token ${key}`)],
    ["KEY alone", header((key) => key)],
    ["two spaces", header((key) => `Bearer  ${key}`)],
    ["characters that keys do not have", header(() => "Bearer ab-cd.ef")],
    ["Bearer alone", header(() => "Bearer ")],
    ["a wrong query and a right header", both("wrong", "KEY")],
    ["the cloud's key for the device", header(() => "Bearer k")],
  ])("is refused as %s", async (_, request) => {
    const device = await managedDevice();
    const { path, headers } = request(device.supervisor.keys.global());
    expect(seen(await device.get(path, headers))).toEqual(unauthorized);
  });

  test("of any service gives access to the whole device's endpoints", async () => {
    const device = await twoApps({ ports: { journal: { read: () => new Blob(["a line\n"]).stream() } } });
    const key = await device.keyOf(2, "db");
    for (const path of ["/v1/device", "/v1/device/host-config", "/v2/version", "/v2/device/name", "/v2/device/tags"])
      expect([path, (await device.get(path, key)).status]).toEqual([path, 200]);
    for (const path of ["/v2/device/vpn", "/v2/local/target-state", "/v2/local/device-info", "/v2/state/status"])
      expect([path, (await device.get(path, key)).status]).toEqual([path, 200]);
    expect((await device.patch("/v1/device/host-config", { network: { hostname: "x" } }, key)).status).toBe(200);
    expect((await device.patch("/v2/device/tags", { a: "b" }, key)).status).toBe(202);
    expect((await device.post("/v1/blink", undefined, key)).status).toBe(200);
    expect((await device.post("/v1/update", {}, key)).status).toBe(204);
    expect((await device.post("/v2/journal-logs", {}, key)).status).toBe(200);
    expect((await device.post("/v1/reboot", {}, key)).status).toBe(202);
    expect((await device.post("/v1/shutdown", {}, key)).status).toBe(202);
  });

  test("is not needed if the transport has authenticated the request", async () => {
    const device = await twoApps();
    const ask = (path: string, apps: readonly number[] | "all") =>
      device.fetch(new Request(`http://device${path}`), { scope: { ...everything, apps } });
    expect((await ask("/v1/apps/1", "all")).status).toBe(200);
    expect((await ask("/v1/apps/1", [1])).status).toBe(200);
    expect((await ask("/v1/apps/2", [1])).status).toBe(401);
  });
});

describe("local mode", () => {
  test.each([{}, bearer("unknown"), { authorization: "Basic x" }])(
    "needs no key and ignores the headers %j",
    async (headers) => {
      const device = await testDevice();
      expect(seen(await device.get("/v2/version", headers))).toEqual(version);
      expect(seen(await device.get("/v2/version?apikey=unknown", headers))).toEqual(version);
    },
  );

  test("gives access to everything, also with a key of one application", async () => {
    const device = await testDevice();
    const labels = { "io.balena.features.supervisor-api": "1" };
    await device.run({ "1": app({ one: { labels } }), "2": app({ two: {} }, { name: "other" }) });
    const key = bearer((await device.container("one")).spec.environment["BALENA_SUPERVISOR_API_KEY"] ?? "");
    expect((await device.get("/v1/apps/2", key)).status).toBe(200);
  });

  test("removes the need for a key on a managed development device until it ends", async () => {
    const device = await managedDevice({ identity: { developmentMode: true } });
    await device.runCloud({}, { SUPERVISOR_LOCAL_MODE: "1" });
    expect(seen(await device.get("/v2/version", bearer("unknown")))).toEqual(version);
    expect(device.firewall.policy()).toEqual({ closed: false, localMode: true });
    await device.runCloud({}, { SUPERVISOR_LOCAL_MODE: "0" });
    expect(seen(await device.get("/v2/version", bearer("unknown")))).toEqual(unauthorized);
    expect(device.firewall.policy()).toEqual({ closed: false, localMode: false });
  });

  test("is refused on other managed devices, with a log line", async () => {
    const device = await managedDevice();
    await device.runCloud({ aaaa: cloudApp(1, "first", { web: {} }) }, { SUPERVISOR_LOCAL_MODE: "1" });
    expect(seen(await device.get("/v2/version"))).toEqual(unauthorized);
    expect(await device.container("web")).toMatchObject({ state: "running" });
    expect(device.firewall.policy()).toEqual({ closed: false, localMode: false });
    expect((await device.get("/v2/local/target-state", device.globalKey())).json).toMatchObject({
      state: { local: { config: { SUPERVISOR_LOCAL_MODE: "false" } } },
    });
  });
});

const noEndpoint = (method: string, path: string): Seen =>
  hasRefusals(path)
    ? refused("unknown-endpoint", `There is no ${method} ${path}`)
    : text(404, `Cannot ${method} ${path}`);

describe("paths and methods", () => {
  test.each(endpoints)("$path answers only its own methods", async ({ method, path }) => {
    const device = await testDevice();
    const methods = endpoints.filter((one) => one.path === path).map((one) => one.method);
    for (const other of (["PUT", "DELETE", "POST", "PATCH"] as const).filter(
      (one) => !methods.some((own) => own === one),
    ))
      expect(seen(await device.send(other, path))).toEqual(noEndpoint(other, path));
    if (!methods.includes("GET")) expect(seen(await device.get(path))).toEqual(noEndpoint("GET", path));
    expect(methods).toContain(method);
  });

  test.each(["/", "/nope", "/v1", "/v2", "/v3/x", "/v1/apps", "/v1/apps/", "/v2/local", "/v2//version", "//ping"])(
    "%s does not exist",
    async (path) => {
      const device = await testDevice();
      expect(seen(await device.get(path))).toEqual(noEndpoint("GET", path));
    },
  );

  test.each(["/PING", "/ping/", "/Ping/?x=1", "/ping?"])("%s is the ping", async (path) => {
    const device = await testDevice();
    expect(seen(await device.get(path))).toEqual(ok);
  });

  test.each(["/ping?x=100%25", "/ping?x=%zz", "/ping?x=%"])("%s is the ping, which ignores the query", async (path) => {
    const device = await testDevice();
    expect(seen(await device.get(path))).toEqual(ok);
  });

  test("the query is decoded once", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    expect((await device.get("/v2/containerId?service=%6Fne")).status).toBe(200);
    expect((await device.get("/v2/containerId?service=%256Fne")).status).toBe(503);
  });

  test.each(["/V2/Version", "/v2/VERSION/", "/v2/version?a=b&a=c"])("%s is the version", async (path) => {
    const device = await testDevice();
    expect(seen(await device.get(path))).toEqual(version);
  });

  test("parameters are decoded, and the error names one that cannot be", async () => {
    const device = await testDevice();
    expect(seen(await device.get("/v2/applications/%31%30/state"))).toEqual(
      failed(409, "Application ID does not exist: 10"),
    );
    expect(seen(await device.get("/v1/apps/%zz"))).toEqual(
      failed(400, "Failed to decode param, expected valid %-encoding: %zz"),
    );
  });

  test.each(endpoints.filter(({ method }) => method === "GET"))(
    "HEAD $path answers like GET without the body",
    async ({ path }) => {
      const device = await testDevice();
      await device.settled();
      const head = await device.send("HEAD", path);
      if (path === "/v2/local/logs" || path === "/v3/stream") {
        expect(head).toMatchObject({ status: 200, text: "" });
        return;
      }
      const get = await device.get(path);
      expect(head).toMatchObject({ status: get.status, text: "" });
      expect(head.headers.get("content-type")).toBe(get.headers.get("content-type"));
      // Figures of the machine, which change between the two.
      if (path === "/v3/metrics") return;
      expect(head.headers.get("etag")).toBe(get.headers.get("etag"));
      if (get.text) expect(head.headers.get("content-length")).toBe(String(new TextEncoder().encode(get.text).length));
    },
  );

  test("HEAD of an unknown path has no body either", async () => {
    const device = await testDevice();
    expect(await device.send("HEAD", "/nope")).toMatchObject({ status: 404, text: "" });
  });

  test.each([
    ["/ping", "GET,HEAD"],
    ["/v1/device/host-config", "GET,HEAD,PATCH"],
    ["/v2/local/target-state", "GET,HEAD,POST"],
    ["/v2/device/tags", "GET,HEAD,PATCH"],
    ["/v1/reboot", "POST"],
    ["/V1/Apps/1/Stop/", "POST"],
  ])("OPTIONS %s answers %s", async (path, methods) => {
    const device = await testDevice();
    const answer = await device.send("OPTIONS", path);
    expect(seen(answer)).toEqual(text(200, methods));
    expect(answer.headers.get("allow")).toBe(methods);
  });

  test("OPTIONS of an unknown path is 404", async () => {
    const device = await testDevice();
    expect(seen(await device.send("OPTIONS", "/nope"))).toEqual(text(404, "Cannot OPTIONS /nope"));
  });
});

describe("entity tags", () => {
  const tagOf = async (device: TestDevice, path: string) => (await device.get(path)).headers.get("etag") ?? "";

  test("are weak, equal for equal answers and different for different ones", async () => {
    const device = await testDevice();
    await device.settled();
    const tag = await tagOf(device, "/v2/version");
    expect(tag).toMatch(/^W\/"[^"]+"$/);
    expect(await tagOf(device, "/v2/version")).toBe(tag);
    expect(await tagOf(device, "/v2/device/name")).not.toBe(tag);
    const before = await tagOf(device, "/v2/applications/state");
    await device.run({ "1": app({ one: {} }) });
    expect(await tagOf(device, "/v2/applications/state")).not.toBe(before);
  });

  test.each([
    (tag: string) => tag,
    (tag: string) => tag.replace("W/", ""),
    (tag: string) => `"other", ${tag}`,
    () => "*",
  ])("a client that knows the current answer gets 304 without a body (%#)", async (known) => {
    const device = await testDevice();
    const tag = await tagOf(device, "/v2/version");
    const answer = await device.get("/v2/version", { "if-none-match": known(tag) });
    expect(seen(answer)).toEqual(empty(304));
    expect(answer.headers.get("etag")).toBe(tag);
  });

  test("a client that knows another answer gets the current one", async () => {
    const device = await testDevice();
    expect(seen(await device.get("/v2/version", { "if-none-match": 'W/"other"' }))).toEqual(version);
    const tag = await tagOf(device, "/v2/version");
    const fresh = { "if-none-match": tag, "cache-control": "no-cache" };
    expect(seen(await device.get("/v2/version", fresh))).toEqual(version);
  });

  test("refusals and POST are never 304", async () => {
    const device = await testDevice();
    expect((await device.get("/v1/apps/1", { "if-none-match": "*" })).status).toBe(400);
    await device.run({ "1": app({ one: {} }) });
    const named = { serviceName: "one" };
    expect((await device.post("/v2/applications/1/start-service", named, { "if-none-match": "*" })).status).toBe(200);
  });

  test("every text and JSON answer has one, except the 404 page", async () => {
    const device = await testDevice();
    for (const path of ["/ping", "/v1/device", "/v1/apps/1", "/v2/applications/1/state", "/v2/containerId?service=x"])
      expect((await device.get(path)).headers.get("etag")).toMatch(/^W\//);
    expect((await device.get("/nope")).headers.get("etag")).toBeNull();
  });
});

describe("bodies", () => {
  const jsonType = { "content-type": "application/json" };
  const formType = { "content-type": "application/x-www-form-urlencoded" };
  const setTags = (device: TestDevice, body: BodyInit, headers: Record<string, string> = jsonType) =>
    device.send("PATCH", "/v2/device/tags", { headers, body });
  const tags = async (device: TestDevice) => {
    const { tags: found } = Object((await device.get("/v2/device/tags")).json);
    return Object.fromEntries(Array.isArray(found) ? found.map(({ name, value }) => [name, value]) : []);
  };

  test.each([
    ["application/json", '{"a":"b"}'],
    ["application/json; charset=utf-8", '{"a":"b"}'],
    ['APPLICATION/JSON ; charset="UTF-8"', ' {"a":"b"}\n'],
    ["application/json;charset=utf8", '{"a":"b"}'],
    ["application/x-www-form-urlencoded", "a=b"],
    ["application/x-www-form-urlencoded; charset=UTF-8", "a=b"],
  ])("%s is parsed", async (type, body) => {
    const device = await testDevice();
    expect((await setTags(device, body, { "content-type": type })).status).toBe(202);
    expect(await tags(device)).toEqual({ a: "b" });
  });

  test.each(["text/plain", "application/octet-stream", "multipart/form-data", "application/jsonx"])(
    "%s is ignored and counts as {}",
    async (type) => {
      const device = await testDevice();
      expect((await setTags(device, '{"a":"b"}', { "content-type": type })).status).toBe(202);
      expect(await tags(device)).toEqual({});
      expect(
        seen(await device.send("POST", "/v1/restart", { headers: { "content-type": type }, body: '{"appId":1}' })),
      ).toEqual(text(400, "Missing app id"));
    },
  );

  test.each(["", " \n"])("an empty body (%j) counts as {}", async (body) => {
    const device = await testDevice();
    expect(seen(await device.send("POST", "/v1/update", { headers: jsonType, body }))).toEqual(empty(204));
  });

  test.each([
    ["a=b+c%20d", { a: "b c d" }],
    ["a=1&b=", { a: "1", b: "" }],
    ["io.x.y=1", { "io.x.y": "1" }],
    ["a=[]", { a: "[]" }],
    ["%C3%A4=%C3%B6", { ä: "ö" }],
  ])("the form %s is parsed as %j", async (body, said) => {
    const device = await testDevice();
    expect((await setTags(device, body, formType)).status).toBe(202);
    expect(await tags(device)).toEqual(said);
  });

  test("forms of more than a thousand fields are refused", async () => {
    const device = await testDevice();
    expect((await setTags(device, "a=b&".repeat(999) + "c=d", formType)).status).toBe(400);
    expect(seen(await setTags(device, "a=b&".repeat(1000) + "c=d", formType))).toEqual(
      failed(413, "request entity too large, expected a form of at most 1000 fields"),
    );
  });

  test.each([99, 100, 30_000])("JSON of %d nested lists does not cause an internal error", async (depth) => {
    const device = await testDevice();
    const body = `{"a":${"[".repeat(depth)}${"]".repeat(depth)}}`;
    expect(seen(await setTags(device, body))).toEqual(
      failed(
        400,
        depth < 100
          ? "Invalid tags body, must be an object like `{[tagKey: string]: string}`"
          : "Malformed JSON: expected at most 100 levels in each other",
      ),
    );
  });

  /** Every endpoint that reads its body. */
  const readers = [
    "POST /v1/update",
    "POST /v1/reboot",
    "POST /v1/shutdown",
    "POST /v1/restart",
    "POST /v1/purge",
    "POST /v1/apps/1/stop",
    "POST /v1/apps/1/start",
    "PATCH /v1/device/host-config",
    "POST /v2/applications/1/restart",
    "POST /v2/applications/1/purge",
    "POST /v2/applications/1/restart-service",
    "POST /v2/applications/1/stop-service",
    "POST /v2/applications/1/start-service",
    "PATCH /v2/device/tags",
    "POST /v2/local/target-state",
    "POST /v2/journal-logs",
    "POST /v3/apps/1/services/one/exec",
    "POST /v3/exec/s1/input",
    "POST /v3/exec/s1/resize",
    "POST /v3/apps/1/plan",
    "POST /v3/apps/1/update/apply",
    "POST /v3/apps/1/update/confirm",
    "POST /v3/apps/1/update/fail",
    "POST /v3/apps/1/update/rollback",
    "POST /v3/locks",
    "POST /v3/target/compose",
    "PUT /v3/locks/lease",
  ].map((line) => line.split(" "));

  test("all endpoints read their body, except those of GET and DELETE, blink, regenerate-api-key and retry", () => {
    const others = ["/v1/blink", "/v1/regenerate-api-key", "/v3/apps/1/update/retry"];
    const expected = endpoints.filter(
      ({ method, path }) => method !== "GET" && method !== "DELETE" && !others.includes(path),
    );
    expect(readers.map((one) => one.join(" ")).sort()).toEqual(
      expected.map(({ method, path }) => `${method} ${path}`).sort(),
    );
  });

  describe.each(readers)("%s %s", (method = "", path = "") => {
    test.each([
      ["{bad", /^Malformed JSON: .*at position 1\b/],
      ['{"appId":', /^Malformed JSON: .*at position 9\b/],
      ['{"a":1,}', /^Malformed JSON: .*at position 7\b/],
      ["5", /^Malformed JSON: expected an object, but got 5$/],
      ["yes", /^Malformed JSON: Unexpected token 'y', "yes" is not valid JSON$/],
      ["null", /^Malformed JSON: expected an object, but got null$/],
      ['"text"', /^Malformed JSON: expected an object, but got "text"$/],
    ])("says that %s is not a JSON object", async (body, message) => {
      const device = await testDevice();
      expect(seen(await device.send(method, path, { headers: jsonType, body }))).toEqual(
        errorAt(path, 400, expect.stringMatching(message)),
      );
    });
  });

  test.each([
    ["gzip", gzipSync],
    ["deflate", deflateSync],
    ["GZIP", gzipSync],
  ])("%s is decompressed", async (encoding, pack) => {
    const device = await testDevice();
    const headers = { ...jsonType, "content-encoding": encoding };
    expect((await setTags(device, pack('{"a":"b"}'), headers)).status).toBe(202);
    expect(await tags(device)).toEqual({ a: "b" });
  });

  test("invalid gzip data is refused with a client error", async () => {
    const device = await testDevice();
    const headers = { ...jsonType, "content-encoding": "gzip" };
    for (const body of ['{"a":"b"}', gzipSync('{"a":"b"}').subarray(0, 20)])
      expect(seen(await setTags(device, body, headers))).toEqual(
        failed(400, "The body could not be read to its end, or is no gzip"),
      );
  });

  test.each([
    [{ "content-type": "application/json; charset=foo" }, 'unsupported charset "FOO", expected UTF-8'],
    [{ "content-type": "application/json; charset=latin1" }, 'unsupported charset "LATIN1", expected UTF-8'],
    [{ ...jsonType, "content-encoding": "foo" }, 'unsupported content encoding "foo", expected gzip, deflate or none'],
  ])("%j is refused with 415", async (headers, message) => {
    const device = await testDevice();
    expect(seen(await setTags(device, '{"a":"b"}', headers))).toEqual(failed(415, message));
  });

  const limit = 64 * 1024;
  const ofSize = (bytes: number) => `{"a":"${"x".repeat(bytes - 8)}"}`;
  const tooLarge = (bytes: number) => failed(413, `request entity too large, expected at most ${bytes} bytes`);

  test("may have at most 64 KB", async () => {
    const device = await testDevice();
    expect((await setTags(device, ofSize(limit))).status).toBe(202);
    expect(seen(await setTags(device, ofSize(limit + 1)))).toEqual(tooLarge(limit));
  });

  test("may have at most 64 KB after decompression", async () => {
    const device = await testDevice();
    const headers = { ...jsonType, "content-encoding": "gzip" };
    expect((await setTags(device, gzipSync(ofSize(limit)), headers)).status).toBe(202);
    expect(seen(await setTags(device, gzipSync(ofSize(limit + 1)), headers))).toEqual(tooLarge(limit));
  });

  test("that announce more than 64 KB are refused before they arrive", async () => {
    const device = await testDevice();
    const never = new ReadableStream<Uint8Array>();
    const headers = { ...jsonType, "content-length": String(limit + 1) };
    const init = { method: "POST", headers, body: never, duplex: "half" };
    expect((await device.fetch(new Request("http://device/v1/update", init))).status).toBe(413);
  });

  test.each(readers)("of %s %s may have 10 MB only if it is a target state", async (method = "", path = "") => {
    const device = await testDevice();
    const expected = ["/v2/local/target-state", "/v3/apps/1/plan"].includes(path) ? 10 * 1024 * 1024 : limit;
    const headers = { ...jsonType, "content-encoding": "gzip" };
    const send = (bytes: number) => device.send(method, path, { headers, body: gzipSync(ofSize(bytes)) });
    expect((await send(expected)).status).not.toBe(413);
    expect(seen(await send(expected + 1))).toEqual(
      errorAt(path, 413, `request entity too large, expected at most ${expected} bytes`),
    );
  });

  const setTarget = (device: TestDevice, body: BodyInit, headers: Record<string, string> = jsonType) =>
    device.send("POST", "/v2/local/target-state", { headers, body });
  /** The values of `{"a":[…]}` are the object, the list and the list's items. */
  const list = (values: number, value = "0") => `{"a":[${Array.from({ length: values - 1 }, () => value).join()}]}`;
  const tooMany = failed(413, "request entity too large, expected JSON of at most 20000 values");

  test("may have at most 20,000 values", async () => {
    const device = await testDevice();
    expect((await setTarget(device, list(20_000))).status).toBe(400);
    expect(seen(await setTarget(device, list(20_001)))).toEqual(tooMany);
    expect(seen(await setTarget(device, list(5_000_000)))).toEqual(tooMany);
    expect(seen(await setTarget(device, `{"a":${"{},".repeat(3_000_000)}`))).toEqual(tooMany);
  });

  test("may not have a million levels, even if a large body is allowed", async () => {
    const device = await testDevice();
    for (const end of ["]".repeat(1_000_000) + "}", ""])
      expect(seen(await setTarget(device, `{"a":${"[".repeat(1_000_000)}${end}`))).toEqual(
        failed(400, "Malformed JSON: expected at most 100 levels in each other"),
      );
  });

  test("may have brackets inside strings, wherever the chunks are cut", async () => {
    const device = await testDevice();
    const text = `{"a":${JSON.stringify('[{,}]\\"'.repeat(40_000))}}`;
    expect((await setTarget(device, text)).status).toBe(400);
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of new TextEncoder().encode(`{"\\\"[":"${"[".repeat(200)}","b":1}`))
          controller.enqueue(Uint8Array.of(byte));
        controller.close();
      },
    });
    const init = { method: "PATCH", headers: jsonType, body, duplex: "half" };
    expect(await (await device.fetch(new Request("http://device/v2/device/tags", init))).json()).toEqual({
      status: "failed",
      message: "Invalid tags body, must be an object like `{[tagKey: string]: string}`",
    });
  });

  test("of more than 64 KB may arrive at most two at a time", async () => {
    const device = await testDevice();
    const slow = () => {
      let end = () => {};
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(new TextEncoder().encode(ofSize(limit + 3).slice(0, -2)));
          end = () => {
            controller.enqueue(new TextEncoder().encode('"}'));
            controller.close();
          };
        },
      });
      const init = { method: "POST", headers: jsonType, body, duplex: "half" };
      return { end, answer: device.fetch(new Request("http://device/v2/local/target-state", init)) };
    };
    const arriving = [slow(), slow()];
    await new Promise((resolve) => setTimeout(resolve, 50));
    const busy = failed(503, "expected at most 2 bodies of more than 65536 bytes at once; try again soon");
    expect(seen(await setTarget(device, ofSize(limit + 1)))).toEqual(busy);
    // A small body is still accepted.
    expect((await setTarget(device, ofSize(limit))).status).toBe(400);
    for (const { end, answer } of arriving) {
      end();
      expect((await answer).status).toBe(400);
    }
    expect((await setTarget(device, ofSize(limit + 1))).status).toBe(400);
  });

  test("are decoded as UTF-8, wherever the chunks are cut", async () => {
    const device = await testDevice();
    const bytes = new TextEncoder().encode('{"name":"Küche"}');
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
        controller.close();
      },
    });
    const init = { method: "PATCH", headers: jsonType, body, duplex: "half" };
    expect((await device.fetch(new Request("http://device/v2/device/tags", init))).status).toBe(202);
    expect(await tags(device)).toEqual({ name: "Küche" });
  });
});

test("an unexpected error is 503 with its message", async () => {
  const read = () => Promise.reject(new Error("hostnamed does not answer"));
  const device = await testDevice({ ports: { hostname: { read, write: () => Promise.resolve() } } });
  expect(seen(await device.get("/v1/device/host-config"))).toEqual(failed(503, "hostnamed does not answer"));
});

test.each([
  ["a status that is not declared", "/ping", 500, "text/plain; charset=utf-8", "Oh no"],
  ["another content-type than declared", "/ping", 200, "text/html; charset=utf-8", "OK"],
  [
    "JSON of another shape than declared",
    "/v2/version",
    200,
    "application/json; charset=utf-8",
    '{"status":"success"}',
  ],
  ["a body where an empty one is declared", "/v1/healthy", 200, null, "OK"],
])("%s makes a test fail", (_, path, status, type, body) => {
  const headers = new Headers(type === null ? {} : { "content-type": type });
  const answer = { status, headers, text: body, json: body.startsWith("{") ? JSON.parse(body) : undefined };
  expect(() => expectDeclared("GET", path, answer)).toThrow(`GET ${path} answered ${status}`);
});
