import { own, type Json } from "../model/json.ts";
import type { IpamConfig, NetworkSpec } from "../model/network.ts";
import { differ, entries, type Difference } from "./differences.ts";
import { askedOfNetwork, withoutDefinition } from "./definitions.ts";

/**
 * The fields in which a network differs from its target, named as in compose. Compares with the definition that was
 * requested when the network was created, if it is known, otherwise with what the engine shows.
 */
export function networkDifferences(current: NetworkSpec, target: NetworkSpec): Difference[] {
  const asked = askedOfNetwork(current);
  const from = asked ?? asAnswered(current, target);
  return [
    ...differ("driver", from.driver, target.driver),
    ...entries("driver_opts.", from.driverOptions, target.driverOptions),
    ...differ("enable_ipv6", from.ipv6, target.ipv6),
    ...differ("internal", from.internal, target.internal),
    ...differ("config_only", from.configOnly, target.configOnly),
    ...entries("labels.", withoutDefinition(from.labels), withoutDefinition(target.labels)),
    ...differ("ipam.driver", from.ipam.driver, target.ipam.driver),
    ...entries("ipam.options.", from.ipam.options, target.ipam.options),
    ...differ("ipam.config", toJson(from.ipam.config), toJson(target.ipam.config)),
  ];
}

/**
 * A network without the definition label: what the engine shows, without fields that the engine may have added. A removed
 * option or gateway is therefore not detected: the network stays until another field changes.
 */
function asAnswered(current: NetworkSpec, target: NetworkSpec): NetworkSpec {
  const named = (from: Readonly<Record<string, string>>, to: Readonly<Record<string, string>>) =>
    Object.fromEntries(Object.entries(from).filter(([name]) => own(to, name) !== undefined));
  return {
    ...current,
    driverOptions: named(current.driverOptions, target.driverOptions),
    ipam: {
      driver: target.ipam.driver === "default" ? "default" : current.ipam.driver,
      options: named(current.ipam.options, target.ipam.options),
      config: current.ipam.config.flatMap((one) => withoutAdditions(one, target.ipam.config)),
    },
  };
}

/** An engine chooses a gateway if none is given, and a subnet for an address family (IPv4, IPv6) without one. */
function withoutAdditions(answered: IpamConfig, asked: readonly IpamConfig[]): readonly IpamConfig[] {
  const isIpv6 = ({ subnet = "" }: IpamConfig) => subnet.includes(":");
  const match = asked.find((one) => canonical(one.subnet ?? "") === canonical(answered.subnet ?? ""));
  if (!match) return asked.length > 0 && !asked.some((one) => isIpv6(one) === isIpv6(answered)) ? [] : [answered];
  const { gateway, ...rest } = answered;
  return [match.gateway === undefined || gateway === undefined ? rest : { ...rest, gateway }];
}

/** A normal form for comparison. The order of subnets does not matter. */
const toJson = (config: readonly IpamConfig[]): Json =>
  config
    .map(({ subnet, ipRange, gateway, auxAddresses }) => ({
      ...(subnet !== undefined && { subnet: canonical(subnet) }),
      ...(ipRange !== undefined && { ip_range: canonical(ipRange) }),
      ...(gateway !== undefined && { gateway: canonical(gateway) }),
      ...(auxAddresses !== undefined && {
        aux_addresses: Object.fromEntries(
          Object.entries(auxAddresses).map(([name, address]) => [name, canonical(address)]),
        ),
      }),
    }))
    .sort((a, b) => ((a.subnet ?? "") < (b.subnet ?? "") ? -1 : 1));

/** Normalizes an address or a subnet, since an IPv6 address has many spellings. */
function canonical(address: string): string {
  const [ip = "", ...length] = address.split("/");
  if (!ip.includes(":")) return address;
  const url = `http://[${ip}]`;
  const spelt = URL.canParse(url) ? new URL(url).hostname.slice(1, -1) : ip.toLowerCase();
  return [spelt, ...length].join("/");
}
