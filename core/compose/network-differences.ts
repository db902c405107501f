import { own, type Json } from "../model/json.ts";
import type { IpamConfig, NetworkSpec } from "../model/network.ts";
import { differ, entries, type Difference } from "./differences.ts";
import { askedOfNetwork, withoutDefinition } from "./definitions.ts";

/**
 * Every field in which a network on the engine is not what is asked for, in the words of compose. Empty: it can stay.
 * What it was asked to be is compared, where that is known, and not what the engine made of it.
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
 * A network without the definition label, less what the engine may have added. That an option or a gateway was removed from
 * the definition goes unnoticed: the network stays until another field changes.
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

/** An engine chooses a gateway where none is named, and a subnet of a family (IPv4, IPv6) of which none is named. */
function withoutAdditions(answered: IpamConfig, asked: readonly IpamConfig[]): readonly IpamConfig[] {
  const isIpv6 = ({ subnet = "" }: IpamConfig) => subnet.includes(":");
  const match = asked.find((one) => canonical(one.subnet ?? "") === canonical(answered.subnet ?? ""));
  if (!match) return asked.length > 0 && !asked.some((one) => isIpv6(one) === isIpv6(answered)) ? [] : [answered];
  const { gateway, ...rest } = answered;
  return [match.gateway === undefined || gateway === undefined ? rest : { ...rest, gateway }];
}

/** One form for all spellings, in which the order of subnets does not count. */
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

/** An address or a subnet in one spelling: an IPv6 address has many. */
function canonical(address: string): string {
  const [ip = "", ...length] = address.split("/");
  if (!ip.includes(":")) return address;
  const url = `http://[${ip}]`;
  const spelt = URL.canParse(url) ? new URL(url).hostname.slice(1, -1) : ip.toLowerCase();
  return [spelt, ...length].join("/");
}
