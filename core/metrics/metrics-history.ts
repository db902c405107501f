import type { Clock } from "../ports/clock.ts";
import type { Measurements, Metrics } from "../ports/metrics.ts";
import { cpuPercentBetween } from "./host-figures.ts";

/** A day, in samples of a minute. */
export const sampleMs = 60_000;
export const keptSamples = 24 * 60;

/** The figures of a sample, named as in `Measurements`. */
const sampled = ["cpuPercent", "memoryUsedMb", "storageUsedMb", "cpuCelsius"] as const;

/** Samples from the oldest to the newest, as columns of the same length. */
export interface Samples extends Readonly<Record<(typeof sampled)[number], readonly (number | null)[]>> {
  /** Milliseconds since the epoch. */
  readonly at: readonly number[];
}

/** The machine's figures of the last day, in memory: 34 KB. One measurement a minute, no call of the engine, no write. */
export class MetricsHistory {
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  readonly #end = new AbortController();
  /** Monotonic, so that setting the clock moves all samples. */
  readonly #times = new Float64Array(keptSamples);
  /** By sample, then by figure; NaN: unknown. */
  readonly #values = new Float32Array(keptSamples * sampled.length);
  #count = 0;
  #last: Measurements | undefined;

  constructor({ clock, metrics }: { readonly clock: Clock; readonly metrics: Metrics }) {
    this.#clock = clock;
    this.#metrics = metrics;
  }

  get bytes(): number {
    return this.#times.byteLength + this.#values.byteLength;
  }

  /** The newest measurement. */
  get last(): Measurements | undefined {
    return this.#last;
  }

  start(): void {
    void this.#run(this.#end.signal);
  }

  stop(): void {
    this.#end.abort();
  }

  /** The samples after a moment. */
  read(after = -Infinity): Samples {
    const shift = this.#clock.now() - this.#clock.monotonic();
    const first = Math.max(0, this.#count - keptSamples);
    const slots = Array.from({ length: this.#count - first }, (_, n) => (first + n) % keptSamples);
    const timeOf = (slot: number) => Math.round((this.#times[slot] ?? 0) + shift);
    const wanted = slots.filter((slot) => timeOf(slot) > after);
    const column = (n: number) =>
      wanted.map((slot) => {
        const value = this.#values[slot * sampled.length + n];
        return value === undefined || Number.isNaN(value) ? null : value;
      });
    const [cpuPercent, memoryUsedMb, storageUsedMb, cpuCelsius] = [column(0), column(1), column(2), column(3)];
    return { at: wanted.map(timeOf), cpuPercent, memoryUsedMb, storageUsedMb, cpuCelsius };
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      // A measurement that fails leaves a gap; reports say why.
      const measured = await this.#metrics.measure().catch(() => undefined);
      if (measured) this.#add(measured);
      await this.#clock.sleep(sampleMs, signal);
    }
  }

  #add(measured: Measurements): void {
    const slot = this.#count % keptSamples;
    const cpuPercent = cpuPercentBetween(this.#last, measured);
    this.#times[slot] = this.#clock.monotonic();
    for (const [n, name] of sampled.entries())
      this.#values[slot * sampled.length + n] = (name === "cpuPercent" ? cpuPercent : measured[name]) ?? NaN;
    this.#count++;
    this.#last = measured;
  }
}
