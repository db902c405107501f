import { describe, expect, test } from "vitest";
import { guardOrigin, parseHost, parseOrigin, type OriginRules } from "../../core/http/origin.ts";

/** The guard in front of an API that answers every request with "done". */
function guarded(rules: Partial<OriginRules> = {}) {
  const asked: string[] = [];
  const fetch = guardOrigin(
    (request) => {
      asked.push(`${request.method} ${request.url}`);
      return Promise.resolve(new Response("done", { headers: { etag: '"1"' } }));
    },
    { isOpen: () => true, ...rules },
  );
  return {
    asked,
    ask: async (url: string, headers: Record<string, string> = {}, method = "GET") => {
      const response = await fetch(new Request(url, { method, headers }));
      const text = await response.text();
      return { status: response.status, headers: response.headers, text };
    },
  };
}

const device = "http://192.168.1.7:48484";
const jsonType = { "content-type": "application/json" };
const formType = { "content-type": "application/x-www-form-urlencoded" };
const failed = (message: string) => JSON.stringify({ status: "failed", message });

describe("a page", () => {
  test.each<[string, Record<string, string>]>([
    ["another host", { origin: "http://evil.example" }],
    ["another port", { origin: "http://192.168.1.7:8080" }],
    ["no port", { origin: "http://192.168.1.7" }],
    ["another scheme", { origin: "https://192.168.1.7:48484" }],
    ["an origin that is not told", { origin: "null" }],
    ["an empty origin", { origin: "" }],
    ["two origins", { origin: `${device}, ${device}` }],
    ["the beginning of ours", { origin: "http://192.168.1.7:4848" }],
    ["ours as a beginning", { origin: "http://192.168.1.7:48484.evil.example" }],
    ["another site, without an origin", { "sec-fetch-site": "cross-site" }],
    ["another port of this host, without an origin", { "sec-fetch-site": "same-site" }],
    ["a place that nobody knows yet", { "sec-fetch-site": "next-door" }],
    ["another site, with our origin", { origin: device, "sec-fetch-site": "cross-site" }],
  ])("of %s is refused for every request", async (_, headers) => {
    for (const isOpen of [true, false]) {
      const { ask, asked } = guarded({ isOpen: () => isOpen });
      for (const method of ["GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"]) {
        const answer = await ask(`${device}/v2/local/target-state`, headers, method);
        expect([method, answer.status]).toEqual([method, 403]);
        expect([...answer.headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
      }
      expect(asked).toEqual([]);
    }
  });

  test("is told which flag would allow it, if its origin is known", async () => {
    const { ask } = guarded();
    expect((await ask(`${device}/ping`, { origin: "http://evil.example" })).text).toBe(
      failed(
        "This request comes from a page of http://evil.example. To let that page use the API, start the agent with --allow-origin http://evil.example (or FAIRLEAD_ALLOW_ORIGIN)",
      ),
    );
    const nameless = failed("This request comes from a page of another origin");
    for (const origin of ["null", "<b>", "http://*", "capacitor://localhost"])
      expect((await ask(`${device}/ping`, { origin })).text).toBe(nameless);
    expect((await ask(`${device}/ping`, { "sec-fetch-site": "cross-site" })).text).toBe(nameless);
  });

  test.each<[string, string, Record<string, string>]>([
    ["of the device itself", device, { origin: device, "sec-fetch-site": "same-origin" }],
    ["of the device by a name", "http://fairlead.local:48484", { origin: "http://fairlead.local:48484" }],
    ["of the device by a name in upper case", "http://FAIRLEAD.local:48484", { origin: "http://fairlead.local:48484" }],
    ["on port 80", "http://fairlead.local:80", { origin: "http://fairlead.local" }],
    ["of IPv6", "http://[fe80::1]:48484", { origin: "http://[fe80::1]:48484" }],
    ["that the user has typed", device, { "sec-fetch-site": "none", "sec-fetch-mode": "navigate" }],
    ["that is none", device, {}],
  ])("%s is allowed", async (_, base, headers) => {
    const { ask } = guarded();
    expect(await ask(`${base}/v1/device`, headers)).toMatchObject({ status: 200, text: "done" });
    expect((await ask(`${base}/v1/device`, headers)).headers.get("vary")).toBeNull();
  });
});

describe("if no key is needed, a host name", () => {
  test.each([
    ...["127.0.0.1", "10.114.104.1:48484", "[::1]", "[fd00::7]:48484", "192.168.1.7:80", "203.0.113.9"],
    ...["localhost", "localhost:9999", "LOCALHOST", "localhost.", "raspberrypi", "a", "misty-sea:48484"],
    ...["misty-sea.local", "Misty-Sea.LOCAL.:48484", "a.b.lan", "a.home.arpa", "host.docker.internal", "0x7f.1"],
  ])("of the local network is allowed: %s", async (host) => {
    const { ask } = guarded();
    expect((await ask(`http://${host}/v1/device`)).status).toBe(200);
  });

  test.each([
    ["evil.example", "evil.example"],
    ["evil.example:48484", "evil.example"],
    ["EVIL.example.", "evil.example"],
    ["127.0.0.1.evil.example", "127.0.0.1.evil.example"],
    ["localhost.evil.example", "localhost.evil.example"],
    ["evil.localdomain", "evil.localdomain"],
    ["evillan.xlan", "evillan.xlan"],
    ["arpa.home", "arpa.home"],
    ["a..", "a."],
  ])("that anybody may register is refused: %s", async (host, name) => {
    const { ask, asked } = guarded();
    for (const method of ["GET", "POST", "OPTIONS"]) {
      const { status, text } = await ask(`http://${host}/v1/device`, {}, method);
      expect([status, text]).toEqual([
        421,
        failed(
          `This device needs no key, so it must be reached by an address or a local name, but the request is for ${name}. To allow this name, start the agent with --allow-host ${name} (or FAIRLEAD_ALLOW_HOST)`,
        ),
      ]);
    }
    expect(asked).toEqual([]);
  });

  test("is refused for a page of the same origin too, because DNS rebinding looks like this", async () => {
    const { ask } = guarded();
    const headers = { origin: "http://evil.example:48484", "sec-fetch-site": "same-origin" };
    expect((await ask("http://evil.example:48484/v1/reboot", headers, "POST")).status).toBe(421);
  });

  test("is checked again for every request", async () => {
    const { ask } = guarded();
    for (const [host, status] of [
      ["a", 200],
      ["a.example", 421],
      ["a", 200],
      ["a.example", 421],
    ])
      expect((await ask(`http://${host}/`)).status).toBe(status);
  });

  test("is not checked while a key is needed, and is checked again afterwards", async () => {
    let isOpen = false;
    const { ask } = guarded({ isOpen: () => isOpen });
    expect((await ask("http://device.example/v1/device")).status).toBe(200);
    isOpen = true;
    expect((await ask("http://device.example/v1/device")).status).toBe(421);
    isOpen = false;
    expect((await ask("http://device.example/v1/device")).status).toBe(200);
  });

  test("is allowed if it is listed in the settings", async () => {
    const { ask } = guarded({ allowHosts: ["device.example"] });
    for (const host of ["device.example", "DEVICE.example.:8080"])
      expect((await ask(`http://${host}/`)).status).toBe(200);
    for (const host of ["other.example", "a.device.example"]) expect((await ask(`http://${host}/`)).status).toBe(421);
  });
});

describe("a form in a browser", () => {
  const marks: [string, Record<string, string>][] = [
    ["Origin", { origin: device }],
    ["Sec-Fetch-Site", { "sec-fetch-site": "same-origin" }],
    ["Sec-Fetch-Mode", { "sec-fetch-mode": "navigate" }],
    ["User-Agent", { "user-agent": "Mozilla/5.0 (X11; Linux x86_64)" }],
  ];
  const targets: [string, string][] = [
    ["POST", "/v2/local/target-state"],
    ["POST", "/V2/Local/Target-State/?x=1"],
    ["PATCH", "/v1/device/host-config"],
  ];

  test.each(marks)("recognized by %s changes neither the target state nor the host", async (_, mark) => {
    const { ask, asked } = guarded();
    for (const [method, path] of targets)
      for (const [type, shown] of [
        [formType, "application/x-www-form-urlencoded"],
        [{ "content-type": "text/plain;charset=UTF-8" }, "text/plain"],
        [{ "content-type": "application/json, text/plain" }, "application/json, text/plain"],
        [{}, "none"],
      ] as const)
        expect(await ask(device + path, { ...mark, ...type }, method)).toMatchObject({
          status: 415,
          text: failed(`From a browser, expected Content-Type application/json, but got ${shown}`),
        });
    expect(asked).toEqual([]);
  });

  test.each(marks)("recognized by %s may send JSON, and any content type to other endpoints", async (_, mark) => {
    const { ask } = guarded();
    for (const [method, path] of targets) {
      expect((await ask(device + path, { ...mark, ...jsonType }, method)).status).toBe(200);
      const charset = { "content-type": "Application/JSON; charset=utf-8" };
      expect((await ask(device + path, { ...mark, ...charset }, method)).status).toBe(200);
    }
    expect((await ask(`${device}/v1/update`, { ...mark, ...formType }, "POST")).status).toBe(200);
    expect((await ask(`${device}/v2/local/target-state`, mark)).status).toBe(200);
  });

  test.each(["", "curl/8.5.0", "node", "node-fetch/1.0", "python-requests/2.31"])(
    "is not assumed for the user agent %j",
    async (agent) => {
      const { ask } = guarded();
      const headers = agent ? { "user-agent": agent } : {};
      for (const [method, path] of targets)
        for (const type of [jsonType, formType, {}])
          expect((await ask(device + path, { ...headers, ...type }, method)).status).toBe(200);
    },
  );
});

describe("a page whose origin is allowed", () => {
  const origin = "http://panel.lan:8080";
  const rules = { allowOrigins: [origin, "https://panel.example"] };
  const cors = (headers: Headers) =>
    Object.fromEntries([...headers].filter(([name]) => name === "vary" || name.startsWith("access-control")));

  test("may use the API and read its answers", async () => {
    const { ask } = guarded(rules);
    for (const site of ["cross-site", "same-site"])
      for (const method of ["GET", "POST", "PATCH"]) {
        const answer = await ask(`${device}/v1/device`, { origin, "sec-fetch-site": site }, method);
        expect([answer.status, answer.text]).toEqual([200, "done"]);
        expect(cors(answer.headers)).toEqual({ "access-control-allow-origin": origin, vary: "Origin" });
      }
  });

  test("may read refusals too", async () => {
    const { ask } = guarded(rules);
    const form = await ask(`${device}/v2/local/target-state`, { origin, ...formType }, "POST");
    expect([form.status, cors(form.headers)]).toEqual([415, { "access-control-allow-origin": origin, vary: "Origin" }]);
    const name = await ask("http://device.example/ping", { origin });
    expect([name.status, cors(name.headers)]).toEqual([421, { "access-control-allow-origin": origin, vary: "Origin" }]);
  });

  const preflight = { "access-control-request-method": "PATCH", "access-control-request-headers": "authorization" };
  const allowed = {
    "access-control-allow-origin": origin,
    "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE",
    "access-control-allow-headers": "Authorization, Content-Type, Idempotency-Key, Prefer",
    "access-control-max-age": "600",
    vary: "Origin",
  };

  test("gets an answer to its preflight request without a key", async () => {
    const { ask, asked } = guarded({ ...rules, isOpen: () => false });
    const { status, headers, text } = await ask(`${device}/v1/device`, { origin, ...preflight }, "OPTIONS");
    expect([status, text, cors(headers)]).toEqual([204, "", allowed]);
    const fromOutside = { origin, ...preflight, "access-control-request-private-network": "true" };
    expect(cors((await ask(`${device}/v1/device`, fromOutside, "OPTIONS")).headers)).toEqual({
      ...allowed,
      "access-control-allow-private-network": "true",
    });
    expect(asked).toEqual([]);
    expect((await ask(`${device}/v1/device`, { origin }, "OPTIONS")).text).toBe("done");
  });

  test.each(["http://panel.lan", "http://panel.lan:80800", "https://panel.lan:8080", "HTTP://PANEL.LAN:8080", "null"])(
    "does not have the origin %s",
    async (other) => {
      const { ask, asked } = guarded(rules);
      for (const method of ["GET", "OPTIONS"]) {
        const answer = await ask(`${device}/ping`, { origin: other, ...preflight }, method);
        expect([answer.status, cors(answer.headers)]).toEqual([403, { vary: "Origin" }]);
      }
      expect(asked).toEqual([]);
    },
  );

  test("is recognized by its origin only", async () => {
    const { ask } = guarded(rules);
    expect((await ask(`${device}/v2/cleanup-volumes`, { "sec-fetch-site": "cross-site" })).status).toBe(403);
  });

  test("adds only `Vary: Origin` to the answers for other clients", async () => {
    const { ask } = guarded(rules);
    expect(cors((await ask(`${device}/ping`)).headers)).toEqual({ vary: "Origin" });
    expect(cors((await ask(`${device}/ping`, { origin: device })).headers)).toEqual({ vary: "Origin" });
  });
});

test.each([
  ["http://panel.lan:8080", "http://panel.lan:8080"],
  ["HTTPS://Panel.Example", "https://panel.example"],
  ["http://panel.lan:80", "http://panel.lan"],
  ["http://[fd00::7]:3000", "http://[fd00::7]:3000"],
  ["http://küche.lan", "http://xn--kche-0ra.lan"],
  ["http://panel.lan/", undefined],
  ["http://panel.lan/path", undefined],
  ["http://panel.lan?x", undefined],
  ["http://panel.lan#x", undefined],
  ["http://user@panel.lan", undefined],
  ["http://panel.lan\\x", undefined],
  ["panel.lan:8080", undefined],
  ["//panel.lan", undefined],
  ["ftp://panel.lan", undefined],
  ["http://", undefined],
  ["http://a:99999", undefined],
  ["http://*.lan", undefined],
  ["http://a http://b", undefined],
  ["null", undefined],
  ["*", undefined],
  ["", undefined],
])("the origin %j is parsed as %j", (text, origin) => {
  expect(parseOrigin(text)).toBe(origin);
});

test.each([
  ["device.example.com", "device.example.com"],
  ["Device.Example.", "device.example"],
  ["küche.example", "xn--kche-0ra.example"],
  ["device.example:80", undefined],
  ["http://device.example", undefined],
  ["device.example/x", undefined],
  ["user@device.example", undefined],
  ["*.example", undefined],
  ["*", undefined],
  ["a b", undefined],
  ["", undefined],
])("the host name %j is parsed as %j", (text, host) => {
  expect(parseHost(text)).toBe(host);
});
