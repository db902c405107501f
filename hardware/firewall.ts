import { existsSync } from "node:fs";
import type { FirewallPolicy } from "../core/model/firewall.ts";
import type { Firewall } from "../core/ports/firewall.ts";
import { Iptables, type Ruleset } from "./iptables.ts";
import { missingPrograms, type Run } from "./run.ts";

const chain = "BALENA-FIREWALL";

/** Interfaces that may reach the API: loopback, the bridge of the services, and balenaOS's VPN. */
const trusted = ["lo", "supervisor0", "resin-vpn", "tun0"];

/** Bridges of an engine. Containers on them may send DNS queries to the host. */
const bridges = ["docker0", "balena0", "supervisor0", "br+"];

export interface FirewallRules extends FirewallPolicy {
  readonly apiPort: number;
  /** Whether the API listens on the LAN. */
  readonly onLan: boolean;
}

/**
 * The rules of the firewall. The chain has the name that balenaOS's documentation uses. Packets are rejected and not
 * dropped, so that a client with a wrong configuration sees an error at once.
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
  // Connections that the host redirects to one of its own ports, as for the proxy.
  "-m conntrack --ctstate DNAT -j ACCEPT",
  // ssh; balenaOS uses port 22222.
  "-p tcp -m multiport --dports 22,22222 -j ACCEPT",
  // The engine's API, on balenaOS in development mode.
  ...(developer ? ["-p tcp --dport 2375 -j ACCEPT"] : []),
  ...bridges.map((name) => `-i ${name} -p udp --dport 53 -j ACCEPT`),
  "-m addrtype --dst-type MULTICAST -j ACCEPT",
  ...(family === 4
    ? ["-p icmp -j ACCEPT", "-p udp --sport 67 --dport 68 -j ACCEPT"]
    : ["-p ipv6-icmp -j ACCEPT", "-s fe80::/10 -p udp --sport 547 --dport 546 -j ACCEPT"]),
  "-j REJECT",
];

/** The reason why the agent cannot filter packets. Undefined if it can. */
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

/** A firewall made with iptables, and with ip6tables if the kernel supports IPv6. */
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
    // With port 0, the system can choose the port after the rules were set.
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

  /** For the agent's end. Rules that close the host stay; rules that only protect the API are removed. */
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
