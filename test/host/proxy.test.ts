import { mkdtempSync, rmSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { hostname as hostnameOf, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import {
  configure,
  deviceWithBridge,
  noNamespaces,
  startAgentIn,
  startIn,
  type Agent,
  type Background,
  type Namespace,
} from "../support/namespaces.ts";

/**
 * The agent with the real redsocks and iptables, between a container and proxies of all kinds:
 *
 *   container 10.250.0.2 ── bridge 10.250.0.1 device 192.0.2.2 ── 192.0.2.1 beyond: proxies,
 *                                                                 a server at 203.0.113.10 and 198.51.100.20
 */

const path = "/v1/device/host-config";
const hostname = hostnameOf();
const login = 'us}er"\\; #';
const password = "p;as\"s\\ } // 'ü";
const noProxy = ["198.51.100.0/24"];
const network = { ip: "192.0.2.1", login, password, noProxy };

const throughProxy = "203.0.113.10";
const direct = "192.0.2.2";

const Event = z.looseObject({ kind: z.string().optional(), user: z.string().optional(), host: z.string().optional() });

describe.skipIf(noNamespaces !== undefined)(`a transparent proxy ${noNamespaces ?? ""}`, () => {
  const folder = mkdtempSync(join(tmpdir(), "fairlead-proxy-"));
  let device: Namespace;
  let beyond: Namespace;
  let container: Namespace;
  let proxies: Background;
  let agent: Agent;
  let remove: (() => Promise<void>) | undefined;

  beforeAll(async () => {
    ({ device, outside: beyond, inside: container, remove } = await deviceWithBridge("br0", "10.250.0", 24));
    await configure(device, "route add default via 192.0.2.1");
    await configure(
      beyond,
      `addr add 203.0.113.10/32 dev lo
       addr add 198.51.100.20/32 dev lo`,
    );
    await device.must("sysctl", "-qw", "net.ipv4.ip_forward=1");
    // The NAT rule that an engine sets for its containers.
    await device.must("iptables", ..."-t nat -A POSTROUTING -s 10.250.0.0/24 -o up0 -j MASQUERADE".split(" "));
    proxies = startIn(beyond, "test/support/proxies.ts", [], { LOGIN: login, PASSWORD: password });
    await proxies.said(/ready/);
    agent = await startAgentIn(device, folder);
  });

  afterAll(async () => {
    await agent?.end();
    await proxies?.end();
    await remove?.();
    rmSync(folder, { recursive: true, force: true });
  });

  const rules = async () =>
    (await device.must("iptables-save", "-t", "nat")).replace(/^#.*\n/gm, "").replace(/\[.*\]/g, "");
  const nothingOfOurs = async () => {
    expect(await rules()).not.toContain("FAIRLEAD");
    expect(await device.must("ip", "address", "show", "dev", "lo")).not.toContain("10.114.103.1");
    const pids = (await device.must("ip", "netns", "pids", device.name)).split("\n").filter(Boolean);
    const programs = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/comm`, "utf8").catch(() => "")));
    expect(programs).not.toContain("redsocks\n");
  };
  const seen = () =>
    proxies
      .output()
      .trim()
      .split("\n")
      .map((line) => Event.parse(JSON.parse(line)));

  /** The addresses that the server sees, or undefined if it is not reached. */
  const ways = async () => {
    const from = async (where: Namespace, address: string) => {
      const { code, stdout } = await where.run("curl", "-sS", "-m", "5", `http://${address}:8080/`);
      return code === 0 ? stdout : undefined;
    };
    return {
      device: await from(device, "203.0.113.10"),
      container: await from(container, "203.0.113.10"),
      deviceNoProxy: await from(device, "198.51.100.20"),
      containerNoProxy: await from(container, "198.51.100.20"),
    };
  };
  const allDirect = { device: direct, container: direct, deviceNoProxy: direct, containerNoProxy: direct };
  const allButNoProxy = { ...allDirect, device: throughProxy, container: throughProxy };

  test("does not exist at first", async () => {
    expect(await agent.get(path)).toEqual({ network: { hostname } });
    expect(await ways()).toEqual(allDirect);
    await nothingOfOurs();
  });

  test.each([
    ["socks5", 1080],
    ["socks4", 1081],
    ["http-connect", 3128],
    ["http-relay", 3129],
  ])("of type %s carries connections of the host and of containers, except those to noProxy", async (type, port) => {
    expect(await agent.patch(path, { network: { proxy: { ...network, type, port } } })).toEqual([200, "OK"]);
    expect(await agent.get(path)).toEqual({ network: { hostname, proxy: { ...network, type, port } } });
    const before = seen().length;
    expect(await ways()).toEqual(allButNoProxy);
    const carried = seen()
      .slice(before)
      .filter(({ user }) => user !== undefined);
    expect(carried).toEqual(Array(2).fill({ kind: type, user: login, host: "203.0.113.10", port: 8080 }));
  });

  test("keeps fields that a PATCH does not contain", async () => {
    expect(await agent.patch(path, { network: { proxy: { type: "socks5", port: 1080 } } })).toEqual([200, "OK"]);
    expect(await agent.get(path)).toEqual({ network: { hostname, proxy: { ...network, type: "socks5", port: 1080 } } });
    expect(await ways()).toEqual(allButNoProxy);
  });

  test("set twice leaves the same rules", async () => {
    const once = await rules();
    expect(await agent.patch(path, { network: { proxy: { noProxy } } })).toEqual([200, "OK"]);
    expect(await rules()).toBe(once);
    expect(once).toContain("-A FAIRLEAD-PROXY -d 198.51.100.0/24 -j RETURN\n-A FAIRLEAD-PROXY -d 0.0.0.0/8 -j RETURN");
  });

  test("without noProxy carries all connections", async () => {
    // A PATCH with only an empty noProxy would clear the proxy.
    expect(await agent.patch(path, { network: { proxy: { ip: network.ip, noProxy: [] } } })).toEqual([200, "OK"]);
    expect(await ways()).toEqual({
      device: throughProxy,
      container: throughProxy,
      deviceNoProxy: "198.51.100.20",
      containerNoProxy: "198.51.100.20",
    });
    expect(await agent.patch(path, { network: { proxy: { noProxy } } })).toEqual([200, "OK"]);
  });

  test("with a wrong password carries only noProxy connections, until the right one is set", async () => {
    const wrong = await agent.patch(path, { network: { proxy: { password: "no" } } });
    expect(wrong).toEqual([200, "OK"]);
    expect(await ways()).toEqual({ ...allDirect, device: undefined, container: undefined });
    expect(seen().at(-1)).toEqual({ kind: "socks5", refused: login });
    expect(await agent.patch(path, { network: { proxy: { password } } })).toEqual([200, "OK"]);
    expect(await ways()).toEqual(allButNoProxy);
  });

  test.each([
    [{ ip: "no.such.host.invalid" }, /^.*:\nnetwork\.proxy: redsocks rejects it: unable to resolve no\.such\.host/],
    [
      { dns: "8.8.8.8:53" },
      /^.*:\nnetwork\.proxy\.dns: expected no value, since the installed redsocks cannot forward DNS/,
    ],
  ])("that redsocks does not accept, %j, is refused, and the old one stays", async (proxy, message) => {
    const before = await agent.get(path);
    const [status, text] = await agent.patch(path, { network: { proxy } });
    expect(status).toBe(400);
    expect(text).toMatch(message);
    expect(await agent.get(path)).toEqual(before);
    expect(await ways()).toEqual(allButNoProxy);
  });

  test("does not reveal its password", async () => {
    for (const file of ["redsocks.conf", "redsocks.running"])
      expect((await stat(join(folder, "state/system-proxy", file))).mode & 0o777).toBe(0o600);
    expect(agent.output()).not.toContain("as\\");
  });

  test("is started again when redsocks dies", async () => {
    const pid = Number(await readFile(join(folder, "state/system-proxy/redsocks.pid"), "utf8"));
    process.kill(pid, "SIGKILL");
    await agent.said(/Redsocks ended and was started again/);
    expect(await ways()).toEqual(allButNoProxy);
  });

  test("goes on after the agent's end, and the next agent keeps it", async () => {
    const before = await rules();
    await agent.end();
    expect(await ways()).toEqual(allButNoProxy);
    const pid = await readFile(join(folder, "state/system-proxy/redsocks.pid"), "utf8");
    agent = await startAgentIn(device, folder);
    expect(await agent.get(path)).toEqual({ network: { hostname, proxy: { ...network, type: "socks5", port: 1080 } } });
    expect(await readFile(join(folder, "state/system-proxy/redsocks.pid"), "utf8")).toBe(pid);
    expect(await rules()).toBe(before);
    expect(await ways()).toEqual(allButNoProxy);
  });

  test("is set up again after a reboot", async () => {
    await agent.end();
    const pid = Number(await readFile(join(folder, "state/system-proxy/redsocks.pid"), "utf8"));
    process.kill(pid, "SIGKILL");
    await device.must("iptables", "-t", "nat", "-F", "OUTPUT");
    await device.must("iptables", "-t", "nat", "-F", "PREROUTING");
    await device.must("ip", "address", "delete", "10.114.103.1/32", "dev", "lo");
    agent = await startAgentIn(device, folder);
    expect(await ways()).toEqual(allButNoProxy);
  });

  test.each([null, {}])("cleared by %j leaves nothing behind", async (proxy) => {
    expect(await agent.patch(path, { network: { proxy: { ...network, type: "socks5", port: 1080 } } })).toEqual([
      200,
      "OK",
    ]);
    expect(await agent.patch(path, { network: { proxy } })).toEqual([200, "OK"]);
    expect(await agent.get(path)).toEqual({ network: { hostname } });
    expect(await ways()).toEqual(allDirect);
    await nothingOfOurs();
  });
});
