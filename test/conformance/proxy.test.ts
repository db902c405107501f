import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { MemoryLog, MemoryProxy } from "../../core/embedded/ports.ts";
import type { Proxy, ProxySettings } from "../../core/ports/proxy.ts";
import { osRedirector, Redsocks } from "../../hardware/redsocks.ts";
import { embeddedHost } from "../../runtimes/node/embedded-host.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";

/** The promises of `Proxy` in `core/ports/`. With the real redsocks and iptables: test/host/proxy.test.ts. */

interface Bench {
  readonly proxy: Proxy;
  /** The same machine for the next run of the agent. */
  readonly restart: () => Proxy;
}

async function memory(): Promise<Bench> {
  const proxy = new MemoryProxy();
  return { proxy, restart: () => proxy };
}

async function embedded(): Promise<Bench> {
  const folder = await temporaryFolder();
  const open = () => embeddedHost(join(folder, "state"), folder, new MemoryLog()).proxy;
  return { proxy: open(), restart: open };
}

async function balenaOs(): Promise<Bench> {
  const folder = join(await temporaryFolder(), "system-proxy");
  const open = () =>
    new Redsocks(
      folder,
      osRedirector(() => Promise.resolve()),
      new MemoryLog(),
    );
  return { proxy: open(), restart: open };
}

const settings: ProxySettings = { type: "socks5", ip: "192.0.2.1", port: 1080 };
const full: ProxySettings = {
  ...settings,
  login: 'us}er"\\; #',
  password: "p;as\"s\\ } // 'ü",
  dns: "198.51.100.53:53",
  noProxy: ["198.51.100.0/24", "192.0.2.9"],
};

describe.each([
  ["in memory", memory],
  ["of an embedded host", embedded],
  ["of balenaOS", balenaOs],
])("the proxy %s", (_, create) => {
  test("is off at first", async () => {
    expect(await (await create()).proxy.read()).toBeUndefined();
  });

  test.each<ProxySettings>([
    settings,
    full,
    { ...settings, type: "socks4" },
    { ...settings, type: "http-connect", ip: "proxy.example.org" },
    { ...settings, type: "http-relay", port: 65535 },
  ])("is read as it was written: %j", async (written) => {
    const { proxy, restart } = await create();
    expect(await proxy.write(written)).toEqual({ is: "done" });
    expect(await proxy.read()).toEqual(written);
    expect(await restart().read()).toEqual(written);
  });

  test("has nothing of the previous settings", async () => {
    const { proxy } = await create();
    await proxy.write(full);
    await proxy.write(settings);
    expect(await proxy.read()).toEqual(settings);
  });

  test("with an empty noProxy has no noProxy", async () => {
    const { proxy } = await create();
    await proxy.write({ ...settings, noProxy: [] });
    expect(await proxy.read()).toEqual(settings);
  });

  test("is off after undefined is written once or more often", async () => {
    const { proxy, restart } = await create();
    await proxy.write(full);
    for (let n = 0; n < 2; n++) {
      expect(await proxy.write(undefined)).toEqual({ is: "done" });
      expect(await proxy.read()).toBeUndefined();
    }
    expect(await restart().read()).toBeUndefined();
  });
});

describe.each([
  ["of an embedded host", embedded],
  ["of balenaOS", balenaOs],
])("the proxy %s", (_, create) => {
  test.each<[string, Partial<ProxySettings>]>([
    ["noProxy.1", { noProxy: ["192.0.2.0/24", "two words"] }],
    ["login", { login: "a\u0000b" }],
  ])("refuses a wrong %s and does not change", async (to, wrong) => {
    const { proxy } = await create();
    await proxy.write(full);
    expect(await proxy.write({ ...settings, ...wrong })).toMatchObject({ is: "refused", to });
    expect(await proxy.read()).toEqual(full);
  });
});
