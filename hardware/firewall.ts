import { existsSync } from "node:fs";
import type { FirewallPolicy } from "../core/model/firewall.ts";
import type { Firewall } from "../core/ports/firewall.ts";
import { Iptables, type Ruleset } from "./iptables.ts";
import { missingPrograms, type Run } from "./run.ts";

const chain = "BALENA-FIREWALL";

/** The bridge on which services reach the API, and the tunnel of balenaOS. */
const trusted = ["lo", "supervisor0", "resin-vpn", "tun0"];

/** Bridges of an engine, whose containers may ask the host for names. */
const bridges = ["docker0", "balena0", "supervisor0", "br+"];

export interface FirewallRules extends FirewallPolicy {
  readonly apiPort: number;
  /** Whether the API answers on the LAN at all. */
  readonly onLan: boolean;
}

/**
 * The rules, in a chain that is called as balenaOS's documentation calls it. What is refused is told so, which is kinder
 * than silence to whoever has made a mistake.
 */
export function firewallRules(family: 4 | 6, { closed, localMode, apiPort, onLan }: FirewallRules): Ruleset {
  const api = `-p tcp --dport ${apiPort}`;
  const open = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT";
  const developer = localMode && onLan;
  return {
    table: "filter",
    chains: {
      [chain]: [
        `${api} ${open}`,
        ...trusted.map((name) => `-i ${name} ${api} -j ACCEPT`),
        `${api} -j ${developer ? "ACCEPT" : "REJECT"}`,
        ...(closed ? closedHost(family, { open, developer }) : []),
      ],
    },
    jumps: [{ from: "INPUT", to: chain, match: "", at: "first" }],
  };
}

const closedHost = (family: 4 | 6, { open, developer }: { open: string; developer: boolean }): string[] => [
  open,
  "-i lo -j ACCEPT",
  // What the host itself leads to one of its ports, as it does for the proxy.
  "-m conntrack --ctstate DNAT -j ACCEPT",
  // The ways in for whoever looks after the machine; 22222 is balenaOS's.
  "-p tcp -m multiport --dports 22,22222 -j ACCEPT",
  // The engine, on balenaOS in development mode.
  ...(developer ? ["-p tcp --dport 2375 -j ACCEPT"] : []),
  ...bridges.map((name) => `-i ${name} -p udp --dport 53 -j ACCEPT`),
  "-m addrtype --dst-type MULTICAST -j ACCEPT",
  ...(family === 4
    ? ["-p icmp -j ACCEPT", "-p udp --sport 67 --dport 68 -j ACCEPT"]
    : ["-p ipv6-icmp -j ACCEPT", "-s fe80::/10 -p udp --sport 547 --dport 546 -j ACCEPT"]),
  "-j REJECT",
];

/** Why the agent cannot filter packets; undefined when the kernel, and whoever confines the agent, let it. */
export async function whyNotFilter(run: Run): Promise<string | undefined> {
  const [absent] = missingPrograms(["iptables-save", "iptables-restore"]);
  if (absent !== undefined) return `there is no program ${absent}`;
  const { code, stderr } = await run("iptables-save", ["-t", "filter"]);
  return code === 0 ? undefined : stderr.trim();
}

export interface FirewallOptions {
  readonly apiPort: () => number;
  readonly onLan: boolean;
  readonly run: Run;
}

/** The firewall by iptables, and by ip6tables where the kernel speaks IPv6. */
export class IptablesFirewall implements Firewall {
  readonly #options: FirewallOptions;
  readonly #families: readonly (readonly [4 | 6, Iptables])[];
  #policy: FirewallPolicy | undefined;
  #guarded = 0;
  #setting: Promise<void> = Promise.resolve();

  constructor(options: FirewallOptions) {
    this.#options = options;
    const hasIPv6 =
      existsSync("/proc/net/if_inet6") && missingPrograms(["ip6tables-save", "ip6tables-restore"]).length === 0;
    this.#families = (hasIPv6 ? [4 as const, 6 as const] : [4 as const]).map((family) => [
      family,
      new Iptables(family, options.run),
    ]);
  }

  policy(): FirewallPolicy | undefined {
    // With port 0 the system may choose the port after the rules were made.
    return this.#guarded === this.#options.apiPort() ? this.#policy : undefined;
  }

  set(policy: FirewallPolicy): Promise<void> {
    return (this.#setting = this.#set(policy));
  }

  async #set(policy: FirewallPolicy): Promise<void> {
    const port = this.#options.apiPort();
    for (const [family, tables] of this.#families) await tables.apply(this.#rules(family, policy, port));
    this.#policy = policy;
    this.#guarded = port;
  }

  /** When the agent ends: what closes the host stays, what only guards the API goes with it. */
  async stop(): Promise<void> {
    await this.#setting.catch(() => undefined);
    if (!this.#policy || this.#policy.closed) return;
    for (const [family, tables] of this.#families)
      await tables.remove(this.#rules(family, this.#policy, this.#guarded));
    this.#policy = undefined;
  }

  #rules(family: 4 | 6, policy: FirewallPolicy, apiPort: number): Ruleset {
    return firewallRules(family, { ...policy, apiPort, onLan: this.#options.onLan });
  }
}
