import { linesOf } from "../../../core/client/lines.ts";
import type { FleetContext } from "./context.ts";

/** The cloud sends an empty line each 58 s. */
const silenceMs = 70_000;
const pauseMs = 5000;

const clock = {
  sleep: (ms: number, signal?: AbortSignal) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      signal?.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve();
      });
    }),
};

/** Calls `changed` for each change of a fleet until `signal` aborts. Without a stream the caller's own clock must do. */
export async function followChanges(
  { live, visibility }: Pick<FleetContext, "live" | "visibility">,
  fleetId: number,
  changed: () => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const body = await live.changes({ params: { fleetId }, signal });
      changed();
      for await (const _ of linesOf(body, { clock, silenceMs, signal })) changed();
    } catch {
      // It is tried again.
    }
    await Promise.race([new Promise((resolve) => setTimeout(resolve, pauseMs)), visibility.woken()]);
  }
}
