import { wantedBootSettings } from "../model/boot-config.ts";
import { sameJson } from "../model/json.ts";
import type { TargetState } from "../model/target.ts";
import { isTruthy } from "../model/truthy.ts";
import type { CurrentState } from "./current.ts";
import type { Step } from "./step.ts";

/** Logs the config variables that this machine does not support: once until they change. They block no other step. */
export function planRefusals(current: CurrentState, { config }: TargetState): Step[] {
  const refused = [...wantedBootSettings(config, current.bootConfig).refused, ...refusedHostConfig(config, current)];
  return sameJson(refused, current.refusedConfig) ? [] : [{ action: "refuseConfig", refused }];
}

function refusedHostConfig(config: Readonly<Record<string, string>>, { firewall }: CurrentState): string[] {
  const { HOST_FIREWALL_MODE: mode = "", HOST_DISCOVERABILITY, SUPERVISOR_PERSISTENT_LOGGING } = config;
  const refused = (name: string, why: string) => `${name} is not set: ${why}`;
  const isFirewallWanted = mode === "on" || mode === "auto";
  return [
    ...(isFirewallWanted && typeof firewall === "object" && "missing" in firewall
      ? [refused("HOST_FIREWALL_MODE", firewall.missing)]
      : []),
    ...(mode !== "" && mode !== "off" && !isFirewallWanted
      ? [refused("HOST_FIREWALL_MODE", `expected on, off or auto, but got ${JSON.stringify(mode)}; taken as off`)]
      : []),
    ...(HOST_DISCOVERABILITY !== undefined && !isTruthy(HOST_DISCOVERABILITY)
      ? [refused("HOST_DISCOVERABILITY", "the host decides itself whether it announces its name (avahi)")]
      : []),
    ...(SUPERVISOR_PERSISTENT_LOGGING !== undefined && isTruthy(SUPERVISOR_PERSISTENT_LOGGING)
      ? [refused("SUPERVISOR_PERSISTENT_LOGGING", "the host decides itself how its journal is kept (journald.conf)")]
      : []),
  ];
}
