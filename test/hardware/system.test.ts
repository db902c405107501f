import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { networkInterfaces, release, tmpdir, uptime } from "node:os";
import { join } from "node:path";
import { satisfies } from "balena-semver";
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
  test("has an architecture with balena's name, and a kernel", async () => {
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

/** `ID` and `VERSION_ID` as the distributions write them, and the version in reports. */
const systems: readonly [string, string, string | undefined][] = [
  ["Debian 12", 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"', "12.0.0"],
  ["Debian sid, which has no VERSION_ID", 'ID=debian\nPRETTY_NAME="Debian GNU/Linux trixie/sid"', undefined],
  ["Arch, a rolling release", "ID=arch\nBUILD_ID=rolling", undefined],
  ["Ubuntu 24.04", 'ID=ubuntu\nVERSION_ID="24.04"', "24.4.0"],
  ["Alpine", "ID=alpine\nVERSION_ID=3.20.3", "3.20.3"],
  ["Fedora, with a variant of its own", "ID=fedora\nVERSION_ID=40\nVARIANT_ID=server", "40.0.0"],
  ["openSUSE Tumbleweed", 'ID=opensuse-tumbleweed\nVERSION_ID="20261104"', "20261104.0.0"],
  ["NixOS", 'ID=nixos\nVERSION_ID="24.11"', "24.11.0"],
  ["Amazon Linux 2, a number that is too small for every fleet", 'ID=amzn\nVERSION_ID="2"', undefined],
  ["Yocto", "ID=poky\nVERSION_ID=5.0.4+snapshot-0a", "5.0.4"],
  ["a VERSION_ID that is a word", "ID=x\nVERSION_ID=rolling", undefined],
  ["balenaOS", 'ID="balena-os"\nPRETTY_NAME="balenaOS 6.0.12"\nVERSION_ID="6.0.12"', "balenaOS 6.0.12"],
  ["balenaOS with a revision", 'ID="balena-os"\nPRETTY_NAME="balenaOS 2.98.33+rev1"', "balenaOS 2.98.33+rev1"],
  ["no file", "", undefined],
];

describe("the operating system in reports", () => {
  test.each(systems)("%s", async (_, text, version) => {
    const { reportedOsVersion, osVariant } = machineFacts(await hostWith(text));
    expect([reportedOsVersion, osVariant]).toEqual([version, "prod"]);
    // The default range of the public cloud's application types.
    if (reportedOsVersion !== undefined) expect(satisfies(reportedOsVersion, ">=2.11.0")).toBe(true);
  });

  test.each([
    ["as the operating system says", "VARIANT_ID=dev", "dev"],
    ["not for a variant that is another thing", "VARIANT_ID=server", "prod"],
    ["not where it says nothing", "", "prod"],
  ])("is a development variant, %s", async (_, text, variant) => {
    expect(machineFacts(await hostWith(text)).osVariant).toBe(variant);
  });
});

describe("the machine's changing state", () => {
  test("has only addresses by which it can be reached", () => {
    const addresses = nodeSystem("/", () => Date.now()).addresses();
    const all = Object.values(networkInterfaces()).flatMap((one) => one ?? []);
    for (const address of addresses) {
      expect(all.some((one) => one.address === address && !one.internal)).toBe(true);
    }
  });

  test("has a constant boot time", () => {
    let now = Date.now();
    const system = nodeSystem("/", () => now);
    const booted = system.bootedAt();
    expect(Math.abs(booted - (Date.now() - uptime() * 1000))).toBeLessThan(5000);
    now += 86_400_000;
    expect(system.bootedAt()).toBe(booted);
  });

  test.each([
    ["/usr/share/zoneinfo/Europe/Berlin", "Europe/Berlin"],
    ["../usr/share/zoneinfo/America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"],
    ["/usr/share/zoneinfo/posix/Etc/GMT+5", "Etc/GMT+5"],
  ])("has the time zone of the link %s, also after a change", async (link, zone) => {
    const root = await hostWith(undefined);
    const system = nodeSystem(root, () => 0);
    const own = new Intl.DateTimeFormat().resolvedOptions().timeZone;
    expect(system.timeZone()).toBe(own);
    await symlink(link, join(root, "etc/localtime"));
    expect(system.timeZone()).toBe(zone);
  });

  test("has the time zone of the process if the host's is a file without a name", async () => {
    const root = await hostWith(undefined);
    await writeFile(join(root, "etc/localtime"), "TZif2");
    const own = new Intl.DateTimeFormat().resolvedOptions().timeZone;
    expect(nodeSystem(root, () => 0).timeZone()).toBe(own);
  });

  test("has a connected VPN while balenaOS has the file that marks it", async () => {
    const root = await hostWith(undefined);
    const system = nodeSystem(root, () => 0);
    expect(system.vpnIsUp()).toBe(false);
    await mkdir(join(root, "run/openvpn/vpn_status"), { recursive: true });
    await writeFile(join(root, "run/openvpn/vpn_status/active"), "");
    expect(system.vpnIsUp()).toBe(true);
  });

  test("is cached for some seconds, because listing is slow", () => {
    let now = 0;
    const system = nodeSystem("/", () => now);
    const first = system.addresses();
    now += 4000;
    expect(system.addresses()).toEqual(first);
    now += 10_000;
    expect(system.addresses()).toEqual(first);
  });
});
