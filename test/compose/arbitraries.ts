import * as fc from "fast-check";
import { everySetting } from "../../core/compose/settings.ts";
import { sortMounts } from "../../core/compose/mounts.ts";
import { sortPorts } from "../../core/compose/ports.ts";
import type { ContainerSpec, NetworkEndpoint, Mount, Port } from "../../core/model/container.ts";
import type { Healthcheck, ImageConfig } from "../../core/model/image.ts";
import type { Json } from "../../core/model/json.ts";
import type { NetworkSpec } from "../../core/model/network.ts";

/** Arbitrary containers, and the parts of which they are made. */

const portNumber = fc.integer({ min: 1, max: 65535 });

export const port: fc.Arbitrary<Port> = fc.record({
  target: portNumber,
  protocol: fc.constantFrom("tcp", "udp", "sctp"),
  published: fc.oneof(
    fc.constant(""),
    portNumber.map(String),
    portNumber.filter((from) => from < 65535).map((from) => `${from}-${from + 1}`),
  ),
  ip: fc.oneof(fc.constant(""), fc.ipV4(), fc.constantFrom("::", "::1", "fe80::1")),
});

const name = fc.stringMatching(/^[a-z][a-z0-9_.-]{1,8}$/);
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => `/${parts.join("/")}`);

const options = (...words: string[]) => fc.subarray(words).map((some) => some.sort().join(","));

export const mount: fc.Arbitrary<Mount> = fc.oneof(
  fc.record({
    type: fc.constant("volume" as const),
    source: name,
    target: path,
    readOnly: fc.boolean(),
    options: options("nocopy", "z"),
  }),
  fc.record({
    type: fc.constant("bind" as const),
    source: path,
    target: path,
    readOnly: fc.boolean(),
    options: options("rslave", "z"),
  }),
  fc.record({
    type: fc.constant("tmpfs" as const),
    source: fc.constant(""),
    target: path,
    readOnly: fc.constant(false),
    options: options("mode=1777", "noexec", "size=64m"),
  }),
);

/** A safe JSON parser drops this name everywhere. */
function sane(names: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return names.filter((one) => one !== "__proto__");
}

/** Variables with any value, also values that look like other types. */
export const variables = fc.dictionary(
  sane(fc.oneof(fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,8}$/), fc.constantFrom("PATH", "HOME", "LANG", "USER"))),
  fc.oneof(
    fc.string(),
    fc.constantFrom(
      "",
      "a=b",
      "=",
      "line\nline",
      "/usr/bin",
      "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ),
  ),
  { noNullPrototype: true },
);

export const labels = fc.dictionary(sane(fc.stringMatching(/^[!#-&(-_a-~]{1,12}$/)), fc.string(), {
  noNullPrototype: true,
});

/** Words of the update, which are in the labels of some images and of containers of older agents. */
const updateLabels = fc.dictionary(
  fc.constantFrom("io.balena.update.window", "io.balena.update.monitor", "io.balena.update.snapshot"),
  fc.string(),
  { noNullPrototype: true },
);

const words = fc.array(fc.string({ minLength: 1 }), { maxLength: 3 });

const nanoseconds = fc.integer({ min: 0, max: 1e12 });

const healthcheck: fc.Arbitrary<Healthcheck> = fc.record(
  {
    test: fc.oneof(
      words.map((command) => ["CMD", ...command]),
      fc.string({ minLength: 1 }).map((command) => ["CMD-SHELL", command]),
    ),
    interval: nanoseconds,
    timeout: nanoseconds,
    startPeriod: nanoseconds,
    retries: fc.integer({ min: 0, max: 9 }),
    startInterval: fc.integer({ min: 1, max: 1e12 }),
  },
  { requiredKeys: ["test", "interval", "timeout", "startPeriod", "retries"] },
);

export const imageConfig: fc.Arbitrary<ImageConfig> = fc.record({
  command: words,
  entrypoint: words,
  environment: variables,
  labels: fc.tuple(labels, updateLabels).map(([others, ours]) => ({ ...others, ...ours })),
  user: fc.constantFrom("", "node", "1000:1000"),
  workingDir: fc.oneof(fc.constantFrom("", "/"), path),
  stopSignal: fc.constantFrom("", "SIGINT"),
  healthcheck: fc.option(healthcheck),
});

const endpoint: fc.Arbitrary<NetworkEndpoint> = fc.record({
  aliases: fc.uniqueArray(name, { maxLength: 3 }).map((aliases) => aliases.sort()),
  ipv4: fc.constantFrom("", "172.30.0.5"),
  ipv6: fc.constantFrom("", "2001:db8::5"),
  linkLocal: fc.constantFrom([], ["169.254.1.1"]),
});

/** A value other than the default for every row of the settings table, in its normal form. */
export const settingValues: Readonly<Record<keyof typeof everySetting, Json>> = {
  cap_add: ["NET_ADMIN", "SYS_TIME"],
  cap_drop: ["ALL"],
  cgroup_parent: "parent",
  cpu_quota: 50_000,
  cpu_shares: 512,
  cpus: 1_500_000_000,
  cpuset: "0-1",
  device_cgroup_rules: ["c 1:3 rwm"],
  devices: ["/dev/null:/dev/x:r", "/dev/ttyS0:/dev/ttyS0:rwm"],
  dns: ["8.8.8.8", "1.1.1.1"],
  dns_opt: ["ndots:1"],
  dns_search: ["example.com"],
  domainname: "example.com",
  extra_hosts: ["db:10.0.0.1"],
  gpu: true,
  group_add: ["audio", "video"],
  init: true,
  ipc: "private",
  mac_address: "02:42:ac:11:00:02",
  mem_limit: 64 * 2 ** 20,
  mem_reservation: 32 * 2 ** 20,
  oom_kill_disable: true,
  oom_score_adj: -500,
  pid: "host",
  pids_limit: 100,
  privileged: true,
  read_only: true,
  security_opt: ["no-new-privileges", "seccomp=unconfined"],
  shm_size: 2 ** 20,
  stop_grace_period: 60,
  storage_opt: { size: "1G" },
  sysctls: { "net.core.somaxconn": "1024" },
  tty: false,
  ulimits: ["nofile=1024:2048", "nproc=64:64"],
  userns_mode: "host",
};

const settings = fc
  .subarray(Object.keys(settingValues))
  .map((keys) => Object.fromEntries(keys.map((key) => [key, settingValues[key] ?? null])));

/** Any container in its normal form, with an image without own settings. */
export const containerSpec: fc.Arbitrary<ContainerSpec> = fc
  .record({
    image: fc.constant(`sha256:${"a".repeat(64)}`),
    command: fc.array(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 3 }),
    entrypoint: words,
    environment: variables.map(({ PATH: _, ...rest }) => rest),
    labels: labels.map((some) => ({
      ...some,
      "io.balena.supervised": "true",
      "io.balena.app-id": "1",
      "io.balena.app-uuid": "1",
      "io.balena.service-id": "2",
      "io.balena.service-name": "one",
    })),
    user: fc.constantFrom("", "1000", "node:node"),
    workingDir: fc.oneof(fc.constantFrom("", "/"), path),
    stopSignal: fc.constantFrom("SIGTERM", "SIGKILL", "37"),
    hostname: fc.constantFrom("", "kitchen"),
    healthcheck: fc.option(healthcheck),
    restart: fc.oneof(
      fc.record({ name: fc.constantFrom("no", "always", "unless-stopped"), retries: fc.constant(0) }),
      fc.record({ name: fc.constant("on-failure" as const), retries: fc.integer({ min: 0, max: 9 }) }),
    ),
    ports: fc.array(port, { maxLength: 4 }).map(sortPorts),
    mounts: fc.array(mount, { maxLength: 4 }).map(sortMounts),
    networkMode: fc.constantFrom("networks", "networks", "networks", "host", "none", "bridge"),
    networks: fc.dictionary(
      name.map((one) => `1_${one}`),
      endpoint,
      { minKeys: 1, maxKeys: 3, noNullPrototype: true },
    ),
    settings,
  })
  .map((spec) => (spec.networkMode === "networks" ? spec : { ...spec, networks: {} }));

const cidr = fc.constantFrom("172.30.0.0/16", "10.1.0.0/24", "2001:db8::/64");
const someTexts = fc.dictionary(fc.stringMatching(/^[a-z.]{1,9}$/), fc.string(), { noNullPrototype: true, maxKeys: 3 });

/** Any network as a composition may define it. */
export const networkDefinition: fc.Arbitrary<NetworkSpec> = fc.record({
  driver: fc.constantFrom("bridge", "macvlan"),
  driverOptions: someTexts,
  internal: fc.boolean(),
  ipv6: fc.boolean(),
  configOnly: fc.boolean(),
  labels: someTexts,
  ipam: fc.record({
    driver: fc.constantFrom("default", "custom"),
    options: someTexts,
    config: fc.array(
      fc.record(
        {
          subnet: cidr,
          ipRange: cidr,
          gateway: fc.constant("172.30.0.1"),
          auxAddresses: someTexts.filter((some) => Object.keys(some).length > 0),
        },
        { requiredKeys: ["subnet"] },
      ),
      { maxLength: 2 },
    ),
  }),
});
