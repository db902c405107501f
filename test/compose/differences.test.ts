import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { describeDifference, differences, type Difference } from "../../core/compose/differences.ts";
import { everySetting } from "../../core/compose/settings.ts";
import type { ContainerSpec } from "../../core/model/container.ts";
import { containerSpec, settingValues } from "./arbitraries.ts";
import { endpoint, plainSpec } from "./specs.ts";

test("a container has no difference from itself", () => {
  fc.assert(
    fc.property(containerSpec, (spec) => {
      expect(differences(spec, JSON.parse(JSON.stringify(spec)))).toEqual([]);
    }),
  );
});

test("the order of variables, labels, networks and settings is ignored", () => {
  const backwards = (record: object) => Object.fromEntries(Object.entries(record).reverse());
  fc.assert(
    fc.property(containerSpec, (spec) => {
      const turned: ContainerSpec = {
        ...spec,
        environment: backwards(spec.environment),
        labels: backwards(spec.labels),
        networks: backwards(spec.networks),
        settings: backwards(spec.settings),
      };
      expect(differences(spec, turned)).toEqual([]);
    }),
  );
});

describe("a change is found, with compose's name for it:", () => {
  test.each<[string, Partial<ContainerSpec>]>([
    ["image", { image: `sha256:${"b".repeat(64)}` }],
    ["command", { command: ["run", "--now"] }],
    ["entrypoint", { entrypoint: ["/entry"] }],
    ["user", { user: "node" }],
    ["working_dir", { workingDir: "/app" }],
    ["stop_signal", { stopSignal: "SIGINT" }],
    ["hostname", { hostname: "kitchen" }],
    ["healthcheck", { healthcheck: { test: ["CMD", "x"], interval: 0, timeout: 0, startPeriod: 0, retries: 0 } }],
    ["restart", { restart: { name: "on-failure", retries: 0 } }],
    ["restart", { restart: { name: "always", retries: 1 } }],
    ["ports", { ports: [{ target: 80, protocol: "tcp", published: "", ip: "" }] }],
    ["mounts", { mounts: [{ type: "tmpfs", source: "", target: "/t", readOnly: false, options: "" }] }],
    ["network_mode", { networkMode: "host" }],
    ["networks", { networks: {} }],
    ["networks", { networks: { "1_default": { ...endpoint, aliases: ["one", "two"] } } }],
    ["networks", { networks: { "1_default": { ...endpoint, aliases: ["one"], ipv4: "172.30.0.5" } } }],
    ["environment.A", { environment: { A: "" } }],
    ["labels.a", { labels: { a: "" } }],
  ])("%s: %j", (field, change) => {
    const changed = { ...plainSpec, ...change };
    expect(differences(plainSpec, changed).map((one) => one.field)).toEqual([field]);
    expect(differences(changed, plainSpec).map((one) => one.field)).toEqual([field]);
  });

  test.each(Object.keys(everySetting))("the setting %s", (setting) => {
    const value = settingValues[setting] ?? null;
    const absent = everySetting[setting]?.absent ?? null;
    const changed = { ...plainSpec, settings: { [setting]: value } };
    expect(differences(plainSpec, changed)).toEqual([{ field: setting, from: absent, to: value }]);
    expect(differences(changed, plainSpec)).toEqual([{ field: setting, from: value, to: absent }]);
  });

  const names = fc.stringMatching(/^[A-Z][A-Z0-9_]{0,20}$/).filter((name) => !/DEVICE_NAME_AT_INIT$/.test(name));

  test.each(["environment", "labels"] as const)("added, removed and changed %s", (part) => {
    fc.assert(
      fc.property(containerSpec, names, fc.string(), fc.string(), (spec, name, before, after) => {
        fc.pre(before !== after);
        const { [name]: _, ...rest } = spec[part];
        const without = { ...spec, [part]: rest };
        const withBefore = { ...spec, [part]: { ...rest, [name]: before } };
        const withAfter = { ...spec, [part]: { ...rest, [name]: after } };
        const field = `${part}.${name}`;
        expect(differences(without, withAfter)).toEqual([{ field, from: null, to: after }]);
        expect(differences(withBefore, without)).toEqual([{ field, from: before, to: null }]);
        expect(differences(withBefore, withAfter)).toEqual([{ field, from: before, to: after }]);
      }),
    );
  });

  test.each(["constructor", "toString", "valueOf"])("a name that every object inherits: %s", (name) => {
    const named = { ...plainSpec, environment: { [name]: "1" } };
    expect(differences(plainSpec, named)).toEqual([{ field: `environment.${name}`, from: null, to: "1" }]);
    expect(differences(named, plainSpec)).toEqual([{ field: `environment.${name}`, from: "1", to: null }]);
  });

  test("in every part of a container", () => {
    const compared = differences(plainSpec, {
      image: "",
      command: [],
      entrypoint: ["x"],
      environment: { A: "1" },
      labels: { a: "1" },
      user: "x",
      workingDir: "/x",
      stopSignal: "",
      hostname: "x",
      healthcheck: { test: [], interval: 0, timeout: 0, startPeriod: 0, retries: 0 },
      restart: { name: "no", retries: 0 },
      ports: [{ target: 1, protocol: "tcp", published: "", ip: "" }],
      mounts: [{ type: "bind", source: "/x", target: "/x", readOnly: false, options: "" }],
      networkMode: "none",
      networks: {},
      settings: { tty: false },
    } satisfies ContainerSpec);
    expect(compared).toHaveLength(Object.keys(plainSpec).length);
  });
});

test.each(["BALENA_DEVICE_NAME_AT_INIT", "RESIN_DEVICE_NAME_AT_INIT"])(
  "a new name of the device (%s) is not a difference",
  (name) => {
    const called = (device: string): ContainerSpec => ({ ...plainSpec, environment: { [name]: device } });
    expect(differences(called("kitchen"), called("cellar"))).toEqual([]);
    expect(differences(plainSpec, called("cellar"))).toEqual([]);
  },
);

test("a setting with its default value equals an unset one", () => {
  for (const [setting, { absent }] of Object.entries(everySetting)) {
    const said = { ...plainSpec, settings: { [setting]: absent } };
    expect(differences(plainSpec, said)).toEqual([]);
    expect(differences(said, plainSpec)).toEqual([]);
  }
});

describe("the text of a difference", () => {
  test.each<[Difference, string]>([
    [{ field: "environment.WIFI_PSK", from: "a", to: "b" }, "environment.WIFI_PSK differs"],
    [{ field: "environment.WIFI_PSK", from: null, to: "b" }, "environment.WIFI_PSK is new"],
    [{ field: "environment.WIFI_PSK", from: "a", to: null }, "environment.WIFI_PSK is gone"],
    [{ field: "environment.A=b", from: null, to: "" }, "environment.A=(hidden) is new"],
    [{ field: "labels.traefik.users", from: "a", to: "b" }, "labels.traefik.users differs"],
    [{ field: "privileged", from: false, to: true }, "privileged: false → true"],
    [{ field: "mem_limit", from: 0, to: 1024 }, "mem_limit: 0 → 1024"],
    [{ field: "network_mode", from: "networks", to: "host" }, 'network_mode: "networks" → "host"'],
    [{ field: "command", from: ["a"], to: ["a", "b"] }, "command differs"],
    [{ field: "entrypoint", from: [], to: ["a"] }, "entrypoint differs"],
    [{ field: "healthcheck", from: null, to: { retries: 3 } }, "healthcheck is new"],
  ])("for %j is %s", (difference, sentence) => {
    expect(describeDifference(difference)).toBe(sentence);
  });

  test("never has a variable's value, whatever its name", () => {
    const secret = "correct horse";
    const secretIn = (spec: ContainerSpec): ContainerSpec => ({
      ...spec,
      environment: Object.fromEntries(
        Object.entries(spec.environment).map(([name, value]) => [name, `${value}${secret}`]),
      ),
    });
    fc.assert(
      fc.property(containerSpec, containerSpec, (one, other) => {
        const sentences = [
          ...differences(secretIn(one), secretIn(other)),
          ...differences(one, secretIn(one)),
          ...differences(secretIn(one), one),
        ].map(describeDifference);
        expect(sentences.join("\n")).not.toContain(secret);
      }),
    );
  });
});
