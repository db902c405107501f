import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Missing } from "../core/ports/index.ts";

/** A piece of the host by which the agent works: what stands still without it, and how to have it. */
export interface Piece {
  readonly name: string;
  readonly without: string;
  readonly toHaveIt: string;
}

export const pieces = {
  engine: {
    name: "engine",
    without: "nothing runs",
    toHaveIt: "install Docker or balenaEngine and start it, or set DOCKER_HOST",
  },
  bus: {
    name: "system bus",
    without: "no reboot, no shutdown, no new name for the host",
    toHaveIt:
      "start dbus; in a container, mount the host's / and give it as --host-root; or set DBUS_SYSTEM_BUS_ADDRESS",
  },
  logind: {
    name: "systemd-logind",
    without: "no reboot, no shutdown",
    toHaveIt: "start systemd-logind.service, and run the agent as root",
  },
  hostnamed: {
    name: "systemd-hostnamed",
    without: "the host's name is neither read nor set",
    toHaveIt: "install systemd-hostnamed (Debian: in the package systemd)",
  },
  configJson: {
    name: "config.json",
    without: "no new name for the host",
    toHaveIt: "give balenaOS's config.json as --config",
  },
  avahi: {
    name: "avahi-daemon",
    without: "the host is not found as <name>.local",
    toHaveIt: "apt-get install avahi-daemon",
  },
  journal: {
    name: "journalctl",
    without: "no POST /v2/journal-logs",
    toHaveIt: "let the host run systemd-journald; in a container, mount the host's / and give it as --host-root",
  },
  led: {
    name: "LED",
    without: "no blinking",
    toHaveIt:
      "set LED_FILE to a brightness file such as /sys/class/leds/ACT/brightness, or LED_GPIO to a line of a GPIO chip",
  },
  redsocks: {
    name: "redsocks",
    without: "no proxy",
    toHaveIt: "apt-get install redsocks",
  },
  iptables: {
    name: "iptables",
    without: "no proxy, no firewall",
    toHaveIt:
      "apt-get install iptables iproute2, run the agent as root, and with --iptables yes on an engine in memory",
  },
  bootConfig: {
    name: "boot configuration",
    without: "no HOST_CONFIG_ variables",
    toHaveIt: "on a Raspberry Pi, give its config.txt as --boot-config",
  },
} as const satisfies Readonly<Record<string, Piece>>;

/** For a port that lacks this piece. */
export const missing = ({ name, without, toHaveIt }: Piece): Missing => ({
  missing: `There is no ${name} here: ${without}. To have it: ${toHaveIt}`,
});

/** The address of the host's system bus; undefined when there is none. */
export function findBus(hostRoot: string): string | undefined {
  // The last one is where a container with the label io.balena.features.dbus finds it.
  const sockets = [join(hostRoot, "run/dbus/system_bus_socket"), "/host/run/dbus/system_bus_socket"];
  const socket = sockets.find((file) => existsSync(file));
  return socket === undefined ? undefined : `unix:path=${socket}`;
}

/** Where balenaOS keeps its config.json; undefined when it is not there. */
export function findBalenaConfig(hostRoot: string): string | undefined {
  const file = join(hostRoot, "mnt/boot/config.json");
  return existsSync(file) ? file : undefined;
}

/**
 * Folders on the file systems that hold images and volumes: balenaOS's, or those that the engine names, or Docker's.
 */
export function findStorage(hostRoot: string, ofEngine: readonly string[]): readonly string[] {
  const existing = (folders: readonly string[]) =>
    folders.map((path) => join(hostRoot, path)).filter((path) => existsSync(path));
  const candidates = [["mnt/data"], ofEngine, ["var/lib/docker"]].map(existing);
  return candidates.find((folders) => folders.length > 0) ?? [hostRoot];
}
