import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  configure,
  deviceWithBridge,
  noNamespaces,
  startAgentIn,
  startIn,
  type Agent,
  type Namespace,
} from "../support/namespaces.ts";

/**
 * The agent with the real iptables and ip6tables:
 *
 *   service 10.114.104.2 ── supervisor0 10.114.104.1 device 192.0.2.2, 2001:db8::2 ── neighbour 192.0.2.1, 2001:db8::1
 */

describe.skipIf(noNamespaces !== undefined)(`a firewall ${noNamespaces ?? ""}`, () => {
  let folder: string;
  let device: Namespace;
  let neighbour: Namespace;
  let service: Namespace;
  let agent: Agent | undefined;
  let remove: (() => Promise<void>) | undefined;

  beforeAll(async () => {
    ({ device, outside: neighbour, inside: service, remove } = await deviceWithBridge("supervisor0", "10.114.104", 25));
    await configure(device, "addr add 2001:db8::2/64 dev up0 nodad");
    await configure(neighbour, "addr add 2001:db8::1/64 dev gw0 nodad");
    for (const tables of ["iptables", "ip6tables"]) {
      await device.must(tables, ..."-A INPUT -p tcp --dport 9 -j DROP".split(" "));
      await device.must(tables, "-N", "FOREIGN");
      await device.must(tables, ..."-A FORWARD -j FOREIGN".split(" "));
    }
    const server = startIn(device, "test/support/server.ts", ["22", "9000"]);
    await server.said(/listens on 22[^]*listens on 9000|listens on 9000[^]*listens on 22/);
  });

  afterEach(async () => {
    await agent?.end();
    agent = undefined;
    rmSync(folder, { recursive: true, force: true });
  });

  afterAll(async () => {
    await remove?.();
  });

  const start = async (args: readonly string[] = []) => {
    folder = mkdtempSync(join(tmpdir(), "fairlead-firewall-"));
    const config = join(folder, "config.json");
    writeFileSync(config, JSON.stringify({ apiEndpoint: "https://cloud.invalid", uuid: "0".repeat(32) }));
    agent = await startAgentIn(
      device,
      folder,
      args.includes("managed") ? ["--config", config, ...args.slice(1)] : args,
    );
    // The rules of a table are set at once, those of IPv6 after those of IPv4.
    await until(async () => (await rules("ip6tables")).includes("-A INPUT -j BALENA-FIREWALL"));
    return agent;
  };

  const rules = async (tables: "iptables" | "ip6tables") =>
    (await device.must(tables, "-S"))
      .split("\n")
      .filter((line) => line !== "")
      .join("\n");

  /** Whether each client can reach a port number of the device over IPv4 and IPv6. */
  const reach = async (port: number) => {
    const can = async (from: Namespace, host: string) =>
      (await from.run("curl", "-sS", "-m", "5", `http://${host}:${port}/ping`)).code === 0;
    return {
      itself: await can(device, "127.0.0.1"),
      service: await can(service, "10.114.104.1"),
      neighbour: await can(neighbour, "192.0.2.2"),
      neighbour6: await can(neighbour, "[2001:db8::2]"),
    };
  };
  const everybody = { itself: true, service: true, neighbour: true, neighbour6: true };
  const inside = { ...everybody, neighbour: false, neighbour6: false };

  const setMode = async (running: Agent, mode: string, services: object = {}) => {
    const apps = { "1": { name: "fleet", commit: "c1", releaseId: 1, services } };
    const local = { name: "device", config: { HOST_FIREWALL_MODE: mode }, apps };
    expect((await running.post("/v2/local/target-state", { local }))[0]).toBe(200);
  };
  const isClosed = async () => (await rules("ip6tables")).includes("-A BALENA-FIREWALL -j REJECT");

  test("blocks the API only for the LAN, although the agent listens there", async () => {
    await start(["managed", "--listen", "::"]);
    expect(await reach(48484)).toEqual(inside);
    expect(await reach(9000)).toEqual(everybody);
  });

  test("allows the LAN in local mode", async () => {
    await start(["--listen", "::"]);
    expect(await reach(48484)).toEqual(everybody);
  });

  test("does not change when it is set again, and keeps the position of other rules", async () => {
    const before = [await rules("iptables"), await rules("ip6tables")];
    const first = await start(["managed", "--listen", "::"]);
    const once = [await rules("iptables"), await rules("ip6tables")];
    // A killed agent does not remove its rules, so the next one finds them.
    await first.end("SIGKILL");
    expect([await rules("iptables"), await rules("ip6tables")]).toEqual(once);
    rmSync(folder, { recursive: true });
    for (const tables of ["iptables", "ip6tables"])
      await device.must(tables, ..."-A BALENA-FIREWALL -p tcp --dport 7 -j DROP".split(" "));
    const second = await start(["managed", "--listen", "::"]);
    await until(async () => !/dport 7 /.test((await rules("iptables")) + (await rules("ip6tables"))));
    expect([await rules("iptables"), await rules("ip6tables")]).toEqual(once);
    for (const [n, text] of once.entries()) {
      const others = text.split("\n").filter((line) => !line.includes("BALENA-FIREWALL"));
      expect(others).toEqual(before[n]?.split("\n"));
    }
    await second.end();
    agent = undefined;
    expect([await rules("iptables"), await rules("ip6tables")]).toEqual(before);
  });

  test("`on` closes the host except for ssh and pings, and keeps open connections", async () => {
    const running = await start(["--listen", "::"]);
    const open = ["192.0.2.2", "[2001:db8::2]"].map((host) => {
      const curl = spawn("ip", ["netns", "exec", neighbour.name, "curl", "-sN", `http://${host}:9000/ticks`]);
      let ticks = 0;
      curl.stdout.on("data", () => ticks++);
      return { ticks: () => ticks, end: () => curl.kill() };
    });
    await until(async () => open.every(({ ticks }) => ticks() > 0));

    await setMode(running, "on");
    await until(isClosed);
    expect(await reach(9000)).toEqual({ itself: true, service: false, neighbour: false, neighbour6: false });
    expect(await reach(22)).toEqual(everybody);
    expect(await reach(48484)).toEqual(everybody);
    for (const host of ["192.0.2.2", "2001:db8::2"])
      expect((await neighbour.run("ping", "-c1", "-W2", host)).code).toBe(0);
    for (const { ticks, end } of open) {
      const before = ticks();
      await until(async () => ticks() > before + 5);
      end();
    }

    await setMode(running, "off");
    await until(async () => !(await isClosed()));
    expect(await reach(9000)).toEqual(everybody);
  });

  test("`auto` closes the host while a service uses the host's network", async () => {
    const running = await start();
    const service = { serviceName: "web", imageId: 1, image: "web:1", environment: {}, labels: {} };
    await setMode(running, "auto", { "1": { ...service, network_mode: "host" } });
    await until(isClosed);
    expect(await reach(9000)).toEqual({ itself: true, service: false, neighbour: false, neighbour6: false });
    await setMode(running, "auto", { "1": service });
    await until(async () => !(await isClosed()));
    expect(await reach(9000)).toEqual(everybody);
  });

  test("that closes the host stays after the agent's end", async () => {
    const running = await start();
    await setMode(running, "on");
    await until(isClosed);
    await running.end();
    agent = undefined;
    expect(await isClosed()).toBe(true);
    // A later agent opens the host again.
    rmSync(folder, { recursive: true });
    await start();
    await until(async () => !(await isClosed()));
  });
});

async function until(fact: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 20_000; !(await fact()); await new Promise((resolve) => setTimeout(resolve, 50)))
    if (Date.now() > end) throw new Error("It did not come about in time");
}
