import * as z from "zod";
import { ipamConfig, ipamLabel } from "../compose/definitions.ts";
import type { Network, NetworkSpec, Volume, VolumeSpec } from "../model/network.ts";

/** The body of `POST /networks/create`. */
export const toNetworkOptions = (name: string, spec: NetworkSpec) => ({
  Name: name,
  CheckDuplicate: true,
  Driver: spec.driver,
  Options: { ...spec.driverOptions },
  Internal: spec.internal,
  EnableIPv6: spec.ipv6,
  ConfigOnly: spec.configOnly,
  Labels: { ...spec.labels },
  IPAM: {
    Driver: spec.ipam.driver,
    Options: { ...spec.ipam.options },
    Config: spec.ipam.config.map(({ subnet, ipRange, gateway, auxAddresses }) => ({
      ...(subnet && { Subnet: subnet }),
      ...(ipRange && { IPRange: ipRange }),
      ...(gateway && { Gateway: gateway }),
      ...(auxAddresses && { AuxiliaryAddresses: { ...auxAddresses } }),
    })),
  },
});

const Texts = z.record(z.string(), z.string()).nullish();
const Text = z.string().nullish();

/** The fields used from the engine's answer to `GET /networks`. */
export const EngineNetwork = z.looseObject({
  Id: z.string(),
  Name: z.string(),
  Driver: Text,
  Options: Texts,
  Internal: z.boolean().nullish(),
  EnableIPv6: z.boolean().nullish(),
  ConfigOnly: z.boolean().nullish(),
  Labels: Texts,
  IPAM: z
    .looseObject({
      Driver: Text,
      Options: Texts,
      Config: z
        .array(z.looseObject({ Subnet: Text, IPRange: Text, Gateway: Text, AuxiliaryAddresses: Texts }))
        .nullish(),
    })
    .nullish(),
});

export function fromEngineNetwork(network: z.output<typeof EngineNetwork>): Network {
  const labels = network.Labels ?? {};
  return {
    id: network.Id,
    name: network.Name,
    spec: {
      driver: network.Driver ?? "bridge",
      driverOptions: network.Options ?? {},
      internal: network.Internal ?? false,
      ipv6: network.EnableIPv6 ?? false,
      configOnly: network.ConfigOnly ?? false,
      labels,
      ipam: {
        driver: network.IPAM?.Driver ?? "default",
        options: network.IPAM?.Options ?? {},
        config: !labels[ipamLabel]
          ? []
          : (network.IPAM?.Config ?? []).map((config) =>
              ipamConfig({
                subnet: config.Subnet,
                ipRange: config.IPRange,
                gateway: config.Gateway,
                auxAddresses: config.AuxiliaryAddresses,
              }),
            ),
      },
    },
  };
}

/** The fields used from the engine's answer to `GET /volumes`. */
export const EngineVolume = z.looseObject({ Name: z.string(), Driver: Text, Options: Texts, Labels: Texts });

export const fromEngineVolume = ({ Name, Driver, Options, Labels }: z.output<typeof EngineVolume>): Volume => ({
  name: Name,
  spec: { driver: Driver ?? "local", driverOptions: Options ?? {}, labels: Labels ?? {} },
});

/** The body of `POST /volumes/create`. */
export const toVolumeOptions = (name: string, { driver, driverOptions, labels }: VolumeSpec) => ({
  Name: name,
  Driver: driver,
  DriverOpts: { ...driverOptions },
  Labels: { ...labels },
});
