import type { FirewallPolicy } from "../model/firewall.ts";

/** Controls which connections from networks the device accepts. */
export interface Firewall {
  /** The policy that this run of the agent set last; undefined before the first call of `set`. */
  policy(): FirewallPolicy | undefined;
  /** Applies the policy completely or not at all. Open connections stay open. */
  set(policy: FirewallPolicy): Promise<void>;
}
