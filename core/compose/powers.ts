import type { Json } from "../model/json.ts";
import { powers, type Power } from "../model/powers.ts";
import type { VolumeSpec } from "../model/network.ts";
import type { Release, Service } from "../model/target.ts";
import { networkModeOf } from "./namespaces.ts";
import { hasFeature } from "./features.ts";

/** Finds the powers over the host that a service asks for. Values that are not known to be harmless count as powers. */

type Asks = (service: Service, app: Pick<Release, "services" | "volumes">) => boolean;

const label =
  (...names: readonly string[]): Asks =>
  ({ config: { labels } }) =>
    names.some((name) => hasFeature(labels, name));

const setting = ({ config }: Service, name: string): Json => config.settings[name] ?? null;
const list = (service: Service, name: string): readonly string[] => {
  const value = setting(service, name);
  return Array.isArray(value) ? value.map(String) : [];
};

/** The host's namespace, or that of a container outside the application, whose powers are unknown. */
const isForeign = (mode: Json): boolean => typeof mode === "string" && /^(host$|(?!service:)[^:]+:)/.test(mode);

/** An engine's default capabilities. Source: Docker's documentation, "Runtime privilege and Linux capabilities". */
const usualCapabilities = new Set(
  "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_CHROOT".split(
    " ",
  ),
);

/** The engine's own profiles, and options that only restrict. Others may allow anything. */
const isConfining = (option: string): boolean =>
  /^(no-new-privileges([:=](true|false))?|apparmor[:=]docker-default|seccomp[:=]builtin)$/.test(option);

const asks: Readonly<Record<Power, Asks>> = {
  privileged: (service) => setting(service, "privileged") === true,
  "host-pid": (service) => isForeign(setting(service, "pid")),
  "host-ipc": (service) => isForeign(setting(service, "ipc")),
  "host-network": (service, app) => isForeign(networkModeOf(service, app)),
  devices: (service, app) =>
    list(service, "devices").length + list(service, "device_cgroup_rules").length > 0 || label("gpu")(service, app),
  capabilities: (service) => list(service, "cap_add").some((one) => !usualCapabilities.has(one)),
  unconfined: (service) =>
    list(service, "security_opt").some((one) => !isConfining(one)) || setting(service, "userns_mode") === "host",
  "engine-socket": label("balena-socket"),
  dbus: label("dbus"),
  "host-files": label("sysfs", "procfs", "kernel-modules", "firmware", "extra-firmware", "journal-logs"),
  "host-binds": (service, app) =>
    label(hostBinds)(service, app) ||
    service.config.mounts.some(({ type, source }) => type === "volume" && isOfHost(app.volumes[source])),
  "cloud-key": label("balena-api"),
};

/** The powers over the host that a service asks for. */
export const powersOf = (service: Service, app: Pick<Release, "services" | "volumes">): readonly Power[] =>
  powers.filter((power) => asks[power](service, app));

/** The powers of each service of an application that asks for any. */
export const powersIn = (app: Pick<Release, "services" | "volumes">): Readonly<Record<string, readonly Power[]>> =>
  Object.fromEntries(
    app.services.flatMap((service) => {
      const asked = powersOf(service, app);
      return asked.length > 0 ? [[service.name, asked]] : [];
    }),
  );

/** A sentence for each service that asks for forbidden powers. It begins with the service's name. */
export const forbiddenOf = (
  asked: Readonly<Record<string, readonly Power[]>>,
  forbidden: readonly Power[],
): readonly string[] =>
  Object.entries(asked).flatMap(([service, powers]) => {
    const both = powers.filter((power) => forbidden.includes(power));
    return both.length > 0 ? [`${service}: the fleet forbids ${both.join(", ")}`] : [];
  });

/** A service with this label may mount folders and devices of the host; the reference implementation mounts none. */
export const hostBinds = "host-binds";

const isOfHost = (volume: VolumeSpec | undefined): boolean => volume !== undefined && hostPartOf(volume) !== undefined;

/** Kinds of file systems that are in memory, or on another machine. */
const harmlessTypes = new Set(["tmpfs", "nfs", "nfs4", "cifs", "smb3"]);
/** With these options, the kernel treats the device as a folder, independent of the type. */
const bindFlags = new Set(["bind", "rbind", "move", "remount"]);

/** The part of the host that a volume shows, according to its driver's options; undefined if there is none. */
export function hostPartOf({ driver, driverOptions }: VolumeSpec): string | undefined {
  const { type = "", device = "", o = "" } = driverOptions;
  // Options of other drivers are unknown. A value that begins with "/" counts as a path of the host.
  if (driver !== "local") return Object.values(driverOptions).find((value) => value.startsWith("/"));
  if (type === "" && device === "" && o === "") return undefined;
  const binds = o.split(",").some((word) => bindFlags.has(word.trim()));
  return harmlessTypes.has(type) && !binds ? undefined : device || type || "options";
}
