import type { FirewallPolicy } from "../model/firewall.ts";

/** Which connections from networks the device accepts. */
export interface Firewall {
  /** The policy last set by this run of the agent; undefined: none yet. */
  policy(): FirewallPolicy | undefined;
  /** Applies the policy completely or not at all. Open connections stay open. */
  set(policy: FirewallPolicy): Promise<void>;
}
