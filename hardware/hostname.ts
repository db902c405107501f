import { readFile } from "node:fs/promises";
import { hostname as systemHostname } from "node:os";
import { join } from "node:path";
import { parseJson } from "../core/model/json.ts";
import type { Hostname, ReadableHostname } from "../core/ports/hostname.ts";
import type { Missing } from "../core/ports/index.ts";
import type { Bus } from "./bus.ts";
import { readIfThere, replaceFile } from "./replace-file.ts";
import { restartIfRunning } from "./units.ts";

const hostname1 = { service: "org.freedesktop.hostname1", path: "/org/freedesktop/hostname1" };
const properties = { ...hostname1, interface: "org.freedesktop.DBus.Properties" };

/** The host name on a systemd machine, through systemd-hostnamed. Source: org.freedesktop.hostname1(5). */
export const hostnamed = (bus: Bus): Hostname => ({
  async read() {
    const property = async (name: string) =>
      String(await bus.call({ ...properties, member: "Get" }, "ss", hostname1.service, name));
    return (await property("StaticHostname")) || property("Hostname");
  },

  async write(name) {
    const set = { ...hostname1, interface: "org.freedesktop.hostname1", member: "SetStaticHostname" };
    await bus.call(set, "sb", name, false);
    // avahi-daemon announces the old name until it is restarted.
    await restartIfRunning(bus, "avahi-daemon.service");
  },
});

/**
 * The host name on a balenaOS machine. The OS applies `hostname` of config.json some seconds after a change.
 * Source: meta-balena, os-config-json and balena-hostname.
 */
export const balenaHostname = (configJson: string, hostRoot: string): Hostname => ({
  read: async () => (await readFile(join(hostRoot, "etc/hostname"), "utf8")).trim(),

  async write(hostname) {
    // The file holds secret keys, and the message of `JSON.parse` would quote them.
    const config = parseJson(await readFile(configJson, "utf8"));
    if (typeof config !== "object" || config === null || Array.isArray(config))
      throw new Error(`${configJson} does not contain a JSON object`);
    await replaceFile(configJson, JSON.stringify({ ...config, hostname }, undefined, 2));
  },
});

/** The host name without hostnamed: from the host's /etc/hostname if its root is mounted, otherwise from the kernel. */
export async function machineName(hostRoot: string): Promise<string> {
  const stated = hostRoot === "/" ? undefined : await readIfThere(join(hostRoot, "etc/hostname"));
  return stated?.trim() || systemHostname();
}

/** The host name on a machine where it can be read but not set. */
export const unsettableHostname = (hostRoot: string, lack: Missing): Missing & ReadableHostname => ({
  ...lack,
  read: () => machineName(hostRoot),
});
