import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { networkInterfaces, release, tmpdir, uptime } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { machineFacts, nodeSystem } from "../../hardware/system.ts";

async function hostWith(osRelease: string | undefined): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), "fairlead-host-"));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  await mkdir(join(root, "etc"));
  if (osRelease !== undefined) await writeFile(join(root, "etc", "os-release"), osRelease);
  return root;
}

describe("the machine", () => {
  test("has an architecture in balena's words, and a kernel", async () => {
    const { arch, type, kernelVersion } = machineFacts(await hostWith(undefined));
    const names: Readonly<Record<string, string>> = { x64: "amd64", arm64: "aarch64", arm: "armv7hf", ia32: "i386" };
    expect(arch).toBe(names[process.arch] ?? process.arch);
    expect(type).toBe(`generic-${arch}`);
    expect(kernelVersion).toBe(release());
  });

  test.each<[string, string | undefined, string, string]>([
    [
      "Debian",
      'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nID=debian\nHOME_URL="https://x/?a=b"\n',
      "Debian GNU/Linux 12 (bookworm)",
      "debian",
    ],
    ["balenaOS", 'ID="balena-os"\nPRETTY_NAME="balenaOS 2.98.33+rev1"\n', "balenaOS 2.98.33+rev1", "balena-os"],
    ["single quotes", "ID='alpine'\nPRETTY_NAME='Alpine Linux v3.20'\n", "Alpine Linux v3.20", "alpine"],
    ["no quotes, and no line's end at the end", "ID=arch\nPRETTY_NAME=Arch", "Arch", "arch"],
    ["comments and empty lines", "# a comment\n\nID=x\n", "Linux", "x"],
    ["an equals sign in a value", 'PRETTY_NAME="a=b"\nID=x\n', "a=b", "x"],
    ["an empty file", "", "Linux", "linux"],
    ["no file", undefined, "Linux", "linux"],
  ])("has an operating system, from os-release: %s", async (_, text, osVersion, osSlug) => {
    expect(machineFacts(await hostWith(text))).toMatchObject({ osVersion, osSlug });
  });
});

describe("what changes while it runs", () => {
  test("addresses are those by which one can reach it", () => {
    const addresses = nodeSystem("/", () => Date.now()).addresses();
    const all = Object.values(networkInterfaces()).flatMap((one) => one ?? []);
    for (const address of addresses) {
      expect(all.some((one) => one.address === address && !one.internal)).toBe(true);
      expect(address).not.toMatch(/^(127\.|::1$|fe80:|169\.254\.)/);
    }
  });

  test("MAC addresses are written in capitals, each once", () => {
    const addresses = nodeSystem("/", () => Date.now()).macAddresses();
    expect(new Set(addresses).size).toBe(addresses.length);
    for (const address of addresses) expect(address).toMatch(/^([0-9A-F]{2}:){5}[0-9A-F]{2}$/);
  });

  test("when it booted does not move", () => {
    let now = Date.now();
    const system = nodeSystem("/", () => now);
    const booted = system.bootedAt();
    expect(Math.abs(booted - (Date.now() - uptime() * 1000))).toBeLessThan(5000);
    now += 86_400_000;
    expect(system.bootedAt()).toBe(booted);
  });

  test("the VPN is up while balenaOS has its note of that", async () => {
    const root = await hostWith(undefined);
    const system = nodeSystem(root, () => 0);
    expect(system.vpnIsUp()).toBe(false);
    await mkdir(join(root, "run/openvpn/vpn_status"), { recursive: true });
    await writeFile(join(root, "run/openvpn/vpn_status/active"), "");
    expect(system.vpnIsUp()).toBe(true);
  });

  test("answers are the same within some seconds: listing is dear", () => {
    let now = 0;
    const system = nodeSystem("/", () => now);
    const first = system.addresses();
    now += 4000;
    expect(system.addresses()).toEqual(first);
    now += 10_000;
    expect(system.addresses()).toEqual(first);
  });
});
