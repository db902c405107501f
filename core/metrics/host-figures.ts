import type { Clock } from "../ports/clock.ts";
import type { Measurements, Metrics } from "../ports/metrics.ts";

/** A measurement that is younger is good enough for another reader. */
export const sharedMs = 1_000;

/**
 * The measurements of the machine for several readers: reports, `/metrics`, the history, streams. Readers at the same moment share
 * one measurement, so that their number does not matter.
 */
export class HostFigures implements Metrics {
  readonly #metrics: Metrics;
  readonly #clock: Pick<Clock, "monotonic">;
  #last: { readonly at: number; readonly measured: Promise<Measurements> } | undefined;

  constructor(metrics: Metrics, clock: Pick<Clock, "monotonic">) {
    this.#metrics = metrics;
    this.#clock = clock;
  }

  measure(): Promise<Measurements> {
    const at = this.#clock.monotonic();
    if (this.#last && at - this.#last.at < sharedMs) return this.#last.measured;
    const measured = this.#metrics.measure();
    const last = { at, measured };
    this.#last = last;
    measured.catch(() => {
      if (this.#last === last) this.#last = undefined;
    });
    return measured;
  }
}

/** The load of all cores between two measurements, in percent; the machine's own figure where it does not count the time. */
export function cpuPercentBetween(before: Measurements | undefined, now: Measurements): number {
  if (before?.cpuBusyMs === undefined || now.cpuBusyMs === undefined) return now.cpuPercent;
  const busy = now.cpuBusyMs - before.cpuBusyMs;
  const total = busy + (now.cpuIdleMs ?? 0) - (before.cpuIdleMs ?? 0);
  return total > 0 ? Math.min(100, Math.max(0, Math.round((100 * busy) / total))) : now.cpuPercent;
}
