import { existsSync, readFileSync, readlinkSync } from "node:fs";
import { networkInterfaces, release, uptime, type NetworkInterfaceInfo } from "node:os";
import { join } from "node:path";
import type { System } from "../core/ports/system.ts";
import { balenaArchitecture, deviceType } from "./device-type.ts";

// Other machines cannot reach the device through interfaces that the engine makes for containers.
const virtual = /^(docker|br-|veth|supervisor|resin|balena|virbr|lo)/;

/** The list of interfaces is cached, because it changes seldom and takes most of the time of an API response. */
const keptMs = 5_000;

/** This file exists while balenaOS's VPN is connected. Source: meta-balena, upscript.sh of openvpn. */
const vpnNote = "run/openvpn/vpn_status/active";

/** The machine's addresses, its boot time and the state of its VPN, read from the operating system. */
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
  const bootId = readBootId() ?? String(Math.round(bootedAt));
  return {
    addresses: () =>
      interfaces()
        .map(({ address }) => address)
        .filter((address) => !/^(fe80:|169\.254\.)/i.test(address)),
    macAddresses: () => [...new Set(interfaces().map(({ mac }) => mac.toUpperCase()))],
    bootedAt: () => bootedAt,
    bootId: () => bootId,
    timeZone: () => timeZoneOf(hostRoot) ?? new Intl.DateTimeFormat().resolvedOptions().timeZone,
    vpnIsUp: () => existsSync(join(hostRoot, vpnNote)),
  };
}

/** Source: random(4). It is the same in a container. */
function readBootId(): string | undefined {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return undefined;
  }
}

/** The zone to which the link /etc/localtime leads. Source: localtime(5). In a container, it is not the one of this process. */
function timeZoneOf(hostRoot: string): string | undefined {
  try {
    const target = readlinkSync(join(hostRoot, "etc/localtime"));
    return /\/zoneinfo\/(?:posix\/|right\/)?(\w[\w+/-]*)$/.exec(target)?.[1];
  } catch {
    return undefined;
  }
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

/** balena's cloud refuses devices with an older version of balenaOS. It applies this limit to any operating system. */
const oldestForFleets = [2, 11, 0] as const;

/**
 * The version in a form that balena-semver parses. For balenaOS it is the full name. For other systems it is VERSION_ID as
 * three numbers (`24.04` becomes 24.4.0). Undefined if a cloud would refuse it, or if there is none (rolling releases).
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
