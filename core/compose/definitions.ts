import * as z from "zod";
import { own, parseJson } from "../model/json.ts";
import type { IpamConfig, NetworkSpec, VolumeSpec } from "../model/network.ts";
import { supervisorNetwork } from "../model/names.ts";
import { Flag, StringMap } from "./quantities.ts";

/** Converts the networks and volumes of a composition to the model. */

const Ipam = z.looseObject({
  driver: z.string().nullish(),
  options: StringMap.nullish(),
  config: z
    .array(
      z
        .looseObject({
          subnet: z.string().nullish(),
          ip_range: z.string().nullish(),
          gateway: z.string().nullish(),
          aux_addresses: StringMap.nullish(),
        })
        .transform(({ subnet, ip_range, gateway, aux_addresses }) =>
          ipamConfig({ subnet, ipRange: ip_range, gateway, auxAddresses: aux_addresses }),
        ),
    )
    .nullish(),
});

export const ipamConfig = (parts: {
  subnet?: string | null | undefined;
  ipRange?: string | null | undefined;
  gateway?: string | null | undefined;
  auxAddresses?: Readonly<Record<string, string>> | null | undefined;
}): IpamConfig => ({
  ...(parts.subnet && { subnet: parts.subnet }),
  ...(parts.ipRange && { ipRange: parts.ipRange }),
  ...(parts.gateway && { gateway: parts.gateway }),
  ...(parts.auxAddresses && Object.keys(parts.auxAddresses).length > 0 && { auxAddresses: parts.auxAddresses }),
});

const NetworkFields = {
  driver: z.string().nullish(),
  driver_opts: StringMap.nullish(),
  enable_ipv6: Flag.nullish(),
  internal: Flag.nullish(),
  config_only: Flag.nullish(),
  labels: StringMap.nullish(),
  ipam: Ipam.nullish(),
};
export const networkFields: readonly string[] = Object.keys(NetworkFields);

/** A network's definition. */
export const NetworkDefinition = z
  .looseObject(NetworkFields)
  .transform(({ driver, driver_opts, enable_ipv6, internal, config_only, labels, ipam }): NetworkSpec => ({
    driver: driver || "bridge",
    driverOptions: driver_opts ?? {},
    ipv6: enable_ipv6 ?? false,
    internal: internal ?? false,
    configOnly: config_only ?? false,
    labels: labels ?? {},
    ipam: { driver: ipam?.driver || "default", options: ipam?.options ?? {}, config: ipam?.config ?? [] },
  }));

const VolumeFields = { driver: z.string().nullish(), driver_opts: StringMap.nullish(), labels: StringMap.nullish() };
export const volumeFields: readonly string[] = Object.keys(VolumeFields);

/** A volume's definition. */
export const VolumeDefinition = z
  .looseObject(VolumeFields)
  .transform(({ driver, driver_opts, labels }): VolumeSpec => ({
    driver: driver || "local",
    driverOptions: driver_opts ?? {},
    labels: labels ?? {},
  }));

// Marks a network with requested addresses. For others, the engine chooses addresses, which must not be compared.
export const ipamLabel = "io.balena.private.ipam.config";

/**
 * The label with the requested definition, as in compose. An engine adds fields to a network, drops unknown options and
 * changes the spelling of addresses. A network with only defaults has no such label. It then has the same labels as in the
 * reference implementation, so that each agent can take over the other's networks.
 */
const definitionLabel = "io.fairlead.network.definition";

/** A network of an application, with the labels that identify it on the engine. */
export function toNetworkSpec(definition: NetworkSpec, appId: number): NetworkSpec {
  const asked = toComposeWords(definition);
  return {
    ...definition,
    labels: {
      ...withoutDefinition(definition.labels),
      "io.balena.supervised": "true",
      "io.balena.app-id": String(appId),
      ...(definition.ipam.config.length > 0 && { [ipamLabel]: "true" }),
      ...(Object.keys(asked).length > 0 && { [definitionLabel]: JSON.stringify(asked) }),
    },
  };
}

export function withoutDefinition(labels: NetworkSpec["labels"]): NetworkSpec["labels"] {
  const { [definitionLabel]: _, ...rest } = labels;
  return rest;
}

/**
 * The requested definition of a network; undefined without the label. The network then has only defaults, or was created
 * by the reference implementation or an older agent.
 */
export function askedOfNetwork({ labels }: NetworkSpec): NetworkSpec | undefined {
  const { data } = NetworkDefinition.safeParse(parseJson(own(labels, definitionLabel) ?? ""));
  return data && { ...data, labels: withoutDefinition(labels) };
}

/** The definition as in compose, without labels and default values. Inverse: `NetworkDefinition`. */
function toComposeWords({ driver, driverOptions, ipv6, internal, configOnly, ipam }: NetworkSpec): object {
  const addresses = ipam.config.map(({ subnet, ipRange: ip_range, gateway, auxAddresses: aux_addresses }) => ({
    subnet,
    ip_range,
    gateway,
    aux_addresses,
  }));
  const managed = {
    ...(ipam.driver !== "default" && { driver: ipam.driver }),
    ...(Object.keys(ipam.options).length > 0 && { options: ipam.options }),
    ...(addresses.length > 0 && { config: addresses }),
  };
  return {
    ...(driver !== "bridge" && { driver }),
    ...(Object.keys(driverOptions).length > 0 && { driver_opts: driverOptions }),
    ...(ipv6 && { enable_ipv6: true }),
    ...(internal && { internal: true }),
    ...(configOnly && { config_only: true }),
    ...(Object.keys(managed).length > 0 && { ipam: managed }),
  };
}

/** A volume of an application, with the labels that identify it on the engine. */
export const toVolumeSpec = (definition: VolumeSpec, appUuid: string): VolumeSpec => ({
  ...definition,
  labels: { ...definition.labels, "io.balena.supervised": "true", "io.balena.app-uuid": appUuid },
});

/** The bridge on which services reach the API. */
export const supervisorNetworkSpec: NetworkSpec = {
  driver: "bridge",
  driverOptions: { "com.docker.network.bridge.name": supervisorNetwork.name },
  internal: false,
  ipv6: false,
  configOnly: false,
  labels: { "io.balena.supervised": "true", [ipamLabel]: "true" },
  ipam: {
    driver: "default",
    options: {},
    config: [{ subnet: supervisorNetwork.subnet, gateway: supervisorNetwork.gateway }],
  },
};
