import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  objectionTo,
  parseNoProxy,
  parseRedsocks,
  renderNoProxy,
  renderRedsocks,
  type RedsocksSettings,
} from "../../hardware/redsocks-conf.ts";

const base = `base {
	log_debug = off;
	log_info = on;
	log = stderr;
	daemon = off;
	redirector = iptables;
}
`;

/** Settings and their file. */
const golden: readonly (readonly [string, RedsocksSettings, string])[] = [
  [
    "as balenaOS has it",
    {
      type: "socks5",
      ip: "example.org",
      port: 1080,
      login: "foo",
      password: "bar",
      dns: "8.8.8.8:53",
    },
    `${base}
redsocks {
	type = socks5;
	ip = example.org;
	port = 1080;
	login = "foo";
	password = "bar";
	local_ip = 127.0.0.1;
	local_port = 12345;
}

dnsu2t {
	remote_ip = 8.8.8.8;
	remote_port = 53;
	local_ip = 127.0.0.1;
	local_port = 53;
}
`,
  ],
  [
    "without a login",
    { type: "http-relay", ip: "192.0.2.1", port: 3129 },
    `${base}
redsocks {
	type = http-relay;
	ip = 192.0.2.1;
	port = 3129;
	local_ip = 127.0.0.1;
	local_port = 12345;
}
`,
  ],
  [
    "a name that begins with a digit, and a login that would be more than one",
    { type: "http-connect", ip: "3proxy.example", port: 3128, login: 'a";\n}\nbase {\tx', password: "\\\\\"'" },
    `${base}
redsocks {
	type = http-connect;
	ip = "3proxy.example";
	port = 3128;
	login = "a\\";\\n}\\nbase {\\tx";
	password = "\\\\\\\\\\"'";
	local_ip = 127.0.0.1;
	local_port = 12345;
}
`,
  ],
];

test.each(golden)("redsocks.conf, %s", (_, settings, text) => {
  expect(renderRedsocks(settings)).toBe(text);
  expect(parseRedsocks(text)).toEqual(settings);
});

const text = fc
  .string({
    unit: fc.oneof(fc.constantFrom(..."\"\\;{}=#/*\n\r\t 'n"), fc.string({ unit: "binary", minLength: 1 })),
    minLength: 1,
  })
  .filter((one) => !/[^\P{Cc}\n\r\t]/u.test(one) && one.isWellFormed());
const settings = fc
  .record({
    type: fc.constantFrom("socks4" as const, "socks5" as const, "http-connect" as const, "http-relay" as const),
    ip: fc.oneof(fc.ipV4(), fc.domain(), fc.ipV6(), text),
    port: fc.integer({ min: 1, max: 65535 }),
    login: fc.option(text, { nil: undefined }),
    password: fc.option(text, { nil: undefined }),
    dns: fc.option(
      fc.tuple(fc.oneof(fc.ipV4(), fc.domain()), fc.integer({ min: 1, max: 65535 })).map((pair) => pair.join(":")),
      { nil: undefined },
    ),
  })
  .map((all): RedsocksSettings => {
    const { login, password, dns, ...rest } = all;
    return { ...rest, ...(login && { login }), ...(password && { password }), ...(dns && { dns }) };
  });

test("any settings are read back exactly", () => {
  fc.assert(fc.property(settings, (one) => void expect(parseRedsocks(renderRedsocks(one))).toEqual(one)));
});

test("no string can add a line, a key or a section", () => {
  const shape = (conf: string) => conf.replace(/= .*;$/gm, "=");
  fc.assert(
    fc.property(settings, (one) => {
      const plain = { ...one, ...(one.login && { login: "l" }), ...(one.password && { password: "p" }), ip: "h" };
      expect(shape(renderRedsocks(one))).toBe(shape(renderRedsocks(plain)));
    }),
  );
});

describe("a file from another program is read", () => {
  test("with quotes inside quotes, as the reference implementation writes them", () => {
    const conf =
      'redsocks {\n\ttype = socks5;\n\tip = h;\n\tport = 1;\n\tlogin = "a"b";\n\tpassword = "us}er; x = "y"";\n}\n';
    expect(parseRedsocks(conf)).toEqual({ type: "socks5", ip: "h", port: 1, login: 'a"b', password: 'us}er; x = "y"' });
  });

  test("with comments and unknown keys", () => {
    const conf =
      "base { \n log = syslog; }\n// redsocks {\nredsocks {\n  type=socks4; // old\n\tip = 10.0.0.1;\n# x\n\tport = 1080;\n\tmax_accept_backoff = 60000; /* ms */\n}";
    expect(parseRedsocks(conf)).toEqual({ type: "socks4", ip: "10.0.0.1", port: 1080 });
  });

  test.each([
    "",
    "redsocks {\n}\n",
    "redsocks {\n\ttype = banana;\n\tip = h;\n\tport = 1;\n}\n",
    "redsocks {\n\ttype = socks5;\n\tport = 1;\n}\n",
    "base {\n\ttype = socks5;\n\tip = h;\n\tport = 1;\n}\n",
  ])("as no proxy: %j", (conf) => {
    expect(parseRedsocks(conf)).toBeUndefined();
  });
});

describe("no_proxy", () => {
  test("has a line for each address, without a final line break", () => {
    expect(renderNoProxy(["152.10.30.4", "253.1.1.0/16"])).toBe("152.10.30.4\n253.1.1.0/16");
    expect(renderNoProxy([])).toBeUndefined();
    expect(renderNoProxy(undefined)).toBeUndefined();
  });

  test("is read back exactly", () => {
    const one = fc.oneof(
      fc.ipV4(),
      fc.domain(),
      fc.tuple(fc.ipV4(), fc.nat(32)).map((pair) => pair.join("/")),
    );
    fc.assert(
      fc.property(
        fc.array(one, { minLength: 1 }),
        (all) => void expect(parseNoProxy(renderNoProxy(all) ?? "")).toEqual(all),
      ),
    );
  });
});

describe("settings that cannot be written are refused:", () => {
  const fine = { type: "socks5" as const, ip: "h", port: 1 };
  test.each([
    [fine, undefined],
    [{ ...fine, login: 'a"\\;\n' }, undefined],
    [
      { ...fine, login: "a\0b" },
      { to: "login", reason: "expected a text without control characters" },
    ],
    [
      { ...fine, password: "\ud800" },
      { to: "password", reason: "expected a text without control characters" },
    ],
    [
      { ...fine, ip: "a\x1bb" },
      { to: "ip", reason: "expected a text without control characters" },
    ],
    [
      { ...fine, dns: "8.8.8.8:53;\n}" },
      { to: "dns", reason: 'expected "ADDRESS:PORT"' },
    ],
    [
      { ...fine, noProxy: ["1.1.1.1", "-j ACCEPT"] },
      { to: "noProxy.1", reason: "expected an address or a subnet" },
    ],
    [
      { ...fine, noProxy: ["1.1.1.1\n2.2.2.2"] },
      { to: "noProxy.0", reason: "expected an address or a subnet" },
    ],
  ])("%j", (one, objection) => {
    expect(objectionTo(one)).toEqual(objection);
  });
});
