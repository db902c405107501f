import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NetworkDefinition, askedOfNetwork, toNetworkSpec } from "../../core/compose/definitions.ts";
import { networkDifferences } from "../../core/compose/network-differences.ts";
import type { NetworkSpec } from "../../core/model/network.ts";
import { networkDefinition } from "./arbitraries.ts";

const asked = (definition: object): NetworkSpec => toNetworkSpec(NetworkDefinition.parse(definition), 1);
const subnets = (...config: object[]) => ({ ipam: { config } });

/** A network of the reference implementation, or of our agents before the label with the definition. */
const unlabelled = (definition: object): NetworkSpec => withoutLabel(asked(definition));

const withoutLabel = ({ labels, ...spec }: NetworkSpec): NetworkSpec => {
  const { "io.fairlead.network.definition": _, ...rest } = labels;
  return { ...spec, labels: rest };
};

const withConfig = (spec: NetworkSpec, ...config: NetworkSpec["ipam"]["config"]): NetworkSpec => ({
  ...spec,
  ipam: { ...spec.ipam, config },
});

const fields = (current: NetworkSpec, target: NetworkSpec) =>
  networkDifferences(current, target).map(({ field }) => field);

/** Observed answers of engines, and possible similar ones. */
const answers: [string, object, (spec: NetworkSpec) => NetworkSpec][] = [
  [
    "a gateway that the engine chose (Docker 29, and older ones after a restart)",
    subnets({ subnet: "198.18.20.0/24" }),
    (spec) => withConfig(spec, { subnet: "198.18.20.0/24", gateway: "198.18.20.1" }),
  ],
  [
    "an IPv4 subnet that the engine chose beside one of IPv6 (Docker 20.10 to 29)",
    { enable_ipv6: true, ...subnets({ subnet: "2001:DB8:0:1::/64" }) },
    (spec) =>
      withConfig(
        spec,
        { subnet: "172.19.0.0/16", gateway: "172.19.0.1" },
        { subnet: "2001:DB8:0:1::/64", gateway: "2001:db8:0:1::1" },
      ),
  ],
  [
    "two subnets in another order",
    {
      enable_ipv6: true,
      ...subnets({ subnet: "2001:db8::/80" }, { subnet: "198.18.22.0/24", ip_range: "198.18.22.128/25" }),
    },
    (spec) =>
      withConfig(
        spec,
        { subnet: "198.18.22.0/24", ipRange: "198.18.22.128/25", gateway: "198.18.22.128" },
        { subnet: "2001:db8::/80", gateway: "2001:db8::1" },
      ),
  ],
  [
    "IPv6 addresses in another spelling",
    subnets({ subnet: "2001:DB8:0:0::/64", gateway: "2001:0db8::0:1", aux_addresses: { a: "2001:DB8:0::9" } }),
    (spec) => withConfig(spec, { subnet: "2001:db8::/64", gateway: "2001:db8::1", auxAddresses: { a: "2001:db8::9" } }),
  ],
  [
    "options that the engine adds",
    { driver_opts: { "com.docker.network.driver.mtu": 1400 } },
    (spec) => ({
      ...spec,
      driverOptions: { ...spec.driverOptions, "com.docker.network.bridge.name": "br0" },
      ipam: { ...spec.ipam, options: { driver: "host-local" } },
    }),
  ],
  [
    "options that the engine adds where none were asked for",
    {},
    (spec) => ({ ...spec, driverOptions: { "a.b": "c" } }),
  ],
];

describe.each(answers)("%s", (_, definition, answer) => {
  test("are not a difference", () => {
    expect(fields(answer(asked(definition)), asked(definition))).toEqual([]);
  });

  test("are not a difference for a network without the label either", () => {
    expect(fields(answer(unlabelled(definition)), asked(definition))).toEqual([]);
  });

  test("do not hide a changed definition", () => {
    for (const current of [answer(asked(definition)), answer(unlabelled(definition))]) {
      expect(fields(current, asked({ ...definition, internal: true }))).toContain("internal");
      expect(fields(current, asked({ ...definition, labels: { a: "1" } }))).toContain("labels.a");
      expect(fields(current, asked({ ...definition, ...subnets({ subnet: "10.9.0.0/16" }) }))).toContain("ipam.config");
    }
  });
});

test.each<[string, object, (spec: NetworkSpec) => NetworkSpec]>([
  [
    "drops",
    {
      driver_opts: { keep: "1", drop: "2" },
      ipam: { options: { drop: "3" }, config: [{ subnet: "10.9.0.0/16", ip_range: "10.9.1.0/24" }] },
    },
    (spec) => ({
      ...spec,
      driverOptions: { keep: "1" },
      ipam: { driver: "default", options: {}, config: [{ subnet: "10.9.0.0/16" }] },
    }),
  ],
  [
    "renames",
    { driver_opts: { "com.docker.network.driver.mtu": 1400 } },
    (spec) => ({ ...spec, driverOptions: { mtu: "1400" } }),
  ],
])("a part of the definition that an engine %s is not a difference", (_, definition, answer) => {
  expect(fields(answer(asked(definition)), asked(definition))).toEqual([]);
});

describe("a changed definition is a difference, whatever the engine answered:", () => {
  const full = {
    driver: "bridge",
    driver_opts: { mtu: 1400 },
    enable_ipv6: true,
    ipam: {
      options: { a: "1" },
      config: [
        { subnet: "10.9.0.0/16", gateway: "10.9.0.9", aux_addresses: { a: "10.9.0.8" } },
        { subnet: "2001:db8::/64" },
      ],
    },
  };
  const [v4, v6] = full.ipam.config;
  const { gateway: _, ...ungated } = v4 ?? {};

  test.each<[string, object, string[]]>([
    ["a gateway is not asked for any more", { ipam: { ...full.ipam, config: [ungated, v6] } }, ["ipam.config"]],
    ["another gateway", { ipam: { ...full.ipam, config: [{ ...v4, gateway: "10.9.0.7" }, v6] } }, ["ipam.config"]],
    ["another subnet", { ipam: { ...full.ipam, config: [v4, { subnet: "2001:db9::/64" }] } }, ["ipam.config"]],
    ["one subnet less", { ipam: { ...full.ipam, config: [v4] } }, ["ipam.config"]],
    ["no addresses", { ipam: { options: { a: "1" } } }, ["labels.io.balena.private.ipam.config", "ipam.config"]],
    ["an option less", { driver_opts: {} }, ["driver_opts.mtu"]],
    ["another option", { driver_opts: { mtu: 1500 } }, ["driver_opts.mtu"]],
    ["an option of its addresses less", { ipam: { config: full.ipam.config } }, ["ipam.options.a"]],
    ["another driver", { driver: "macvlan" }, ["driver"]],
    ["no IPv6", { enable_ipv6: false }, ["enable_ipv6"]],
    ["internal", { internal: true }, ["internal"]],
    [
      "nothing at all",
      { driver_opts: {}, enable_ipv6: false, ipam: {} },
      [...["driver_opts.mtu", "enable_ipv6", "labels.io.balena.private.ipam.config", "ipam.options.a", "ipam.config"]],
    ],
  ])("%s", (_, change, expected) => {
    expect(fields(asked(full), asked({ ...full, ...change }))).toEqual(expected);
  });
});

describe("a network of the reference implementation, or of an agent before the label", () => {
  const definition = subnets({ subnet: "172.30.0.0/16", gateway: "172.30.0.1" });

  test.each<[string, object]>([
    ["without wishes", {}],
    ["with addresses", definition],
    ["with options", { driver_opts: { mtu: "1400" }, internal: true }],
    ["with labels", { labels: { a: "1" } }],
    ["of another driver", { driver: "macvlan", driver_opts: { parent: "eth0" } }],
  ])("is kept: %s", (_, given) => {
    expect(fields(unlabelled(given), asked(given))).toEqual([]);
  });

  test.each<[string, object, object]>([
    ["another subnet", definition, subnets({ subnet: "172.31.0.0/16" })],
    ["another gateway", definition, subnets({ subnet: "172.30.0.0/16", gateway: "172.30.0.2" })],
    ["a range", definition, subnets({ subnet: "172.30.0.0/16", ip_range: "172.30.1.0/24" })],
    ["addresses where there were none", {}, definition],
    ["no addresses any more", definition, {}],
    [
      "one of two subnets of a family",
      subnets({ subnet: "10.1.0.0/16" }, { subnet: "10.2.0.0/16" }),
      subnets({ subnet: "10.1.0.0/16" }),
    ],
    ["an option", {}, { driver_opts: { mtu: "1400" } }],
    ["another option", { driver_opts: { mtu: "1400" } }, { driver_opts: { mtu: "1500" } }],
    ["IPv6", {}, { enable_ipv6: true }],
    ["no label any more", { labels: { a: "1" } }, {}],
  ])("is replaced if the definition has %s", (_, before, after) => {
    expect(fields(unlabelled(before), asked(after))).not.toEqual([]);
  });

  test("has the same labels as our network with an empty definition", () => {
    expect(asked({ labels: { a: "1" } }).labels).toEqual({
      a: "1",
      "io.balena.supervised": "true",
      "io.balena.app-id": "1",
    });
  });
});

test("the definition is read back unchanged from the label, whatever the engine returns", () => {
  fc.assert(
    fc.property(networkDefinition, (definition) => {
      const spec = toNetworkSpec(definition, 1);
      expect(networkDifferences(spec, spec)).toEqual([]);
      fc.pre("io.fairlead.network.definition" in spec.labels);
      const other = { ...spec, driverOptions: {}, ipv6: true, ipam: { driver: "x", options: { y: "z" }, config: [] } };
      expect(askedOfNetwork(other)).toEqual({ ...definition, labels: withoutLabel(spec).labels });
      expect(networkDifferences(other, spec)).toEqual([]);
    }),
  );
});

test.each(["", "{", "[]", '"x"', '{"driver":3}', '{"ipam":{"config":[{"subnet":3}]}}'])(
  "an invalid label (%s) counts as a missing one",
  (text) => {
    const spec = unlabelled({ internal: true });
    const spoilt = { ...spec, labels: { ...spec.labels, "io.fairlead.network.definition": text } };
    expect(fields(spoilt, asked({ internal: true }))).toEqual([]);
  },
);

test("a composition cannot set the label", () => {
  const definition = { labels: { "io.fairlead.network.definition": '{"internal":true}' } };
  expect(asked(definition).labels).not.toHaveProperty("io.fairlead.network.definition");
  expect(fields(asked(definition), asked(definition))).toEqual([]);
});
