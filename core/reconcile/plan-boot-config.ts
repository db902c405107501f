import { wantedBootSettings } from "../model/boot-config.ts";
import { sameJson } from "../model/json.ts";
import type { TargetState } from "../model/target.ts";
import type { CurrentState } from "./current.ts";
import type { Step } from "./step.ts";

/** The boot loader's settings as the target has them. What this machine does not do is said once, and hinders nothing. */
export function planBootConfig({ bootConfig, refusedBootConfig }: CurrentState, { config }: TargetState): Step[] {
  const { settings, refused } = wantedBootSettings(config, bootConfig);
  return [
    ...(sameJson(refused, refusedBootConfig) ? [] : [{ action: "refuseBootConfig" as const, refused }]),
    ...(bootConfig.is === "absent" || sameJson(bootConfig.settings, settings)
      ? []
      : [{ action: "setBootConfig" as const, settings }]),
  ];
}
