import type { FirewallPolicy } from "../model/firewall.ts";
import { sameJson } from "../model/json.ts";
import type { TargetState } from "../model/target.ts";
import type { CurrentState } from "./current.ts";
import type { Step } from "./step.ts";

/** Sets the firewall according to `HOST_FIREWALL_MODE`: once in each run of the agent, and when the policy changes. */
export function planFirewall({ firewall, localMode }: CurrentState, target: TargetState): Step[] {
  if (firewall !== "unset" && "missing" in firewall) return [];
  const policy: FirewallPolicy = { closed: isClosed(target), localMode };
  return firewall !== "unset" && sameJson({ ...firewall }, { ...policy }) ? [] : [{ action: "setFirewall", policy }];
}

function isClosed({ config, apps }: TargetState): boolean {
  switch (config["HOST_FIREWALL_MODE"]) {
    case "on":
      return true;
    case "auto":
      // Only a service on the host's network can listen on the host's ports itself.
      return apps.some(({ services }) => services.some(({ config: { networkMode } }) => networkMode === "host"));
    default:
      return false;
  }
}
