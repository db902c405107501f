import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { noHost, startSystemdHost, type SystemdHost } from "../support/systemd-host.ts";
import { wait } from "../support/wait.ts";
import { startAgentOn } from "./agent-on-host.ts";

/** A machine with balenaOS's file layout and units that behave like balenaOS's. Source: meta-balena. */

const path = "/v1/device/host-config";

const units = {
  "balena-proxy-config": `
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
`,
  redsocks: `
[Unit]
ConditionPathExists=/mnt/boot/system-proxy/redsocks.conf
[Service]
ExecStart=/usr/sbin/redsocks -c /mnt/boot/system-proxy/redsocks.conf
`,
};

let host: SystemdHost;
let root: string;
beforeAll(async () => {
  if (noHost) return undefined;
  host = await startSystemdHost({ hostname: "before" });
  root = await host.root();
  await host.run("sh", "-c", "rm /etc/os-release /etc/systemd/system/redsocks.service");
  writeFileSync(join(root, "etc/os-release"), 'ID="balena-os"\nPRETTY_NAME="balenaOS 6.0"\n');
  mkdirSync(join(root, "mnt/boot"), { recursive: true });
  writeFileSync(join(root, "mnt/boot/config.json"), JSON.stringify({ uuid: "0".repeat(32), deviceType: "intel-nuc" }));
  for (const [name, text] of Object.entries(units))
    writeFileSync(join(root, "etc/systemd/system", `${name}.service`), text);
  await host.run("systemctl", "daemon-reload");
  await host.run("systemctl", "start", "balena-proxy-config", "redsocks");
  return host.remove;
});

const show = (unit: string, property: string) => host.run("systemctl", "show", "--value", "-p", property, unit);

describe.skipIf(noHost)("on balenaOS", () => {
  test("a proxy is set by two files on the boot partition and restarts of units", async () => {
    const agent = await startAgentOn(host);
    expect(await agent.get(path)).toEqual({ status: 200, text: '{"network":{"hostname":"before"}}' });
    expect(await show("redsocks", "ActiveState")).toBe("inactive");
    const configured = await show("balena-proxy-config", "InvocationID");

    const proxy = { type: "socks5", ip: "192.0.2.1", port: 1080, login: 'a"b', noProxy: ["198.51.100.0/24"] };
    expect(await agent.send("PATCH", path, { network: { proxy } })).toEqual({ status: 200, text: "OK" });
    expect(JSON.parse((await agent.get(path)).text)).toEqual({ network: { hostname: "before", proxy } });
    expect(readFileSync(join(root, "mnt/boot/system-proxy/no_proxy"), "utf8")).toBe("198.51.100.0/24");
    expect(readFileSync(join(root, "mnt/boot/system-proxy/redsocks.conf"), "utf8")).toContain('\tlogin = "a\\"b";\n');
    await wait("redsocks to run", async () => (await show("redsocks", "ActiveState")) === "active");
    expect(await host.run("pgrep", "-a", "redsocks")).toContain("-c /mnt/boot/system-proxy/redsocks.conf");
    expect(await show("balena-proxy-config", "InvocationID")).not.toBe(configured);

    expect(await agent.send("PATCH", path, { network: { proxy: null } })).toEqual({ status: 200, text: "OK" });
    await wait("redsocks to end", async () => (await show("redsocks", "ActiveState")) === "inactive");
    expect(await host.run("ls", "/mnt/boot/system-proxy")).toBe("");
  });

  test("the host name is set through config.json", async () => {
    const agent = await startAgentOn(host);
    expect(await agent.send("PATCH", path, { network: { hostname: "after" } })).toEqual({ status: 200, text: "OK" });
    expect(JSON.parse(readFileSync(join(root, "mnt/boot/config.json"), "utf8"))).toEqual({
      uuid: "0".repeat(32),
      deviceType: "intel-nuc",
      hostname: "after",
    });
    // balenaOS's reaction to the change.
    await host.run("hostnamectl", "set-hostname", "after");
    expect(await agent.get(path)).toEqual({ status: 200, text: '{"network":{"hostname":"after"}}' });
  });

  test("the VPN is connected while its file exists", async () => {
    const agent = await startAgentOn(host);
    const connected = async () => JSON.parse((await agent.get("/v2/device/vpn")).text).vpn.connected;
    expect(await connected()).toBe(false);
    await host.run("sh", "-c", "mkdir -p /run/openvpn/vpn_status && touch /run/openvpn/vpn_status/active");
    expect(await connected()).toBe(true);
  });
});
