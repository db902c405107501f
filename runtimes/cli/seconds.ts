import { parseDuration } from "../../core/compose/quantities.ts";
import { UsageError } from "../node/settings-error.ts";

/** A time such as `90s` or `10m` in whole seconds; `hint`: which times, in words. Throws `UsageError`. */
export function secondsIn(flag: string, given: string, hint: string, most = Infinity): number {
  const seconds = Math.ceil((parseDuration(given) ?? 0) / 1e9);
  if (seconds >= 1 && seconds <= most) return seconds;
  throw new UsageError(`--${flag}: expected a time ${hint}, but got ${JSON.stringify(given)}`);
}
