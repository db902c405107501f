import { wantedBootSettings } from "../model/boot-config.ts";
import { sameJson } from "../model/json.ts";
import type { TargetState } from "../model/target.ts";
import type { CurrentState } from "./current.ts";
import type { Step } from "./step.ts";

/** Writes the target's boot loader settings that this machine supports. */
export function planBootConfig({ bootConfig }: CurrentState, { config }: TargetState): Step[] {
  const { settings } = wantedBootSettings(config, bootConfig);
  return bootConfig.is === "absent" || sameJson(bootConfig.settings, settings)
    ? []
    : [{ action: "setBootConfig", settings }];
}
