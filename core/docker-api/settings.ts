import { everySetting, type SettingName } from "../compose/settings.ts";
import type { ContainerSpec } from "../model/container.ts";
import { own, sameJson, type Json } from "../model/json.ts";

type Section = "Config" | "HostConfig";

/** The place and form of a setting in the engine's API. Each row reads exactly the value that it wrote. */
interface EngineSetting<Read = unknown> {
  readonly at: readonly [Section, property: string];
  readonly toEngine: (value: Json) => unknown;
  readonly fromEngine: (raw: unknown) => Read;
}

const same = <T>(value: T): T => value;
const config = (property: string): EngineSetting => ({ at: ["Config", property], toEngine: same, fromEngine: same });
const host = (property: string): EngineSetting => ({ at: ["HostConfig", property], toEngine: same, fromEngine: same });

/** A setting that is a list of short texts in a composition and a list of objects on the engine. */
const hostObjects = (
  property: string,
  toObject: (text: string) => object,
  toText: (object: Record<string, unknown>) => string,
): EngineSetting => ({
  at: ["HostConfig", property],
  toEngine: (value) => (Array.isArray(value) ? value.map((text) => toObject(String(text))) : []),
  fromEngine: (raw) => (Array.isArray(raw) ? raw.map((object) => toText(object)) : []),
});

const table: Readonly<Record<SettingName, EngineSetting>> = {
  cap_add: host("CapAdd"),
  cap_drop: host("CapDrop"),
  cgroup_parent: host("CgroupParent"),
  cpu_quota: host("CpuQuota"),
  cpu_shares: host("CpuShares"),
  cpus: host("NanoCpus"),
  cpuset: host("CpusetCpus"),
  device_cgroup_rules: host("DeviceCgroupRules"),
  devices: hostObjects(
    "Devices",
    (text) => {
      const [PathOnHost, PathInContainer, CgroupPermissions] = text.split(":");
      return { PathOnHost, PathInContainer, CgroupPermissions };
    },
    (device) => `${device["PathOnHost"]}:${device["PathInContainer"]}:${device["CgroupPermissions"]}`,
  ),
  dns: host("Dns"),
  dns_opt: host("DnsOptions"),
  dns_search: host("DnsSearch"),
  domainname: config("Domainname"),
  extra_hosts: host("ExtraHosts"),
  gpu: {
    at: ["HostConfig", "DeviceRequests"],
    toEngine: (value) => (value ? [{ Driver: "", Count: 1, DeviceIDs: [], Capabilities: [["gpu"]], Options: {} }] : []),
    fromEngine: (raw) => JSON.stringify(raw ?? []).includes('"gpu"'),
  },
  group_add: host("GroupAdd"),
  init: host("Init"),
  ipc: host("IpcMode"),
  mac_address: config("MacAddress"),
  mem_limit: host("Memory"),
  mem_reservation: host("MemoryReservation"),
  oom_kill_disable: host("OomKillDisable"),
  oom_score_adj: host("OomScoreAdj"),
  pid: host("PidMode"),
  pids_limit: host("PidsLimit"),
  privileged: host("Privileged"),
  read_only: host("ReadonlyRootfs"),
  security_opt: host("SecurityOpt"),
  shm_size: host("ShmSize"),
  stop_grace_period: config("StopTimeout"),
  storage_opt: host("StorageOpt"),
  sysctls: host("Sysctls"),
  tty: config("Tty"),
  ulimits: hostObjects(
    "Ulimits",
    (text) => {
      const [Name, soft, hard] = text.split(/[=:]/);
      return { Name, Soft: Number(soft), Hard: Number(hard) };
    },
    (limit) => `${limit["Name"]}=${limit["Soft"]}:${limit["Hard"]}`,
  ),
  userns_mode: host("UsernsMode"),
};

/** Settings that are always sent, since a daemon's configuration may change the engine's default. */
const explicit = new Set(["tty", "ipc", "stop_grace_period", "shm_size"]);

/** All settings. `fromEngine` returns values in the normal form for comparison. */
export const engineSettings: Readonly<Record<string, EngineSetting<Json> & { readonly absent: Json }>> =
  Object.fromEntries(
    Object.entries(everySetting).flatMap(([key, { absent, normalize }]) => {
      const row = own<EngineSetting>(table, key);
      return row ? [[key, { ...row, absent, fromEngine: (raw: unknown) => normalize(row.fromEngine(raw)) }]] : [];
    }),
  );

export function toEngineSettings(settings: ContainerSpec["settings"]): Record<Section, Record<string, unknown>> {
  const sections: Record<Section, Record<string, unknown>> = { Config: {}, HostConfig: {} };
  for (const [key, { at, absent, toEngine }] of Object.entries(engineSettings))
    // Other settings are sent only if they are set: an engine refuses fields that it does not know.
    if (key in settings || explicit.has(key)) sections[at[0]][at[1]] = toEngine(settings[key] ?? absent);
  return sections;
}

export const fromEngineSettings = (
  sections: Readonly<Record<Section, Readonly<Record<string, unknown>>>>,
): ContainerSpec["settings"] =>
  Object.fromEntries(
    Object.entries(engineSettings).flatMap(([key, { at, absent, fromEngine }]) => {
      const value = fromEngine(sections[at[0]][at[1]]);
      return sameJson(value, absent) ? [] : [[key, value]];
    }),
  );
