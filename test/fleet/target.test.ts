import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseCloudTarget } from "../../core/compose/target-state.ts";
import {
  configOf,
  environmentOf,
  targetState,
  targetStateV2,
  type Variable,
  type TargetInput,
} from "../../core/fleet/target.ts";

const env = (of: Variable["of"], value: string, service?: string, name = "A"): Variable => ({
  kind: "env",
  of,
  ...(service && { service }),
  name,
  value,
});
const config = (of: Variable["of"], name: string, value: string): Variable => ({ kind: "config", of, name, value });

/** From the lowest to the highest precedence. */
const layers = [
  env("fleet", "fleet"),
  env("fleet", "fleet's service", "web"),
  env("device", "device"),
  env("device", "device's service", "web"),
];

describe("the environment of a service", () => {
  test.each(layers.flatMap((weak, n) => layers.slice(n + 1).map((strong) => [weak, strong] as const)))(
    "$0.value is overridden by $1.value, in any order",
    (weak, strong) => {
      expect(environmentOf([weak, strong], "web")).toEqual({ A: strong.value });
      expect(environmentOf([strong, weak], "web")).toEqual({ A: strong.value });
    },
  );

  test("has no variables of another service and no configuration", () => {
    expect(environmentOf([env("device", "x", "db"), config("device", "RESIN_A", "1")], "web")).toEqual({});
  });
});

const anyVariable: fc.Arbitrary<Variable> = fc.record(
  {
    kind: fc.constantFrom("env" as const, "config" as const),
    of: fc.constantFrom("fleet" as const, "device" as const),
    service: fc.constantFrom("web", "db"),
    name: fc.constantFrom("A", "B", "RESIN_A", "BALENA_A"),
    value: fc.string({ maxLength: 5 }),
  },
  { requiredKeys: ["kind", "of", "name", "value"] },
);

test("the layer with the highest precedence gives a variable's value, and no name is added or lost", () => {
  fc.assert(
    fc.property(fc.array(anyVariable, { maxLength: 12 }), fc.constantFrom("web", "db"), (variables, service) => {
      const made = environmentOf(variables, service);
      const concerned = variables.filter((one) => one.kind === "env" && (one.service ?? service) === service);
      expect(new Set(Object.keys(made))).toEqual(new Set(concerned.map(({ name }) => name)));
      for (const [name, value] of Object.entries(made)) {
        const rank = (one: Variable) => ["fleet", "device"].indexOf(one.of) * 2 + Number(one.service !== undefined);
        const best = Math.max(...concerned.filter((one) => one.name === name).map(rank));
        expect(concerned.filter((one) => one.name === name && rank(one) === best).at(-1)?.value).toBe(value);
      }
    }),
  );
});

describe("the configuration of a device", () => {
  const shortest = { RESIN_SUPERVISOR_POLL_INTERVAL: "600000" };
  test.each<readonly [string, readonly Variable[], Record<string, string>]>([
    ["has always an interval", [], shortest],
    ["takes the fleet's", [config("fleet", "RESIN_X", "1")], { RESIN_X: "1", ...shortest }],
    [
      "takes the device's over the fleet's",
      [config("device", "RESIN_X", "2"), config("fleet", "RESIN_X", "1")],
      { RESIN_X: "2", ...shortest },
    ],
    [
      "takes it under either prefix",
      [config("fleet", "BALENA_X", "1"), config("device", "RESIN_X", "2")],
      { RESIN_X: "2", ...shortest },
    ],
    [
      "has no interval that is shorter, not even by the device's own wish",
      [
        config("fleet", "RESIN_SUPERVISOR_POLL_INTERVAL", "900000"),
        config("device", "RESIN_SUPERVISOR_POLL_INTERVAL", "1000"),
      ],
      shortest,
    ],
    ["reads what is no number as none", [config("fleet", "RESIN_SUPERVISOR_POLL_INTERVAL", "soon")], shortest],
    [
      "keeps to itself what is for a dashboard",
      [
        config("fleet", "RESIN_HOST_LOG_TO_DISPLAY", "1"),
        config("fleet", "BALENA_UI_X", "1"),
        config("fleet", "RESIN_UI", "1"),
      ],
      shortest,
    ],
  ])("%s", (_, variables, expected) => {
    expect(configOf(variables)).toEqual(expected);
  });
});

const input = (given: Partial<TargetInput> = {}, labels?: unknown, fields: object = {}): TargetInput => ({
  uuid: "u",
  name: "device",
  fleet: { id: 7, uuid: "f", name: "fleet", forbidden: [] },
  release: {
    id: 3,
    commit: "c",
    services: [
      {
        name: "web",
        serviceId: 1,
        imageId: 2,
        entry: { image: "web:1", environment: ["A=file"], ...(labels !== undefined && { labels }), ...fields },
      },
    ],
    networks: {},
    volumes: { data: {} },
  },
  variables: [],
  ...given,
});

const facts = { supervisorVersion: "1.0.0", deviceType: "", arch: "", osSlug: "", osVersion: "", kernelVersion: "" };

function onDevice(what: TargetInput) {
  const parsed = parseCloudTarget(targetState(what), facts, what.uuid);
  if (!parsed.ok) throw new Error(parsed.faults.join("\n"));
  return parsed.target.apps[0];
}

describe("on the device", () => {
  test("the cloud's variables take precedence over the compose file", () => {
    expect(onDevice(input())?.services[0]?.config.environment).toEqual({ A: "file" });
    const given = input({ variables: [env("fleet", "cloud")] });
    expect(onDevice(given)?.services[0]?.config.environment).toEqual({ A: "cloud" });
  });

  test.each([
    ["no label", undefined, "hand-over"],
    ["a label of its own", { "io.balena.update.strategy": "kill-then-download" }, "kill-then-download"],
    ["the label of old, in a list", ["io.resin.update.strategy=kill-then-download"], "kill-then-download"],
  ])("the update strategy of the configuration applies to a service with %s", (_, labels, expected) => {
    const variables = [config("fleet", "RESIN_SUPERVISOR_UPDATE_STRATEGY", "hand-over")];
    expect(onDevice(input({ variables }, labels))?.services[0]?.strategy).toBe(expected);
  });

  test.each([
    ["stop-first", "download-then-kill"],
    [undefined, "hand-over"],
  ])("compose's order %j has priority over the strategy of the configuration", (order, expected) => {
    const variables = [config("fleet", "RESIN_SUPERVISOR_UPDATE_STRATEGY", "hand-over")];
    const asked = input({ variables }, undefined, { deploy: { update_config: { order } } });
    expect(onDevice(asked)?.services[0]?.strategy).toBe(expected);
  });

  test("a fleet without a release has no release, and one without services no services", () => {
    expect(onDevice(input({ release: undefined }))).toMatchObject({ commit: "", services: [] });
    const release = { id: 3, commit: "c", services: [], networks: {}, volumes: {} };
    expect(targetState(input({ release }))).toMatchObject({ u: { apps: { f: { releases: { c: { id: 3 } } } } } });
  });
});

describe("the powers that a fleet forbids", () => {
  const fleet = { id: 7, uuid: "f", name: "fleet", forbidden: ["privileged", "dbus"] };
  const labels = { "io.balena.features.dbus": "1" };
  const name = "SUPERVISOR_FORBIDDEN_POWERS";

  test("are rejected by its devices, also in an earlier release", () => {
    expect(onDevice(input({}, labels))).not.toHaveProperty("rejected");
    expect(onDevice(input({ fleet }, labels))).toMatchObject({ rejected: "web: the fleet forbids dbus" });
  });

  test.each(["RESIN", "BALENA"])("can be extended but not reduced by a device's variable (%s)", (prefix) => {
    for (const [value, expected] of [
      ["", "privileged,dbus"],
      ["host-pid", "privileged,dbus,host-pid"],
    ] as const) {
      const variables = [config("device", `${prefix}_${name}`, value)];
      for (const state of [targetState, targetStateV2])
        expect(JSON.stringify(state(input({ fleet, variables })))).toContain(`"RESIN_${name}":"${expected}"`);
      expect(onDevice(input({ fleet, variables }, labels))).toHaveProperty("rejected");
    }
  });

  test("are not in the configuration if the fleet forbids none", () => {
    expect(JSON.stringify(targetState(input()))).not.toContain(name);
  });
});

test("in version 2, the variables are already merged", () => {
  const variables = [env("device", "cloud"), env("device", "b", undefined, "B")];
  expect(targetStateV2(input({ variables }, ["x=y"]))).toMatchObject({
    local: {
      name: "device",
      apps: {
        7: {
          releaseId: 3,
          commit: "c",
          services: {
            1: {
              serviceName: "web",
              imageId: 2,
              running: true,
              environment: { A: "cloud", B: "b" },
              labels: { x: "y" },
            },
          },
        },
      },
    },
  });
});

describe("with the values of variables hidden", () => {
  const variables = [
    env("fleet", "first secret"),
    env("device", "second secret", "web", "B"),
    config("fleet", "RESIN_SUPERVISOR_UPDATE_STRATEGY", "third secret"),
  ];
  const withEnvironment = (environment: unknown): TargetInput => {
    const made = input({ variables }, { "com.example.kept": "a label" });
    const services = made.release?.services.map((one) => ({ ...one, entry: { ...one.entry, environment } })) ?? [];
    return { ...made, ...(made.release && { release: { ...made.release, services } }) };
  };
  const forms: readonly (readonly [string, unknown, unknown])[] = [
    ["a list", ["A=fourth=secret", "FROM_HOST"], ["A=(hidden)", "FROM_HOST"]],
    ["an object", { A: "fourth=secret", N: 5 }, { A: "(hidden)", N: "(hidden)" }],
    ["nothing", undefined, undefined],
  ];

  test.each(forms)("version 3 has only the names if the compose file's environment is %s", (_, given, said) => {
    const shown = targetState(withEnvironment(given), { hideValues: true });
    expect(shown).toMatchObject({
      u: {
        config: { RESIN_SUPERVISOR_UPDATE_STRATEGY: "(hidden)", RESIN_SUPERVISOR_POLL_INTERVAL: "(hidden)" },
        apps: {
          f: {
            releases: {
              c: {
                services: {
                  web: {
                    image: "web:1",
                    environment: { A: "(hidden)", B: "(hidden)" },
                    labels: { "io.resin.update.strategy": "(hidden)" },
                    composition: { labels: { "com.example.kept": "a label" } },
                  },
                },
              },
            },
          },
        },
      },
    });
    expect(JSON.stringify(shown)).toContain(JSON.stringify(said) ?? "composition");
    expect(JSON.stringify(shown)).not.toMatch(/secret/);
  });

  test.each(forms)("version 2 has only the names if the compose file's environment is %s", (_, given) => {
    const shown = targetStateV2(withEnvironment(given), { hideValues: true });
    expect(shown).toMatchObject({
      local: { apps: { 7: { services: { 1: { environment: { A: "(hidden)", B: "(hidden)" } } } } } },
    });
    expect(JSON.stringify(shown)).not.toMatch(/secret/);
  });
});

describe("configs and secrets", () => {
  const made = input();
  const files = { configs: { conf: { content: "listen 80" } }, secrets: { psk: { base64: "aHVudGVyMg==" } } };
  const given: TargetInput = { ...made, ...(made.release && { release: { ...made.release, ...files } }) };

  test("are in both versions of the target state", () => {
    expect(targetState(given)).toMatchObject({ u: { apps: { f: { releases: { c: files } } } } });
    expect(targetStateV2(given)).toMatchObject({ local: { apps: { 7: files } } });
  });

  test("have no content where values are hidden", () => {
    const hidden = { configs: { conf: { content: "(hidden)" } }, secrets: { psk: { base64: "(hidden)" } } };
    const how = { hideValues: true };
    expect(targetState(given, how)).toMatchObject({ u: { apps: { f: { releases: { c: hidden } } } } });
    expect(targetStateV2(given, how)).toMatchObject({ local: { apps: { 7: hidden } } });
  });

  test("are absent from a release without them, as other agents know it", () => {
    expect(JSON.stringify([targetState(made), targetStateV2(made)])).not.toMatch(/configs|secrets/);
  });
});
