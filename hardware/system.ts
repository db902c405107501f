import { existsSync, readFileSync } from "node:fs";
import { networkInterfaces, release, uptime, type NetworkInterfaceInfo } from "node:os";
import { join } from "node:path";
import type { System } from "../core/ports/host.ts";
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
  const osVariant = (["dev", "prod"] as const).find((variant) => variant === osRelease["VARIANT_ID"]);
  return {
    arch,
    ...(osVariant && { osVariant }),
    type: deviceType(hostRoot, arch),
    osVersion: osRelease["PRETTY_NAME"] ?? "Linux",
    osSlug: osRelease["ID"] ?? "linux",
    kernelVersion: release(),
  };
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
