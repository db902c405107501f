import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  EngineNetwork,
  EngineVolume,
  fromEngineNetwork,
  fromEngineVolume,
  toNetworkOptions,
} from "../../core/docker-api/network.ts";
import { supervisorNetworkSpec, toNetworkSpec, toVolumeSpec } from "../../core/compose/definitions.ts";
import type { NetworkSpec, VolumeSpec } from "../../core/model/network.ts";
import { networkDefinition } from "./arbitraries.ts";
import { body, entry, faultsOf, read } from "./read.ts";

const plainNetwork: NetworkSpec = {
  driver: "bridge",
  driverOptions: {},
  internal: false,
  ipv6: false,
  configOnly: false,
  labels: {},
  ipam: { driver: "default", options: {}, config: [] },
};
const plainVolume: VolumeSpec = { driver: "local", driverOptions: {}, labels: {} };

describe("networks", () => {
  test.each<[object, Partial<NetworkSpec>]>([
    [{}, {}],
    [{ driver: null, driver_opts: null, labels: null, ipam: null, internal: null, enable_ipv6: null }, {}],
    [{ driver: "" }, {}],
    [{ driver: "bridge" }, {}],
    [{ driver: "macvlan" }, { driver: "macvlan" }],
    [{ driver_opts: { parent: "eth0", mtu: 1400 } }, { driverOptions: { parent: "eth0", mtu: "1400" } }],
    [{ driver_opts: ["parent=eth0"] }, { driverOptions: { parent: "eth0" } }],
    [{ internal: true }, { internal: true }],
    [{ internal: "true" }, { internal: true }],
    [{ enable_ipv6: true }, { ipv6: true }],
    [{ config_only: true }, { configOnly: true }],
    [{ labels: { a: "1" } }, { labels: { a: "1" } }],
    [{ labels: ["a=1", "b"] }, { labels: { a: "1", b: "" } }],
    [{ ipam: {} }, {}],
    [{ ipam: { driver: "default", config: [] } }, {}],
    [
      {
        ipam: {
          driver: "custom",
          options: { a: 1 },
          config: [
            {
              subnet: "172.30.0.0/16",
              ip_range: "172.30.1.0/24",
              gateway: "172.30.0.1",
              aux_addresses: { router: "172.30.0.2" },
            },
            { subnet: "2001:db8::/64" },
          ],
        },
      },
      {
        ipam: {
          driver: "custom",
          options: { a: "1" },
          config: [
            {
              subnet: "172.30.0.0/16",
              ipRange: "172.30.1.0/24",
              gateway: "172.30.0.1",
              auxAddresses: { router: "172.30.0.2" },
            },
            { subnet: "2001:db8::/64" },
          ],
        },
      },
    ],
    [
      { ipam: { config: [{ subnet: "172.30.0.0/16", gateway: null, aux_addresses: {} }] } },
      {
        ipam: { driver: "default", options: {}, config: [{ subnet: "172.30.0.0/16" }] },
      },
    ],
    [{ external: true, attachable: true }, {}],
  ])("%j is %j", (definition, normal) => {
    const { app } = read(body({ "1": entry() }, { networks: { front: definition } }));
    expect(app.networks["front"]).toEqual({ ...plainNetwork, ...normal });
  });

  test.each<[unknown, string]>([
    [null, ": expected an object, but got null"],
    ["x", ': expected an object, but got "x"'],
    [{ driver: 3 }, ".driver: expected a string, but got 3"],
    [{ driver_opts: "a=1" }, '.driver_opts: expected an object, or a list of "name=value", but got "(hidden)"'],
    [{ internal: "maybe" }, '.internal: expected true or false, but got "maybe"'],
    [{ enable_ipv6: 2 }, ".enable_ipv6: expected true or false, but got 2"],
    [{ config_only: {} }, ".config_only: expected true or false, but got {}"],
    [{ labels: 3 }, '.labels: expected an object, or a list of "name=value", but got 3'],
    [{ ipam: [] }, ".ipam: expected an object, but got []"],
    [{ ipam: { config: {} } }, ".ipam.config: expected a list, but got {}"],
    [{ ipam: { config: [{ subnet: 3 }] } }, ".ipam.config[0].subnet: expected a string, but got 3"],
    [{ ipam: { driver: 3 } }, ".ipam.driver: expected a string, but got 3"],
  ])("%j is refused: %s", (definition, fault) => {
    expect(faultsOf(body({ "1": entry() }, { networks: { front: definition } }))).toEqual([
      `local.apps.1.networks.front${fault}`,
    ]);
  });

  test("have their application's name on the engine, and labels that separate the definition from the engine's additions", () => {
    expect(toNetworkSpec({ ...plainNetwork, labels: { a: "1" } }, 7).labels).toEqual({
      a: "1",
      "io.balena.supervised": "true",
      "io.balena.app-id": "7",
    });
    const ipam = { driver: "default", options: {}, config: [{ subnet: "172.30.0.0/16" }] };
    expect(toNetworkSpec({ ...plainNetwork, ipam }, 7).labels).toEqual({
      "io.balena.supervised": "true",
      "io.balena.app-id": "7",
      "io.balena.private.ipam.config": "true",
      "io.fairlead.network.definition": '{"ipam":{"config":[{"subnet":"172.30.0.0/16"}]}}',
    });
  });

  test("keep our label if the composition has one with its name", () => {
    const { labels } = toNetworkSpec({ ...plainNetwork, labels: { "io.balena.app-id": "8" } }, 7);
    expect(labels["io.balena.app-id"]).toBe("7");
  });

  /** An engine's answer: it adds missing addresses and returns null for some empty values. */
  const engineNetwork = (name: string, spec: NetworkSpec) => {
    const { Name, CheckDuplicate: _, IPAM, Options, ...rest } = toNetworkOptions(name, spec);
    const given = IPAM.Config.length > 0;
    return {
      ...rest,
      Id: "n1",
      Name,
      Scope: "local",
      Options: Object.keys(Options).length > 0 ? Options : null,
      IPAM: {
        Driver: IPAM.Driver,
        Options: Object.keys(IPAM.Options).length > 0 ? IPAM.Options : null,
        Config: given ? IPAM.Config : [{ Subnet: "172.18.0.0/16", Gateway: "172.18.0.1" }],
      },
      Containers: {},
    };
  };

  test("are returned by the engine without differences", () => {
    fc.assert(
      fc.property(networkDefinition, (definition) => {
        const spec = toNetworkSpec(definition, 1);
        const answer: unknown = JSON.parse(JSON.stringify(engineNetwork("1_front", spec)));
        expect(fromEngineNetwork(EngineNetwork.parse(answer))).toEqual({ id: "n1", name: "1_front", spec });
      }),
    );
  });

  test("of the engine itself are read too", () => {
    expect(fromEngineNetwork(EngineNetwork.parse({ Id: "h", Name: "host", IPAM: null, Labels: null }))).toEqual({
      id: "h",
      name: "host",
      spec: plainNetwork,
    });
  });

  test("for the API use a bridge with a fixed name and address", () => {
    expect(toNetworkOptions("supervisor0", supervisorNetworkSpec)).toMatchObject({
      Name: "supervisor0",
      Driver: "bridge",
      Options: { "com.docker.network.bridge.name": "supervisor0" },
      IPAM: { Driver: "default", Config: [{ Subnet: "10.114.104.0/25", Gateway: "10.114.104.1" }] },
    });
  });
});

describe("volumes", () => {
  test.each<[object, Partial<VolumeSpec>]>([
    [{}, {}],
    [{ driver: null, driver_opts: null, labels: null }, {}],
    [{ driver: "" }, {}],
    [{ driver: "local" }, {}],
    [{ driver: "nfs" }, { driver: "nfs" }],
    [{ driver_opts: { type: "tmpfs", size: 100 } }, { driverOptions: { type: "tmpfs", size: "100" } }],
    [{ driver_opts: ["type=tmpfs"] }, { driverOptions: { type: "tmpfs" } }],
    [{ labels: ["a=1"] }, { labels: { a: "1" } }],
    [{ external: true }, {}],
  ])("%j is %j", (definition, normal) => {
    const { app } = read(body({ "1": entry() }, { volumes: { data: definition } }));
    expect(app.volumes["data"]).toEqual({ ...plainVolume, ...normal });
  });

  test.each<[unknown, string]>([
    [null, ": expected an object, but got null"],
    [{ driver: 3 }, ".driver: expected a string, but got 3"],
    [{ driver_opts: 3 }, '.driver_opts: expected an object, or a list of "name=value", but got 3'],
    [{ labels: "a" }, '.labels: expected an object, or a list of "name=value", but got "(hidden)"'],
  ])("%j is refused: %s", (definition, fault) => {
    expect(faultsOf(body({ "1": entry() }, { volumes: { data: definition } }))).toEqual([
      `local.apps.1.volumes.data${fault}`,
    ]);
  });

  test("have their application's uuid in their name on the engine", () => {
    expect(toVolumeSpec({ ...plainVolume, labels: { a: "1" } }, "u1").labels).toEqual({
      a: "1",
      "io.balena.supervised": "true",
      "io.balena.app-uuid": "u1",
    });
  });

  test.each<[object, VolumeSpec]>([
    [{ Name: "1_data" }, plainVolume],
    [{ Name: "1_data", Driver: "local", Options: null, Labels: null, Mountpoint: "/x" }, plainVolume],
    [
      { Name: "1_data", Driver: "nfs", Options: { a: "1" }, Labels: { b: "2" } },
      { driver: "nfs", driverOptions: { a: "1" }, labels: { b: "2" } },
    ],
  ])("%j of the engine is %j", (answer, spec) => {
    expect(fromEngineVolume(EngineVolume.parse(answer))).toEqual({ name: "1_data", spec });
  });
});

test.each(["networks", "volumes"])("the names of %s begin with a letter or digit", (kind) => {
  expect(read(body({ "1": entry() }, { [kind]: { "a.b-c_1": {}, "9": {} } })).app).toHaveProperty([kind, "a.b-c_1"]);
  for (const name of ["", "-a", "_a", "a b", "a/b", "a!"])
    expect(faultsOf(body({ "1": entry() }, { [kind]: { [name]: {} } }))).toEqual([
      `local.apps.1.${kind}.${name}: expected a name: a letter or digit, then letters, digits, _, . and -, but got ${JSON.stringify(name)}`,
    ]);
});
