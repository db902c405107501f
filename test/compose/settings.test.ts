import { describe, expect, test } from "vitest";
import { settings } from "../../core/compose/settings.ts";
import { engineSettings } from "../../core/docker-api/settings.ts";
import { toCreateOptions } from "../../core/docker-api/container.ts";
import type { Json } from "../../core/model/json.ts";
import { settingValues } from "./arbitraries.ts";
import { configOf, faultsIn } from "./read.ts";
import { plainSpec } from "./specs.ts";

/** A value in compose and its normal form. Undefined is the default, which is not stored. */
const accepted: readonly (readonly [string, unknown, Json | undefined])[] = [
  ["cap_add", ["NET_ADMIN"], ["NET_ADMIN"]],
  ["cap_add", ["SYS_TIME", "NET_ADMIN"], ["NET_ADMIN", "SYS_TIME"]],
  ["cap_add", ["cap_sys_time", "CAP_NET_ADMIN", "net_admin"], ["NET_ADMIN", "SYS_TIME"]],
  ["cap_add", "ALL", ["ALL"]],
  ["cap_add", [], undefined],
  ["cap_add", null, undefined],
  ["cap_drop", ["all"], ["ALL"]],
  ["cgroup_parent", "parent", "parent"],
  ["cgroup_parent", "", undefined],
  ["cpu_quota", 50000, 50000],
  ["cpu_quota", "50000", 50000],
  ["cpu_quota", 0, undefined],
  ["cpu_shares", 512, 512],
  ["cpu_shares", "512", 512],
  ["cpu_shares", 0, undefined],
  ["cpus", 1.5, 1_500_000_000],
  ["cpus", "0.1", 100_000_000],
  ["cpus", 0, undefined],
  ["cpuset", "0-1,3", "0-1,3"],
  ["cpuset", 0, "0"],
  ["device_cgroup_rules", ["c 1:3 rwm", "a 7:* rmw"], ["a 7:* rmw", "c 1:3 rwm"]],
  ["devices", ["/dev/a"], ["/dev/a:/dev/a:rwm"]],
  ["devices", ["/dev/a:/dev/b"], ["/dev/a:/dev/b:rwm"]],
  ["devices", ["/dev/b:/dev/c:r", "/dev/a::rw"], ["/dev/a:/dev/a:rw", "/dev/b:/dev/c:r"]],
  ["devices", [], undefined],
  ["dns", "8.8.8.8", ["8.8.8.8"]],
  ["dns", ["8.8.8.8", "1.1.1.1", "8.8.8.8"], ["8.8.8.8", "1.1.1.1"]],
  ["dns_opt", ["use-vc", "no-tld-query"], ["use-vc", "no-tld-query"]],
  ["dns_search", "example.com", ["example.com"]],
  ["dns_search", ["b.example.com", "a.example.com"], ["b.example.com", "a.example.com"]],
  ["domainname", "example.com", "example.com"],
  ["extra_hosts", ["b:10.0.0.2", "a:10.0.0.1"], ["a:10.0.0.1", "b:10.0.0.2"]],
  ["extra_hosts", { a: "10.0.0.1" }, ["a:10.0.0.1"]],
  ["extra_hosts", ["host.docker.internal:host-gateway"], ["host.docker.internal:host-gateway"]],
  ["extra_hosts", ["a:::1"], ["a:::1"]],
  // The form of compose-go and so of the current balena-cli.
  ["extra_hosts", ["a=10.0.0.1"], ["a:10.0.0.1"]],
  ["extra_hosts", ["a=::1"], ["a:::1"]],
  // One name may have several addresses.
  ["extra_hosts", ["a:10.0.0.1", "a:10.0.0.2"], ["a:10.0.0.1", "a:10.0.0.2"]],
  ["group_add", ["video", 44, "audio"], ["44", "audio", "video"]],
  ["init", true, true],
  ["init", "true", true],
  ["init", false, undefined],
  ["ipc", "host", "host"],
  ["ipc", "private", "private"],
  ["ipc", "shareable", undefined],
  ["mac_address", "02:42:ac:11:00:02", "02:42:ac:11:00:02"],
  ["mem_limit", "64m", 67108864],
  ["mem_limit", 67108864, 67108864],
  ["mem_limit", "67108864", 67108864],
  ["mem_limit", 0, undefined],
  ["mem_reservation", "1.5g", 1610612736],
  ["oom_kill_disable", true, true],
  ["oom_score_adj", -500, -500],
  ["oom_score_adj", "500", 500],
  ["pid", "host", "host"],
  ["pids_limit", 100, 100],
  ["pids_limit", "100", 100],
  ["pids_limit", 0, undefined],
  ["pids_limit", -1, undefined],
  // The engine reads every negative number as "unlimited" and does not store it.
  ["pids_limit", -5, undefined],
  ["privileged", true, true],
  ["privileged", "true", true],
  ["privileged", 1, true],
  ["privileged", "1", true],
  ["privileged", false, undefined],
  ["read_only", true, true],
  ["security_opt", ["no-new-privileges:true"], ["no-new-privileges:true"]],
  ["security_opt", ["seccomp=unconfined", "apparmor=x"], ["apparmor=x", "seccomp=unconfined"]],
  ["shm_size", "128m", 134217728],
  ["shm_size", 67108864, undefined],
  ["shm_size", "64m", undefined],
  ["shm_size", 0, undefined],
  ["stop_grace_period", "1m30s", 90],
  ["stop_grace_period", 30, 30],
  ["stop_grace_period", "1.5s", 2],
  ["stop_grace_period", "0s", 0],
  ["stop_grace_period", "10s", undefined],
  ["storage_opt", { size: "1G" }, { size: "1G" }],
  ["storage_opt", {}, undefined],
  ["sysctls", { "net.core.somaxconn": 1024 }, { "net.core.somaxconn": "1024" }],
  ["sysctls", ["net.core.somaxconn=1024"], { "net.core.somaxconn": "1024" }],
  ["tty", false, false],
  ["tty", "0", false],
  ["tty", true, undefined],
  ["ulimits", { nofile: 1024 }, ["nofile=1024:1024"]],
  ["ulimits", { nofile: "1024" }, ["nofile=1024:1024"]],
  ["ulimits", { nproc: -1, nofile: { soft: 1024, hard: 2048 } }, ["nofile=1024:2048", "nproc=-1:-1"]],
  ["ulimits", { nofile: { soft: "1024", hard: "2048" } }, ["nofile=1024:2048"]],
  ["ulimits", {}, undefined],
  ["userns_mode", "host", "host"],
];

test.each(accepted)("%s: %j is normalized to %j", (field, written, kept) => {
  expect(configOf({ [field]: written }).settings).toEqual(kept === undefined ? {} : { [field]: kept });
});

test("every row of the settings table has a test", () => {
  const read = new Set(accepted.map(([field]) => field));
  expect(Object.keys(settings).filter((field) => !read.has(field))).toEqual([]);
});

const text = "expected a string";
const list = "expected a string or a list of strings";
const whole = "expected a whole number";
const flag = "expected true or false";
const amount = 'expected an amount such as "64m" or a number of bytes';
const duration = 'expected a duration such as "1m30s" or a number of seconds';
const device = 'expected a device such as "/dev/a:/dev/b:rwm"';
const map = 'expected an object, or a list of "name=value"';
const hosts = 'expected an object, or a list of "name:value"';

test.each<[string, unknown, string]>([
  ["cap_add", { a: 1 }, list],
  ["cap_add", [{}], list],
  ["cap_drop", [null], list],
  ["cgroup_parent", {}, text],
  ["cpu_quota", "much", whole],
  ["cpu_shares", 1.5, whole],
  ["cpu_shares", "", whole],
  ["cpus", "two", "expected a number"],
  ["cpuset", true, text],
  ["device_cgroup_rules", {}, list],
  ["devices", "/dev/a", "expected a list"],
  ["dns", {}, list],
  ["dns_opt", {}, list],
  ["dns_search", {}, list],
  ["domainname", [], text],
  ["extra_hosts", "a:1", hosts],
  ["group_add", {}, list],
  ["init", "yes", flag],
  ["ipc", {}, text],
  ["mac_address", {}, text],
  ["mem_limit", "much", amount],
  ["mem_limit", -1, amount],
  ["mem_limit", {}, amount],
  ["mem_reservation", "1x", amount],
  ["oom_kill_disable", 2, flag],
  ["oom_score_adj", "high", whole],
  ["pid", [], text],
  ["pids_limit", "many", whole],
  ["privileged", "yes", flag],
  ["privileged", {}, flag],
  ["read_only", "maybe", flag],
  ["security_opt", {}, list],
  ["shm_size", "large", amount],
  ["stop_grace_period", "soon", duration],
  ["stop_grace_period", -1, duration],
  ["storage_opt", "size=1G", map],
  ["sysctls", "a=1", map],
  ["tty", "yes", flag],
  ["userns_mode", {}, text],
])("%s: %j is refused: %s", (field, written, message) => {
  expect(faultsIn({ [field]: written })).toEqual([`${field}: ${message}, but got ${JSON.stringify(written)}`]);
});

test.each<[unknown]>([[""], [":/dev/b"], ["/dev/a:/dev/b:r:x"], [{}], [null]])("devices: %j is refused", (written) => {
  expect(faultsIn({ devices: ["/dev/null", written] })).toEqual([
    `devices[1]: ${device}, but got ${JSON.stringify(written)}`,
  ]);
});

describe("ulimits are refused with the expected form:", () => {
  test.each<[unknown]>([
    [[]],
    ["nofile=1024"],
    [{ nofile: "many" }],
    [{ nofile: { soft: 1 } }],
    [{ nofile: { soft: 1, hard: "x" } }],
    [{ nofile: null }],
  ])("%j", (ulimits) => {
    const faults = faultsIn({ ulimits });
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatch(/^ulimits[^ ]*: expected /);
  });
});

describe("on the engine", () => {
  /** The place and form of each setting in the body of `POST /containers/create`. */
  test.each<[keyof typeof engineSettings, "Config" | "HostConfig", string, unknown]>([
    ["cap_add", "HostConfig", "CapAdd", ["NET_ADMIN", "SYS_TIME"]],
    ["cap_drop", "HostConfig", "CapDrop", ["ALL"]],
    ["cgroup_parent", "HostConfig", "CgroupParent", "parent"],
    ["cpu_quota", "HostConfig", "CpuQuota", 50000],
    ["cpu_shares", "HostConfig", "CpuShares", 512],
    ["cpus", "HostConfig", "NanoCpus", 1_500_000_000],
    ["cpuset", "HostConfig", "CpusetCpus", "0-1"],
    ["device_cgroup_rules", "HostConfig", "DeviceCgroupRules", ["c 1:3 rwm"]],
    [
      "devices",
      "HostConfig",
      "Devices",
      [
        { PathOnHost: "/dev/null", PathInContainer: "/dev/x", CgroupPermissions: "r" },
        { PathOnHost: "/dev/ttyS0", PathInContainer: "/dev/ttyS0", CgroupPermissions: "rwm" },
      ],
    ],
    ["dns", "HostConfig", "Dns", ["8.8.8.8", "1.1.1.1"]],
    ["dns_opt", "HostConfig", "DnsOptions", ["ndots:1"]],
    ["dns_search", "HostConfig", "DnsSearch", ["example.com"]],
    ["domainname", "Config", "Domainname", "example.com"],
    ["extra_hosts", "HostConfig", "ExtraHosts", ["db:10.0.0.1"]],
    [
      "gpu",
      "HostConfig",
      "DeviceRequests",
      [{ Driver: "", Count: 1, DeviceIDs: [], Capabilities: [["gpu"]], Options: {} }],
    ],
    ["group_add", "HostConfig", "GroupAdd", ["audio", "video"]],
    ["init", "HostConfig", "Init", true],
    ["ipc", "HostConfig", "IpcMode", "private"],
    ["mac_address", "Config", "MacAddress", "02:42:ac:11:00:02"],
    ["mem_limit", "HostConfig", "Memory", 67108864],
    ["mem_reservation", "HostConfig", "MemoryReservation", 33554432],
    ["oom_kill_disable", "HostConfig", "OomKillDisable", true],
    ["oom_score_adj", "HostConfig", "OomScoreAdj", -500],
    ["pid", "HostConfig", "PidMode", "host"],
    ["pids_limit", "HostConfig", "PidsLimit", 100],
    ["privileged", "HostConfig", "Privileged", true],
    ["read_only", "HostConfig", "ReadonlyRootfs", true],
    ["security_opt", "HostConfig", "SecurityOpt", ["no-new-privileges", "seccomp=unconfined"]],
    ["shm_size", "HostConfig", "ShmSize", 1048576],
    ["stop_grace_period", "Config", "StopTimeout", 60],
    ["storage_opt", "HostConfig", "StorageOpt", { size: "1G" }],
    ["sysctls", "HostConfig", "Sysctls", { "net.core.somaxconn": "1024" }],
    ["tty", "Config", "Tty", false],
    [
      "ulimits",
      "HostConfig",
      "Ulimits",
      [
        { Name: "nofile", Soft: 1024, Hard: 2048 },
        { Name: "nproc", Soft: 64, Hard: 64 },
      ],
    ],
    ["userns_mode", "HostConfig", "UsernsMode", "host"],
  ])("%s is %s.%s: %j", (setting, section, property, value) => {
    const { options } = toCreateOptions({ ...plainSpec, settings: { [setting]: settingValues[setting] ?? null } });
    const place: Readonly<Record<string, unknown>> = section === "Config" ? options : options.HostConfig;
    expect(place[property]).toEqual(value);
    expect(engineSettings[setting]?.at).toEqual([section, property]);
    expect(engineSettings[setting]?.fromEngine(value)).toEqual(settingValues[setting]);
  });

  test("unset settings are left to the engine, except for four own defaults", () => {
    const { options } = toCreateOptions(plainSpec);
    expect(
      Object.entries(engineSettings).flatMap(
        ([
          setting,
          {
            at: [section, property],
          },
        ]) => {
          const place: Readonly<Record<string, unknown>> = section === "Config" ? options : options.HostConfig;
          return property in place ? [[setting, place[property]]] : [];
        },
      ),
    ).toEqual([
      ["ipc", "shareable"],
      ["shm_size", 64 * 2 ** 20],
      ["stop_grace_period", 10],
      ["tty", true],
    ]);
  });

  test.each(Object.keys(engineSettings))("%s: undefined and the engine's empty values mean the default", (key) => {
    const setting = engineSettings[key];
    for (const raw of [undefined, null]) expect(setting?.fromEngine(raw)).toEqual(setting?.absent);
  });

  test.each<[string, unknown, Json]>([
    ["cap_add", [], []],
    ["cap_add", ["CAP_NET_ADMIN"], ["NET_ADMIN"]],
    ["shm_size", 0, 64 * 2 ** 20],
    ["pids_limit", -1, 0],
    ["pids_limit", 0, 0],
    ["ipc", "", "shareable"],
    ["gpu", [], false],
    ["sysctls", {}, {}],
  ])("%s: %j is read as %j", (key, raw, value) => {
    expect(engineSettings[key]?.fromEngine(raw)).toEqual(value);
  });

  // The engine adds it to privileged containers. For other containers, it must come from the composition.
  test("security_opt label=disable is sent if the composition has it", () => {
    const { settings: wanted } = configOf({ security_opt: ["label=disable"] });
    const { options } = toCreateOptions({ ...plainSpec, settings: wanted });
    expect(options.HostConfig).toHaveProperty("SecurityOpt", ["label=disable"]);
  });
});
