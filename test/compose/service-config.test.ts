import { describe, expect, test } from "vitest";
import { parseRestart, unknownFields } from "../../core/compose/service-config.ts";
import type { Dependency, UpdateStrategy } from "../../core/model/target.ts";
import { body, configOf, entry, faultsIn, faultsOf, read, serviceOf, warningsAbout } from "./read.ts";

const second = 1e9;

describe("command and entrypoint", () => {
  const spellings: readonly (readonly [unknown, readonly string[] | undefined])[] = [
    [
      ["sh", "-c", "echo hi"],
      ["sh", "-c", "echo hi"],
    ],
    ["sh -c 'echo hi'", ["sh", "-c", "echo hi"]],
    ['sh -c "echo hi"', ["sh", "-c", "echo hi"]],
    ["a\\ b c", ["a b", "c"]],
    ["echo $HOME", ["echo", "$HOME"]],
    ["  a   b  ", ["a", "b"]],
    [
      ["sleep", 3],
      ["sleep", "3"],
    ],
    [[], []],
    ["", []],
    [null, undefined],
  ];

  test.each(spellings)("command %j is %j", (command, words) => {
    expect(configOf({ command }).command).toEqual(words);
  });

  test.each(spellings)("entrypoint %j is %j", (entrypoint, words) => {
    expect(configOf({ entrypoint }).entrypoint).toEqual(words);
  });

  test.each<[unknown, string]>([
    [3, "3"],
    [true, "true"],
    [{}, "{}"],
    [[{}], "[{}]"],
    [[null], "[null]"],
    // The words may contain a password.
    [["a", true], '["(hidden)",true]'],
  ])("%j is refused", (command, shown) => {
    const message = `expected a command line or a list of words, but got ${shown}`;
    expect(faultsIn({ command })).toEqual([`command: ${message}`]);
    expect(faultsIn({ entrypoint: command })).toEqual([`entrypoint: ${message}`]);
  });

  test.each(["sh -c 'oops", 'sh -c "oops', "oops\\"])("%j is refused as incomplete", (command) => {
    const faults = faultsIn({ command });
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatch(/^command: expected a command line, but .*but got "/);
  });
});

describe("healthcheck", () => {
  test.each<[object, object | string]>([
    [{ test: "curl -f http://localhost" }, { test: ["CMD-SHELL", "curl -f http://localhost"] }],
    [{ test: ["CMD", "curl", "-f"] }, { test: ["CMD", "curl", "-f"] }],
    [{ test: ["CMD-SHELL", "curl -f"] }, { test: ["CMD-SHELL", "curl -f"] }],
    [{ test: ["NONE"] }, "none"],
    [{ disable: true }, "none"],
    [{ disable: "true", test: ["CMD", "curl"] }, "none"],
    [{ disable: false, test: ["CMD", "curl"] }, { test: ["CMD", "curl"] }],
    [
      { test: ["CMD", "a"], interval: "1m30s", timeout: "10s", retries: 3, start_period: "40s" },
      { test: ["CMD", "a"], interval: 90 * second, timeout: 10 * second, retries: 3, startPeriod: 40 * second },
    ],
    [
      { interval: 30, timeout: 1.5 },
      { interval: 30 * second, timeout: 1.5 * second },
    ],
    [{ retries: "5" }, { retries: 5 }],
    [{ start_period: "5s" }, { startPeriod: 5 * second }],
    [{ startPeriod: "5s" }, { startPeriod: 5 * second }],
    [{ start_period: "5s", startPeriod: "9s" }, { startPeriod: 5 * second }],
    [{ interval: 0, retries: 0 }, {}],
    [{ test: null, interval: null, retries: null, disable: null }, {}],
    [{ test: [] }, {}],
    [{}, {}],
    [{ start_interval: "1s" }, { startInterval: second }],
    [{ start_interval: 0 }, {}],
  ])("%j is %j", (healthcheck, normal) => {
    expect(configOf({ healthcheck }).healthcheck).toEqual(normal);
  });

  test("an unset healthcheck is left to the image", () => {
    expect(configOf({}).healthcheck).toBeUndefined();
    expect(configOf({ healthcheck: null }).healthcheck).toBeUndefined();
  });

  const duration = 'expected a duration such as "1m30s" or a number of seconds';

  test.each<[unknown, string]>([
    ["curl", "healthcheck: expected an object"],
    [[], "healthcheck: expected an object"],
    [{ test: 3 }, 'healthcheck.test: expected a command, or ["CMD", …], ["CMD-SHELL", …], ["NONE"]'],
    [{ test: [3] }, 'healthcheck.test: expected a command, or ["CMD", …], ["CMD-SHELL", …], ["NONE"]'],
    [{ interval: "soon" }, `healthcheck.interval: ${duration}`],
    [{ interval: -1 }, `healthcheck.interval: ${duration}`],
    [{ timeout: "1d" }, `healthcheck.timeout: ${duration}`],
    [{ start_interval: "often" }, `healthcheck.start_interval: ${duration}`],
    [{ start_period: {} }, `healthcheck.start_period: ${duration}`],
    [{ startPeriod: "x" }, `healthcheck.startPeriod: ${duration}`],
    [{ retries: "some" }, "healthcheck.retries: expected a whole number"],
    [{ retries: 1.5 }, "healthcheck.retries: expected a whole number"],
    [{ disable: "maybe" }, "healthcheck.disable: expected true or false"],
  ])("%j is refused: %s", (healthcheck, message) => {
    const faults = faultsIn({ healthcheck });
    expect(faults).toHaveLength(1);
    expect(faults[0]?.startsWith(`${message}, but got `)).toBe(true);
  });
});

describe("restart", () => {
  test.each([
    ["no", { name: "no", retries: 0 }],
    // YAML's bare `no` is false.
    [false, { name: "no", retries: 0 }],
    ["always", { name: "always", retries: 0 }],
    ["Always", { name: "always", retries: 0 }],
    ["unless-stopped", { name: "unless-stopped", retries: 0 }],
    ["UNLESS-STOPPED", { name: "unless-stopped", retries: 0 }],
    ["on-failure", { name: "on-failure", retries: 0 }],
    ["on-failure:3", { name: "on-failure", retries: 3 }],
    ["on-failure:0", { name: "on-failure", retries: 0 }],
    ["On-Failure:10", { name: "on-failure", retries: 10 }],
  ])("%j is %j, without a warning", (restart, policy) => {
    expect(configOf({ restart }).restart).toEqual(policy);
    expect(warningsAbout({ restart })).toEqual([]);
  });

  test.each([[undefined], [null]])("%j is always", (restart) => {
    expect(configOf({ restart }).restart).toEqual({ name: "always", retries: 0 });
    expect(warningsAbout({ restart })).toEqual([]);
  });

  test.each([["banana"], [""], [true], ["always:3"], ["no:1"], ["on-failure:"], ["on-failure:x"], ["on-failure:-1"]])(
    "%j is read as `always`, with a warning",
    (restart) => {
      expect(configOf({ restart }).restart).toEqual({ name: "always", retries: 0 });
      expect(parseRestart(restart)).toBeUndefined();
      expect(warningsAbout({ restart })).toEqual([
        `restart: ${JSON.stringify(restart)} is none of no, always, on-failure[:N], unless-stopped; taken as always`,
      ]);
    },
  );
});

describe("depends_on", () => {
  const started = (service: string): Dependency => ({ service, condition: "service_started" });
  const beside = { "2": entry({ serviceName: "db", imageId: 2 }), "3": entry({ serviceName: "mq", imageId: 3 }) };
  const readWith = (depends_on: unknown) => {
    const { app, warnings } = read(body({ "1": entry({ depends_on }), ...beside }));
    return { dependsOn: app.services.find(({ name }) => name === "one")?.dependsOn, warnings };
  };

  test.each<[unknown, readonly Dependency[]]>([
    [null, []],
    [[], []],
    [["db"], [started("db")]],
    [
      ["db", "mq"],
      [started("db"), started("mq")],
    ],
    [{ db: null }, [started("db")]],
    [{ db: {} }, [started("db")]],
    [{ db: { condition: null } }, [started("db")]],
    [{ db: { condition: "service_started", required: true } }, [started("db")]],
    [
      { db: { condition: "service_healthy" }, mq: { condition: "service_completed_successfully", restart: true } },
      [
        { service: "db", condition: "service_healthy" },
        { service: "mq", condition: "service_completed_successfully" },
      ],
    ],
  ])("%j is %j", (written, dependsOn) => {
    expect(readWith(written)).toEqual({ dependsOn, warnings: [] });
  });

  test.each([[["nope", "db"]], [{ nope: { required: false }, db: {} }]])(
    "%j names an unknown service, and is omitted with a warning",
    (written) => {
      expect(readWith(written)).toEqual({
        dependsOn: [started("db")],
        warnings: ['local.apps.1.services.1.depends_on: there is no service "nope" in this application, left out'],
      });
    },
  );

  test.each([["db"], [3], [[3]], [{ db: { condition: "service_happy" } }], [{ db: "service_started" }]])(
    "%j is refused",
    (depends_on) => {
      expect(faultsOf(body({ "1": entry({ depends_on }), ...beside }))).toEqual([
        `local.apps.1.services.1.depends_on: expected a list of services, or an object with a condition for each, but got ${JSON.stringify(depends_on)}`,
      ]);
    },
  );

  test.each<[string, Readonly<Record<string, object>>, string]>([
    ["itself", { "1": entry({ depends_on: ["one"] }) }, "one → one"],
    [
      "each other",
      {
        "1": entry({ depends_on: ["two"] }),
        "2": entry({ serviceName: "two", imageId: 2, depends_on: { one: { condition: "service_healthy" } } }),
      },
      "one → two → one",
    ],
    [
      "each other, over a third and a namespace",
      {
        "1": entry({ depends_on: ["two"] }),
        "2": entry({ serviceName: "two", imageId: 2, network_mode: "service:three" }),
        "3": entry({ serviceName: "three", imageId: 3, depends_on: ["one"] }),
      },
      "one → two → three → one",
    ],
  ])("services that wait for %s are refused", (_, services, cycle) => {
    expect(faultsOf(body(services))).toEqual([
      `local.apps.1.services: expected an order to start in, but they wait for each other: ${cycle}`,
    ]);
  });
});

describe("network_mode", () => {
  test.each(["host", "none", "bridge", "container:0123456789ab"])("%j is kept", (network_mode) => {
    expect(configOf({ network_mode }).networkMode).toBe(network_mode);
  });

  test.each([[undefined], [null], [""]])("%j means no network mode", (network_mode) => {
    expect(configOf({ network_mode }).networkMode).toBeUndefined();
  });

  test.each<[object, string]>([
    [{ network_mode: "service:nope" }, "nope"],
    [{ ipc: "service:nope" }, "nope"],
    [{ pid: "service:nope" }, "nope"],
    [{ ipc: "service:one" }, "one"],
  ])("%j is refused, because it names no other service of the application", (fields, name) => {
    expect(faultsIn(fields)).toContain(
      `services: one wants to live in service "${name}", which is not another service of this application`,
    );
  });

  test("a value that is not a string is refused", () => {
    expect(faultsIn({ network_mode: 3 })).toEqual(["network_mode: expected a string, but got 3"]);
  });
});

describe("networks", () => {
  const plain = { aliases: [], ipv4: "", ipv6: "", linkLocal: [] };

  test.each<[unknown, object]>([
    [null, {}],
    [[], {}],
    [{}, {}],
    [["front"], { front: plain }],
    [["front", "back"], { front: plain, back: plain }],
    [{ front: null }, { front: plain }],
    [{ front: {} }, { front: plain }],
    [
      {
        front: {
          aliases: ["web", "api"],
          ipv4_address: "172.30.0.5",
          ipv6_address: "2001:db8::5",
          link_local_ips: ["169.254.8.8", "169.254.7.7"],
          priority: 1,
        },
      },
      {
        front: {
          aliases: ["api", "web"],
          ipv4: "172.30.0.5",
          ipv6: "2001:db8::5",
          linkLocal: ["169.254.7.7", "169.254.8.8"],
        },
      },
    ],
  ])("%j is %j", (networks, normal) => {
    expect(configOf({ networks }).networks).toEqual(normal);
  });

  test("that the application does not define are created with default settings, `default` without a warning", () => {
    const { app, warnings } = read(
      body({ "1": entry({ networks: ["front", "back", "default"] }) }, { networks: { front: { internal: true } } }),
    );
    expect(Object.keys(app.networks).sort()).toEqual(["back", "default", "front"]);
    expect(app.networks["front"]?.internal).toBe(true);
    expect(warnings).toEqual(['local.apps.1.networks: "back" is used but not defined; made with default settings']);
  });

  test("are not created for a service that does not use them", () => {
    expect(read(body({ "1": entry({ network_mode: "host" }) })).app.networks).toEqual({});
  });

  test.each([["front"], [3], [{ front: 3 }], [{ front: { aliases: "web" } }], [[3]]])(
    "%j is refused, with what was expected",
    (networks) => {
      const faults = faultsIn({ networks });
      expect(faults).toHaveLength(1);
      expect(faults[0]).toMatch(/^networks[^ ]*: expected /);
    },
  );
});

describe("strings", () => {
  test.each<[string, unknown, object]>([
    ["user", "node", { user: "node" }],
    ["user", "1000:1000", { user: "1000:1000" }],
    ["user", 1000, { user: "1000" }],
    ["user", 0, { user: "0" }],
    ["working_dir", "/app", { workingDir: "/app" }],
    ["hostname", "kitchen", { hostname: "kitchen" }],
    ["stop_signal", "SIGINT", { stopSignal: "SIGINT" }],
  ])("%s: %j is normalized", (field, written, kept) => {
    expect(configOf({ [field]: written })).toMatchObject(kept);
  });

  test.each(["user", "working_dir", "hostname", "stop_signal"])("%s: empty or null means the image's", (field) => {
    for (const written of ["", null]) expect(configOf({ [field]: written })).toEqual(configOf({}));
  });

  test.each<[string, unknown]>([
    ["user", {}],
    ["user", true],
    ["working_dir", 3],
    ["hostname", 3],
    ["stop_signal", 9],
    ["restart", 3],
    ["restart", {}],
  ])("%s: %j is refused with the expected form", (field, written) => {
    const faults = faultsIn({ [field]: written });
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatch(new RegExp(`^${field}: expected .*, but got `));
  });
});

describe("labels", () => {
  test.each([
    ["io.balena.features.dbus", "io.balena.features.dbus"],
    ["io.resin.features.dbus", "io.balena.features.dbus"],
    ["io.resin.update.strategy", "io.balena.update.strategy"],
    ["io.resin.update.handover-timeout", "io.balena.update.handover-timeout"],
    ["io.resin.image.class", "io.balena.image.class"],
    ["io.resin.legacy-container", "io.balena.legacy-container"],
    ["com.example.io.resin.x", "com.example.io.resin.x"],
    ["resin", "resin"],
  ])("%s is kept as %s", (written, kept) => {
    expect(configOf({ labels: { [written]: "1" } }).labels).toEqual({ [kept]: "1" });
  });

  test("with the current name take precedence over the old name in any order", () => {
    const today = "io.balena.features.dbus";
    const old = "io.resin.features.dbus";
    expect(configOf({ labels: { [today]: "1", [old]: "0" } }).labels).toEqual({ [today]: "1" });
    expect(configOf({ labels: { [old]: "0", [today]: "1" } }).labels).toEqual({ [today]: "1" });
  });

  test.each<[UpdateStrategy, string | undefined]>([
    ["download-then-kill", undefined],
    ["download-then-kill", "download-then-kill"],
    ["kill-then-download", "kill-then-download"],
    ["delete-then-download", "delete-then-download"],
    ["hand-over", "hand-over"],
    ["download-then-kill", "Hand-Over"],
    ["download-then-kill", "banana"],
    ["download-then-kill", ""],
  ])("the update strategy is %s for the label %j", (strategy, label) => {
    for (const name of ["io.balena.update.strategy", "io.resin.update.strategy"])
      expect(serviceOf({ labels: label === undefined ? {} : { [name]: label } }).strategy).toBe(strategy);
  });

  test.each([
    [undefined, 60_000],
    ["1000", 1000],
    ["banana", 60_000],
    ["", 60_000],
  ])("the hand-over timeout for the label %j is %d ms", (label, handoverTimeoutMs) => {
    const labels = label === undefined ? {} : { "io.balena.update.handover-timeout": label };
    expect(serviceOf({ labels }).handoverTimeoutMs).toBe(handoverTimeoutMs);
  });
});

test.each([
  "expose",
  "env_file",
  "logging",
  "links",
  "volumes_from",
  "profiles",
  "external_links",
  "blkio_config",
  "banana",
])("%s is not supported and is omitted with a warning", (field) => {
  expect(configOf({ [field]: ["x"] })).toEqual(configOf({}));
  expect(warningsAbout({ [field]: ["x"] })).toEqual([`${field}: not supported, left out`]);
});

test("a target state's fields beside compose's are not unknown fields", () => {
  expect(
    unknownFields({ ...entry(), serviceId: 1, running: true, contract: {}, build: ".", releaseId: 1, appId: 1 }),
  ).toEqual([]);
});

describe("environment", () => {
  test.each(["A", "a", "_", "_a1", "A_B_2"])("%j is a name", (name) => {
    expect(configOf({ environment: { [name]: "1" } }).environment).toEqual({ [name]: "1" });
  });

  test.each(["", "1A", "A B", "A-B", "A.B", "Ä"])("%j is an invalid name", (name) => {
    expect(faultsIn({ environment: { [name]: "hunter2" } })).toEqual([
      `environment.${name}: expected a variable name: a letter or _, then letters, digits and _, but got ${JSON.stringify(name)}`,
    ]);
  });

  test.each(["", "x", "a=b", "two\nlines", "ünïcode"])("%j is a value", (value) => {
    expect(configOf({ environment: { A: value } }).environment).toEqual({ A: value });
  });

  test.each([[1], [true], [null], [{}], [["x"]]])("%j is an invalid value", (value) => {
    expect(faultsIn({ environment: { A: value } })).toEqual(["environment.A: expected a string"]);
  });
});
