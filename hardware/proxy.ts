import { join } from "node:path";
import type { Clock } from "../core/ports/clock.ts";
import type { Missing } from "../core/ports/index.ts";
import type { Log } from "../core/ports/log.ts";
import type { Bus } from "./bus.ts";
import { OwnRedsocks } from "./own-redsocks.ts";
import { missing, pieces } from "./pieces.ts";
import { osRedirector, Redsocks } from "./redsocks.ts";
import { missingPrograms, run } from "./run.ts";
import { restartUnit } from "./units.ts";

export interface ProxyHost {
  readonly hostRoot: string;
  /** `ID` of os-release(5). */
  readonly osSlug: string;
  readonly stateDir: string;
  readonly bus: Bus | undefined;
  /** Whether the agent may set iptables rules. */
  readonly canFilter: boolean;
  readonly clock: Clock;
  readonly log: Log;
}

export interface FoundProxy {
  readonly proxy: Redsocks;
  /** Stops the agent's work on the proxy. The proxy itself keeps running. */
  readonly stop: () => Promise<void>;
}

/** Chooses the host's proxy: balenaOS's own, or on other systems a redsocks that the agent runs. */
export function findProxy({ hostRoot, osSlug, stateDir, bus, canFilter, clock, log }: ProxyHost): FoundProxy | Missing {
  if (osSlug === "balena-os") {
    if (!bus) return missing(pieces.bus);
    const folder = join(hostRoot, "mnt/boot/system-proxy");
    const redirector = osRedirector((unit) => restartUnit(bus, unit));
    return { proxy: new Redsocks(folder, redirector, log), stop: () => Promise.resolve() };
  }
  if (!canFilter || missingPrograms(["ip"]).length > 0) return missing(pieces.iptables);
  if (missingPrograms(["redsocks"]).length > 0) return missing(pieces.redsocks);
  const folder = join(stateDir, "system-proxy");
  const redirector = new OwnRedsocks(folder, { clock, log, run });
  return { proxy: new Redsocks(folder, redirector, log), stop: () => redirector.stop() };
}
