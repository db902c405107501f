import { describe, expect, test } from "vitest";
import type { ProxySettings } from "../../core/ports/proxy.ts";
import { app, testDevice } from "../support/device.ts";
import { failed, json, lockfile, ok, seen, text } from "./answers.ts";

const path = "/v1/device/host-config";

const proxy: ProxySettings = { type: "socks5", ip: "192.168.0.199", port: 8123 };
const whole: ProxySettings = {
  type: "http-connect",
  ip: "myproxy.example.com",
  port: 8123,
  login: "username",
  password: "password",
  dns: "9.9.9.9:53",
  noProxy: ["152.10.30.4", "253.1.1.0/16"],
};

describe("GET /v1/device/host-config", () => {
  test("gives the host's name, and no proxy if there is none", async () => {
    const device = await testDevice();
    expect(seen(await device.get(path))).toEqual(json(200, { network: { hostname: "device" } }));
  });

  test.each([proxy, whole])("gives the proxy %j", async (settings) => {
    const device = await testDevice();
    device.proxy.settings = settings;
    expect(seen(await device.get(path))).toEqual(json(200, { network: { hostname: "device", proxy: settings } }));
  });

  test("gives only the name or only the proxy if the machine supports only one of them", async () => {
    const withoutProxy = await testDevice({ ports: { proxy: { missing: "no redsocks" } } });
    expect(seen(await withoutProxy.get(path))).toEqual(json(200, { network: { hostname: "device" } }));
    const withoutName = await testDevice({ ports: { hostname: { missing: "no hostnamed" } } });
    expect(seen(await withoutName.get(path))).toEqual(json(200, { network: {} }));
  });

  test("gives a name that cannot be set, and PATCH gives the reason", async () => {
    const hostname = { missing: "no system bus", read: () => Promise.resolve("board") };
    const device = await testDevice({ ports: { hostname, proxy: { missing: "no redsocks" } } });
    expect(seen(await device.get(path))).toEqual(json(200, { network: { hostname: "board" } }));
    expect(seen(await device.patch(path, { network: { hostname: "x" } }))).toEqual(failed(501, "no system bus"));
  });

  test("names what is missing on a machine that supports neither", async () => {
    const device = await testDevice({
      ports: { proxy: { missing: "no redsocks" }, hostname: { missing: "no hostnamed" } },
    });
    expect(seen(await device.get(path))).toEqual(failed(501, "no hostnamed; no redsocks"));
  });
});

describe("PATCH /v1/device/host-config", () => {
  test.each([
    [{ hostname: "newhostname" }, "newhostname"],
    [{ hostname: "a.b-c.example" }, "a.b-c.example"],
    // Empty: the first 7 characters of the device's uuid.
    [{ hostname: "" }, "0123456"],
    [{ hostname: null }, "0123456"],
    [{}, "device"],
    [{ proxy }, "device"],
  ])("%j sets the host's name to %s", async (network, name) => {
    const device = await testDevice();
    expect(seen(await device.patch(path, { network }))).toEqual(ok);
    expect(device.hostname.name).toBe(name);
  });

  test.each<[string, ProxySettings | undefined, object | null, ProxySettings | undefined]>([
    ["sets one where there was none", undefined, proxy, proxy],
    ["sets every field", undefined, whole, whole],
    ["takes the port as digits", undefined, { ...proxy, port: "8123" }, proxy],
    ["changes only the fields that are named", whole, { ip: "10.0.0.1" }, { ...whole, ip: "10.0.0.1" }],
    ["keeps noProxy unless it is named", whole, { port: 1 }, { ...whole, port: 1 }],
    [
      "replaces noProxy as a whole",
      { ...proxy, noProxy: ["1.1.1.1"] },
      { noProxy: ["2.2.2.2"] },
      { ...proxy, noProxy: ["2.2.2.2"] },
    ],
    [
      "an empty noProxy removes it",
      { ...proxy, noProxy: ["1.1.1.1"] },
      { ip: "10.0.0.1", noProxy: [] },
      { ...proxy, ip: "10.0.0.1" },
    ],
    ["dns: true is a public resolver", proxy, { dns: true }, { ...proxy, dns: "8.8.8.8:53" }],
    ["dns takes an address with its port", proxy, { dns: "1.1.1.1:53" }, { ...proxy, dns: "1.1.1.1:53" }],
    ["dns: false removes it", { ...proxy, dns: "1.1.1.1:53" }, { dns: false }, proxy],
    ["null clears a field", { ...proxy, login: "a", password: "b" }, { login: null, password: null }, proxy],
    ["null clears the proxy", whole, null, undefined],
    ["{} clears the proxy", whole, {}, undefined],
    ["nothing but an empty noProxy clears the proxy", whole, { noProxy: [] }, undefined],
    ["nothing but an empty noProxy is no proxy", undefined, { noProxy: [] }, undefined],
    ["dns without a proxy does nothing", undefined, { dns: true }, undefined],
    ["unknown fields are ignored", undefined, { ...proxy, banana: 1 }, proxy],
  ])("proxy: %s", async (_, before, patch, after) => {
    const device = await testDevice();
    device.proxy.settings = before;
    expect(seen(await device.patch(path, { network: { proxy: patch } }))).toEqual(ok);
    expect(device.proxy.settings).toEqual(after);
    expect(device.hostname.name).toBe("device");
  });

  describe("of a proxy whose file on the host cannot be parsed", () => {
    const unreadable = async (found = {}) => {
      const device = await testDevice();
      device.proxy.settings = found;
      return device;
    };

    test.each([{}, { noProxy: ["1.1.1.1"] }])("makes GET answer %j", async (found) => {
      const device = await unreadable(found);
      expect(seen(await device.get(path))).toEqual(json(200, { network: { hostname: "device", proxy: found } }));
    });

    test.each([
      ["replaced by a complete one, which keeps noProxy", proxy, { ...proxy, noProxy: ["1.1.1.1"] }],
      ["cleared by null", null, undefined],
      ["cleared by {}", {}, undefined],
      ["cleared by nothing but an empty noProxy", { noProxy: [] }, undefined],
      ["not changed by dns", { dns: true }, { noProxy: ["1.1.1.1"] }],
    ])("is %s", async (_, patch, after) => {
      const device = await unreadable({ noProxy: ["1.1.1.1"] });
      expect(seen(await device.patch(path, { network: { proxy: patch } }))).toEqual(ok);
      expect(device.proxy.settings).toEqual(after);
    });

    test("needs all fields and names the missing ones", async () => {
      const device = await unreadable();
      expect(seen(await device.patch(path, { network: { proxy: { ip: "10.0.0.1" } } }))).toEqual(
        text(
          400,
          [
            "Could not parse host config input to a valid format:",
            "network.proxy.type: expected a value, since the host's cannot be read",
            "network.proxy.port: expected a value, since the host's cannot be read",
          ].join("\n"),
        ),
      );
      expect(device.proxy.settings).toEqual({});
    });
  });

  test("changes name and proxy together", async () => {
    const device = await testDevice();
    await device.patch(path, { network: { proxy, hostname: "gateway" } });
    expect(seen(await device.get(path))).toEqual(json(200, { network: { hostname: "gateway", proxy } }));
  });

  test("ignores unknown fields beside proxy and hostname", async () => {
    const device = await testDevice();
    expect(seen(await device.patch(path, { network: { dns: "1.1.1.1:53", banana: 1 }, apple: 2 }))).toEqual(ok);
    expect(device.hostname.name).toBe("device");
    expect(device.proxy.settings).toBeUndefined();
  });

  test.each([
    ["refuses", () => Promise.resolve({ is: "refused" as const, to: "ip", reason: "strange: correct horse" }), 400],
    ["breaks", () => Promise.reject(new Error("redsocks: correct horse")), 503],
  ])("the error of a proxy that %s does not contain its password", async (_, write, status) => {
    const kept = { ...whole, password: "correct horse" };
    const device = await testDevice({ ports: { proxy: { read: () => Promise.resolve(kept), write } } });
    const answer = await device.patch(path, { network: { proxy: { ip: "10.0.0.1" } } });
    expect(answer.status).toBe(status);
    expect(answer.text).toContain("(hidden)");
    expect([answer.text, ...device.log.lines].join("\n")).not.toContain("correct horse");
  });

  const form = [
    "network[hostname]=x",
    "network[proxy][type]=socks5",
    "network[proxy][ip]=192.168.0.199",
    "network[proxy][port]=8123",
    "network[proxy][noProxy][]=10.0.0.1",
    "network[proxy][noProxy][]=10.0.0.2",
  ].join("&");
  test.each([
    ["as curl sends it", form],
    ["as browsers send it", form.replaceAll("[", "%5B").replaceAll("]", "%5D")],
  ])("accepts a form %s", async (_, body) => {
    const device = await testDevice();
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    expect(seen(await device.send("PATCH", path, { headers, body }))).toEqual(ok);
    expect(device.hostname.name).toBe("x");
    expect(device.proxy.settings).toEqual({ ...proxy, noProxy: ["10.0.0.1", "10.0.0.2"] });
  });

  const refusals: [unknown, RegExp][] = [
    [undefined, /network: /],
    [{}, /network: /],
    [{ network: null }, /network: /],
    [{ network: "x" }, /network: /],
    [{ network: [] }, /network: /],
    [{ network: { hostname: 5 } }, /network\.hostname: /],
    [{ network: { hostname: {} } }, /network\.hostname: /],
    [{ network: { hostname: "two words" } }, /network\.hostname: expected letters, digits, dashes and dots/],
    [{ network: { hostname: "-a" } }, /network\.hostname: /],
    [{ network: { hostname: "a\nb" } }, /network\.hostname: /],
    [{ network: { hostname: "a".repeat(65) } }, /network\.hostname: expected at most 64 characters/],
    [{ network: { proxy: "x" } }, /network\.proxy: /],
    [{ network: { proxy: [] } }, /network\.proxy: /],
    [{ network: { proxy: { ...proxy, type: "banana" } } }, /network\.proxy\.type: /],
    [{ network: { proxy: { ...proxy, port: "abc" } } }, /network\.proxy\.port: expected a port, 1 to 65535/],
    [{ network: { proxy: { ...proxy, port: 0 } } }, /network\.proxy\.port: expected a port, 1 to 65535/],
    [{ network: { proxy: { ...proxy, port: 65536 } } }, /network\.proxy\.port: expected a port, 1 to 65535/],
    [{ network: { proxy: { ...proxy, port: 1.5 } } }, /network\.proxy\.port: expected a port, 1 to 65535/],
    [{ network: { proxy: { ...proxy, ip: "a b" } } }, /network\.proxy\.ip: expected an address or a host name/],
    [
      { network: { proxy: { ...proxy, login: "a\nb = c" } } },
      /network\.proxy\.login: expected a text without line breaks/,
    ],
    [{ network: { proxy: { ...proxy, dns: "1.1.1.1" } } }, /network\.proxy\.dns: /],
    [
      { network: { proxy: { ...proxy, noProxy: ["a b"] } } },
      /network\.proxy\.noProxy\.0: expected an address or a subnet/,
    ],
    [
      { network: { proxy: { type: "socks5" } } },
      /network\.proxy\.ip: expected a value, since there is no proxy yet\nnetwork\.proxy\.port: expected a value/,
    ],
  ];
  test.each(refusals)("refuses %j and changes nothing", async (body, message) => {
    const device = await testDevice();
    const answer = seen(await device.patch(path, body));
    expect(answer).toEqual(text(400, expect.stringMatching(/^Could not parse host config input to a valid format:\n/)));
    expect(answer.body).toMatch(message);
    expect(device.hostname.name).toBe("device");
    expect(device.proxy.settings).toBeUndefined();
  });

  test.each([
    ["dns", "network.proxy.dns: expected nothing"],
    ["", "network.proxy: expected nothing"],
  ])("that the host refuses for %j gives the reason and does not change the name", async (to, sentence) => {
    const write = () => Promise.resolve({ is: "refused" as const, to, reason: "expected nothing" });
    const device = await testDevice({ ports: { proxy: { read: () => Promise.resolve(proxy), write } } });
    const answer = await device.patch(path, { network: { proxy: { dns: true }, hostname: "gateway" } });
    expect(seen(answer)).toEqual(text(400, `Could not parse host config input to a valid format:\n${sentence}`));
    expect(device.hostname.name).toBe("device");
  });

  test("writes nothing while a service holds its lock", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    device.folders.lock(1, "one");
    const change = { proxy, hostname: "gateway" };
    expect(seen(await device.patch(path, { network: change }))).toEqual(text(423, lockfile(1, "one")));
    expect(device.hostname.name).toBe("device");
    expect(device.proxy.settings).toBeUndefined();
  });

  test("without a change needs no lock", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ one: {} }) });
    device.folders.lock(1, "one");
    expect(seen(await device.patch(path, { network: {} }))).toEqual(ok);
  });

  test.each([{ network: { hostname: "gateway" }, force: true }, { network: { hostname: "gateway", force: true } }])(
    "%j overrides the lock",
    async (body) => {
      const device = await testDevice();
      await device.run({ "1": app({ one: {} }) });
      device.folders.lock(1, "one");
      expect(seen(await device.patch(path, body))).toEqual(ok);
      expect(device.hostname.name).toBe("gateway");
    },
  );

  test("names what is missing on a machine that does not support the change", async () => {
    const device = await testDevice({ ports: { proxy: { missing: "no redsocks" } } });
    expect(seen(await device.patch(path, { network: { proxy, hostname: "x" } }))).toEqual(failed(501, "no redsocks"));
    expect(seen(await device.patch(path, { network: { hostname: "gateway" } }))).toEqual(ok);
    const nameless = await testDevice({ ports: { hostname: { missing: "no hostnamed" } } });
    expect(seen(await nameless.patch(path, { network: { hostname: "x" } }))).toEqual(failed(501, "no hostnamed"));
    expect(seen(await nameless.patch(path, { network: { proxy } }))).toEqual(ok);
  });

  test("passes on the host's error", async () => {
    const write = () => Promise.reject(new Error("Could not set the static hostname: read-only file system"));
    const device = await testDevice({ ports: { hostname: { read: () => Promise.resolve("device"), write } } });
    expect(seen(await device.patch(path, { network: { hostname: "gateway" } }))).toEqual(
      failed(503, "Could not set the static hostname: read-only file system"),
    );
  });
});
