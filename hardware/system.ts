import { existsSync, readFileSync } from "node:fs";
import { networkInterfaces, release, uptime, type NetworkInterfaceInfo } from "node:os";
import { join } from "node:path";
import type { System } from "../core/ports/system.ts";
import { balenaArchitecture, deviceType } from "./device-type.ts";

// What the engine makes for containers is no way to reach the device.
const virtual = /^(docker|br-|veth|supervisor|resin|balena|virbr|lo)/;

/** Interfaces change seldom, and listing them costs more than all the rest of an answer. */
const keptMs = 5_000;

/** balenaOS has this file as long as its VPN is connected. Source: meta-balena, upscript.sh of openvpn. */
const vpnNote = "run/openvpn/vpn_status/active";

/** Addresses, when the machine started, and whether its VPN is up, as the operating system tells. */
export function nodeSystem(hostRoot: string, now: () => number): System {
  let listed: { readonly at: number; readonly all: readonly NetworkInterfaceInfo[] } | undefined;
  const interfaces = () => {
    if (!listed || now() - listed.at > keptMs)
      listed = {
        at: now(),
        all: Object.entries(networkInterfaces())
          .filter(([name]) => !virtual.test(name))
          .flatMap(([, addresses]) => addresses ?? [])
          .filter(({ internal }) => !internal),
      };
    return listed.all;
  };
  const bootedAt = now() - uptime() * 1000;
  return {
    addresses: () =>
      interfaces()
        .map(({ address }) => address)
        .filter((address) => !/^(fe80:|169\.254\.)/i.test(address)),
    macAddresses: () => [...new Set(interfaces().map(({ mac }) => mac.toUpperCase()))],
    bootedAt: () => bootedAt,
    vpnIsUp: () => existsSync(join(hostRoot, vpnNote)),
  };
}

/** The machine's architecture, operating system and kernel. Source: os-release(5). */
export function machineFacts(hostRoot: string) {
  const osRelease = readOsRelease(join(hostRoot, "etc/os-release"));
  const arch = balenaArchitecture();
  const variant = (["dev", "prod"] as const).find((one) => one === osRelease["VARIANT_ID"]);
  const reportedOsVersion = semanticVersion(osRelease);
  return {
    arch,
    osVariant: variant ?? "prod",
    type: deviceType(hostRoot, arch),
    osVersion: osRelease["PRETTY_NAME"] ?? "Linux",
    ...(reportedOsVersion && { reportedOsVersion }),
    osSlug: osRelease["ID"] ?? "linux",
    kernelVersion: release(),
  };
}

/** No fleet of the public cloud takes a device with an older operating system; what it means by that is balenaOS. */
const oldestForFleets = [2, 11, 0] as const;

/**
 * The version as balena-semver reads it: balenaOS by its full name, any other system by the three numbers of its VERSION_ID
 * (`24.04` is 24.4.0). Undefined where a cloud would refuse the device for it: a rolling release has none.
 */
function semanticVersion(osRelease: Readonly<Record<string, string>>): string | undefined {
  if (osRelease["ID"] === "balena-os") return osRelease["PRETTY_NAME"];
  const [, ...parts] = /^(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?/.exec(osRelease["VERSION_ID"] ?? "") ?? [];
  if (parts.length === 0) return undefined;
  const version = parts.map((part) => Number(part ?? 0));
  const difference = version.map((number, n) => number - (oldestForFleets[n] ?? 0)).find((one) => one !== 0) ?? 0;
  return difference < 0 ? undefined : version.join(".");
}

function readOsRelease(file: string): Readonly<Record<string, string>> {
  try {
    const lines = readFileSync(file, "utf8").split("\n");
    return Object.fromEntries(
      lines
        .map((line) => line.split(/=(.*)/s))
        .map(([name = "", value = ""]) => [name, value.replace(/^["']|["']$/g, "")]),
    );
  } catch {
    return {};
  }
}
