import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Missing } from "../core/ports/index.ts";

/** A part of the host that the agent uses, the effect if it is missing, and how to fix that. */
export interface Piece {
  readonly name: string;
  readonly effect: string;
  readonly fix: string;
}

export const pieces = {
  engine: {
    name: "engine",
    effect: "nothing runs",
    fix: "install Docker or balenaEngine and start it, or set DOCKER_HOST",
  },
  bus: {
    name: "system bus",
    effect: "no reboot, no shutdown, no new name for the host",
    fix: "start dbus; in a container, mount the host's / and give it as --host-root; or set DBUS_SYSTEM_BUS_ADDRESS",
  },
  logind: {
    name: "systemd-logind",
    effect: "no reboot, no shutdown",
    fix: "start systemd-logind.service, and run the agent as root",
  },
  hostnamed: {
    name: "systemd-hostnamed",
    effect: "the host's name is neither read nor set",
    fix: "install systemd-hostnamed (Debian: in the package systemd)",
  },
  configJson: {
    name: "config.json",
    effect: "no new name for the host",
    fix: "give balenaOS's config.json as --config",
  },
  avahi: {
    name: "avahi-daemon",
    effect: "the host is not found as <name>.local",
    fix: "apt-get install avahi-daemon",
  },
  journal: {
    name: "journalctl",
    effect: "no POST /v2/journal-logs",
    fix: "let the host run systemd-journald; in a container, mount the host's / and give it as --host-root",
  },
  led: {
    name: "LED",
    effect: "no blinking",
    fix: "set LED_FILE to a brightness file such as /sys/class/leds/ACT/brightness, or LED_GPIO to a line of a GPIO chip",
  },
  redsocks: {
    name: "redsocks",
    effect: "no proxy",
    fix: "apt-get install redsocks",
  },
  iptables: {
    name: "iptables",
    effect: "no proxy, no firewall",
    fix: "apt-get install iptables iproute2, run the agent as root, and with --iptables yes on an engine in memory",
  },
  bootConfig: {
    name: "boot configuration",
    effect: "no HOST_CONFIG_ variables",
    fix: "on a Raspberry Pi, give its config.txt as --boot-config",
  },
} as const satisfies Readonly<Record<string, Piece>>;

/** The value of a port on a machine without this piece. */
export const missing = ({ name, effect, fix }: Piece): Missing => ({
  missing: `There is no ${name} here: ${effect}. To have it: ${fix}`,
});

/** The address of the host's system bus. Undefined if there is none. */
export function findBus(hostRoot: string): string | undefined {
  // The last path is for an agent in a container with the label io.balena.features.dbus.
  const sockets = [join(hostRoot, "run/dbus/system_bus_socket"), "/host/run/dbus/system_bus_socket"];
  const socket = sockets.find((file) => existsSync(file));
  return socket === undefined ? undefined : `unix:path=${socket}`;
}

/** The path of balenaOS's config.json. Undefined if the file does not exist. */
export function findBalenaConfig(hostRoot: string): string | undefined {
  const file = join(hostRoot, "mnt/boot/config.json");
  return existsSync(file) ? file : undefined;
}

/**
 * Folders on the file systems with images and volumes. The first that exist: balenaOS's, the engine's own, Docker's default.
 */
export function findStorage(hostRoot: string, ofEngine: readonly string[]): readonly string[] {
  const candidates = [["mnt/data"], ofEngine, ["var/lib/docker"]].map((folders) => existing(hostRoot, folders));
  return candidates.find((folders) => folders.length > 0) ?? [hostRoot];
}

/** Those of these folders of the host that exist, as this process sees them. */
export const existing = (hostRoot: string, folders: readonly string[]): readonly string[] =>
  folders.map((path) => join(hostRoot, path)).filter((path) => existsSync(path));
