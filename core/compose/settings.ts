import * as z from "zod";
import { sameJson, type Json } from "../model/json.ts";
import { Bytes, Decimal, Duration, Flag, Integer, StringMap, Strings, Text, parsed, parsedEach } from "./quantities.ts";

/**
 * The compose fields that need no further thought: what compose may write, and where the engine keeps it.
 * Each row reads back exactly what it wrote, so that comparing never makes a difference that is none.
 */
export interface Setting {
  /** Everything compose may write → one form. */
  readonly schema: z.ZodType<Json>;
  /** Where the engine keeps it, in the words of its API. */
  readonly at: readonly ["Config" | "HostConfig", string];
  /** What holds when compose says nothing. */
  readonly absent: Json;
  toEngine(value: Json): unknown;
  fromEngine(raw: unknown): Json;
}

type Place = Setting["at"];
const same = (value: Json): unknown => value;

const text = (at: Place, absent = ""): Setting => ({
  at,
  absent,
  schema: Text,
  toEngine: same,
  fromEngine: (raw) => (typeof raw === "string" && raw !== "" ? raw : absent),
});

const flag = (at: Place, absent = false): Setting => ({
  at,
  absent,
  schema: Flag,
  toEngine: same,
  fromEngine: (raw) => (typeof raw === "boolean" ? raw : absent),
});

/** `positive` where the engine takes everything else for "nothing said". */
const number = (at: Place, schema: z.ZodType<number>, { absent = 0, positive = false } = {}): Setting => {
  const normal = (value: unknown) => (typeof value === "number" && (value > 0 || !positive) ? value : absent);
  return { at, absent, schema: schema.transform(normal), toEngine: same, fromEngine: normal };
};

/** A list of words. `sorted` where their order means nothing; `each` brings one word to one spelling. */
const words = (
  at: Place,
  {
    schema = Strings,
    sorted = false,
    each = (word) => word,
  }: { schema?: z.ZodType<readonly string[]>; sorted?: boolean; each?: (word: string) => string } = {},
): Setting => {
  const normal = (list: readonly string[]) => {
    const kept = [...new Set(list.map(each))];
    return sorted ? kept.sort() : kept;
  };
  return {
    at,
    absent: [],
    schema: schema.transform(normal),
    toEngine: same,
    fromEngine: (raw) => normal(Array.isArray(raw) ? raw.map(String) : []),
  };
};

const map = (at: Place): Setting => ({
  at,
  absent: {},
  schema: StringMap,
  toEngine: same,
  fromEngine: (raw) => (typeof raw === "object" && raw !== null ? { ...raw } : {}),
});

const capability = (name: string) => name.toUpperCase().replace(/^CAP_/, "");

/** The engine speaks in lists of objects where compose writes short texts: one text per object, both ways. */
const texts = (
  at: Place,
  schema: z.ZodType<readonly string[]>,
  toObject: (text: string) => object,
  toText: (object: Record<string, unknown>) => string,
): Setting => ({
  at,
  absent: [],
  schema: schema.transform((list) => [...list].sort()),
  toEngine: (value) => (Array.isArray(value) ? value.map((text) => toObject(String(text))) : []),
  fromEngine: (raw) => (Array.isArray(raw) ? raw.map((object) => toText(object)).sort() : []),
});

/** "/dev/a:/dev/b:rwm" with all three parts written out. */
const Devices = z.array(
  parsed('a device such as "/dev/a:/dev/b:rwm"', (text) => {
    const [host, inside, permissions = "rwm", ...rest] = text.split(":");
    return host && rest.length === 0 ? [host, inside || host, permissions].join(":") : undefined;
  }),
);

const Limit = z.union(
  [Integer.transform((both) => ({ soft: both, hard: both })), z.object({ soft: Integer, hard: Integer })],
  { error: "expected a whole number, or an object with soft and hard" },
);
/** `{ nofile: 1024 }` or `{ nofile: { soft, hard } }` → "nofile=soft:hard". */
const Ulimits = z
  .record(z.string(), Limit)
  .transform((limits) => Object.entries(limits).map(([name, { soft, hard }]) => `${name}=${soft}:${hard}`));

/** `["name:ip"]`, `["name=ip"]` or `{ name: ip }` → "name:ip". One name may have several addresses. */
const Hosts = parsedEach(
  z.union(
    [
      z.array(z.string()),
      z
        .record(z.string(), Strings)
        .transform((hosts) => Object.entries(hosts).flatMap(([name, ips]) => ips.map((ip) => `${name}:${ip}`))),
    ],
    { error: 'expected an object, or a list of "name:value"' },
  ),
  'a host such as "name:192.0.2.1"',
  (text) => {
    const [, name, ip] = /^([^\s:=]+)[:=]\[?([\da-f.:%]+|host-gateway)\]?$/i.exec(text) ?? [];
    return name && ip && `${name}:${ip}`;
  },
);

export const settings: Readonly<Record<string, Setting>> = {
  cap_add: words(["HostConfig", "CapAdd"], { sorted: true, each: capability }),
  cap_drop: words(["HostConfig", "CapDrop"], { sorted: true, each: capability }),
  cgroup_parent: text(["HostConfig", "CgroupParent"]),
  cpu_quota: number(["HostConfig", "CpuQuota"], Integer),
  cpu_shares: number(["HostConfig", "CpuShares"], Integer),
  cpus: number(
    ["HostConfig", "NanoCpus"],
    Decimal.transform((cpus) => Math.round(cpus * 1e9)),
  ),
  cpuset: text(["HostConfig", "CpusetCpus"]),
  device_cgroup_rules: words(["HostConfig", "DeviceCgroupRules"], { sorted: true }),
  devices: texts(
    ["HostConfig", "Devices"],
    Devices,
    (text) => {
      const [PathOnHost, PathInContainer, CgroupPermissions] = text.split(":");
      return { PathOnHost, PathInContainer, CgroupPermissions };
    },
    (device) => `${device["PathOnHost"]}:${device["PathInContainer"]}:${device["CgroupPermissions"]}`,
  ),
  dns: words(["HostConfig", "Dns"]),
  dns_opt: words(["HostConfig", "DnsOptions"]),
  dns_search: words(["HostConfig", "DnsSearch"]),
  domainname: text(["Config", "Domainname"]),
  extra_hosts: words(["HostConfig", "ExtraHosts"], { schema: Hosts, sorted: true }),
  group_add: words(["HostConfig", "GroupAdd"], { sorted: true }),
  init: flag(["HostConfig", "Init"]),
  ipc: text(["HostConfig", "IpcMode"], "shareable"),
  mac_address: text(["Config", "MacAddress"]),
  mem_limit: number(["HostConfig", "Memory"], Bytes),
  mem_reservation: number(["HostConfig", "MemoryReservation"], Bytes),
  oom_kill_disable: flag(["HostConfig", "OomKillDisable"]),
  oom_score_adj: number(["HostConfig", "OomScoreAdj"], Integer),
  pid: text(["HostConfig", "PidMode"]),
  pids_limit: number(["HostConfig", "PidsLimit"], Integer, { positive: true }),
  privileged: flag(["HostConfig", "Privileged"]),
  read_only: flag(["HostConfig", "ReadonlyRootfs"]),
  security_opt: words(["HostConfig", "SecurityOpt"], { sorted: true }),
  shm_size: number(["HostConfig", "ShmSize"], Bytes, { absent: 64 * 2 ** 20, positive: true }),
  stop_grace_period: number(
    ["Config", "StopTimeout"],
    Duration.transform((nanos) => Math.ceil(nanos / 1e9)),
    { absent: 10 },
  ),
  storage_opt: map(["HostConfig", "StorageOpt"]),
  sysctls: map(["HostConfig", "Sysctls"]),
  tty: flag(["Config", "Tty"], true),
  ulimits: texts(
    ["HostConfig", "Ulimits"],
    Ulimits,
    (text) => {
      const [Name, soft, hard] = text.split(/[=:]/);
      return { Name, Soft: Number(soft), Hard: Number(hard) };
    },
    (limit) => `${limit["Name"]}=${limit["Soft"]}:${limit["Hard"]}`,
  ),
  userns_mode: text(["HostConfig", "UsernsMode"]),
};

/** Settings that come from feature labels only; compose has no word for them. */
export const labelSettings: Readonly<Record<string, Setting>> = {
  gpu: {
    ...flag(["HostConfig", "DeviceRequests"]),
    toEngine: (value) => (value ? [{ Driver: "", Count: 1, DeviceIDs: [], Capabilities: [["gpu"]], Options: {} }] : []),
    fromEngine: (raw) => JSON.stringify(raw ?? []).includes('"gpu"'),
  },
};

export const everySetting: Readonly<Record<string, Setting>> = { ...settings, ...labelSettings };

/** What holds for each when nothing is said. */
export const settingDefaults: Readonly<Record<string, Json>> = Object.fromEntries(
  Object.entries(everySetting).map(([key, { absent }]) => [key, absent]),
);

/**
 * Settings without what makes no difference: the engine adds "label=disable" by itself to containers that are
 * privileged or share the host's processes or memory.
 */
export function comparable(values: Readonly<Record<string, Json>>): Readonly<Record<string, Json>> {
  const { privileged, pid, ipc, security_opt } = values;
  return Array.isArray(security_opt) && (privileged === true || pid === "host" || ipc === "host")
    ? { ...values, security_opt: security_opt.filter((option) => option !== "label=disable") }
    : values;
}

/** Parsed values → those of the table that say something else than the default. */
export const notDefault = (values: Readonly<Record<string, unknown>>): Record<string, Json> =>
  Object.fromEntries(
    Object.entries(settings).flatMap(([key, { absent }]) => {
      const value = values[key] as Json | undefined;
      return value === undefined || value === null || sameJson(value, absent) ? [] : [[key, value]];
    }),
  );
