import * as z from "zod";
import { sameJson, type Json } from "../model/json.ts";
import { Bytes, Decimal, Duration, Flag, Integer, StringMap, Strings, Text, parsed, parsedEach } from "./quantities.ts";

/** A compose field that the engine stores unchanged: its schema and its default. */
export interface Setting {
  /** Parses and normalizes all spellings of compose. */
  readonly schema: z.ZodType<Json>;
  /** The value if compose does not set the field. */
  readonly absent: Json;
  /** Normalizes a value that was read from the engine, so that equal values compare as equal. */
  normalize(raw: unknown): Json;
}

const text = (absent = ""): Setting => ({
  absent,
  schema: Text,
  normalize: (raw) => (typeof raw === "string" && raw !== "" ? raw : absent),
});

const flag = (absent = false): Setting => ({
  absent,
  schema: Flag,
  normalize: (raw) => (typeof raw === "boolean" ? raw : absent),
});

/** `positive`: the engine treats 0 and negative numbers as "not set". */
const number = (schema: z.ZodType<number>, { absent = 0, positive = false } = {}): Setting => {
  const normalize = (value: unknown) => (typeof value === "number" && (value > 0 || !positive) ? value : absent);
  return { absent, schema: schema.transform(normalize), normalize };
};

/** A list of words. `sorted`: the order has no meaning. `each` normalizes a word. */
const words = ({
  schema = Strings,
  sorted = false,
  each = (word) => word,
}: { schema?: z.ZodType<readonly string[]>; sorted?: boolean; each?: (word: string) => string } = {}): Setting => {
  const normal = (list: readonly string[]) => {
    const kept = [...new Set(list.map(each))];
    return sorted ? kept.sort() : kept;
  };
  return {
    absent: [],
    schema: schema.transform(normal),
    normalize: (raw) => normal(Array.isArray(raw) ? raw.map(String) : []),
  };
};

/** Texts that each describe an object of the engine. The order has no meaning. Duplicates are kept. */
const texts = (schema: z.ZodType<readonly string[]>): Setting => ({
  absent: [],
  schema: schema.transform((list) => [...list].sort()),
  normalize: (raw) => (Array.isArray(raw) ? raw.map(String).sort() : []),
});

const map = (): Setting => ({
  absent: {},
  schema: StringMap,
  normalize: (raw) => (typeof raw === "object" && raw !== null ? { ...raw } : {}),
});

const capability = (name: string) => name.toUpperCase().replace(/^CAP_/, "");

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

const table = {
  cap_add: words({ sorted: true, each: capability }),
  cap_drop: words({ sorted: true, each: capability }),
  cgroup_parent: text(),
  cpu_quota: number(Integer),
  cpu_shares: number(Integer),
  cpus: number(Decimal.transform((cpus) => Math.round(cpus * 1e9))),
  cpuset: text(),
  device_cgroup_rules: words({ sorted: true }),
  devices: texts(Devices),
  dns: words(),
  dns_opt: words(),
  dns_search: words(),
  domainname: text(),
  extra_hosts: words({ schema: Hosts, sorted: true }),
  group_add: words({ sorted: true }),
  init: flag(),
  ipc: text("shareable"),
  mac_address: text(),
  mem_limit: number(Bytes),
  mem_reservation: number(Bytes),
  oom_kill_disable: flag(),
  oom_score_adj: number(Integer),
  pid: text(),
  pids_limit: number(Integer, { positive: true }),
  privileged: flag(),
  read_only: flag(),
  security_opt: words({ sorted: true }),
  shm_size: number(Bytes, { absent: 64 * 2 ** 20, positive: true }),
  stop_grace_period: number(
    Duration.transform((nanos) => Math.ceil(nanos / 1e9)),
    { absent: 10 },
  ),
  storage_opt: map(),
  sysctls: map(),
  tty: flag(true),
  ulimits: texts(Ulimits),
  userns_mode: text(),
} satisfies Readonly<Record<string, Setting>>;

export const settings: Readonly<Record<string, Setting>> = table;

/** Also includes settings that only feature labels set, without a compose field. */
export const everySetting: Readonly<Record<string, Setting>> = { ...table, gpu: flag() };
export type SettingName = keyof typeof table | "gpu";

/** The default of each setting. */
export const settingDefaults: Readonly<Record<string, Json>> = Object.fromEntries(
  Object.entries(everySetting).map(([key, { absent }]) => [key, absent]),
);

/**
 * Removes values that are not compared: the engine adds "label=disable" to containers that are privileged or share the
 * host's process or IPC namespace.
 */
export function comparable(values: Readonly<Record<string, Json>>): Readonly<Record<string, Json>> {
  const { privileged, pid, ipc, security_opt } = values;
  return Array.isArray(security_opt) && (privileged === true || pid === "host" || ipc === "host")
    ? { ...values, security_opt: security_opt.filter((option) => option !== "label=disable") }
    : values;
}

/** The parsed settings that differ from their default. */
export const notDefault = (values: Readonly<Record<string, unknown>>): Record<string, Json> =>
  Object.fromEntries(
    Object.entries(settings).flatMap(([key, { absent }]) => {
      const value = values[key] as Json | undefined;
      return value === undefined || value === null || sameJson(value, absent) ? [] : [[key, value]];
    }),
  );
