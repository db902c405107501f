import { readFile, writeFile } from "node:fs/promises";
import type { Clock } from "../core/ports/clock.ts";
import type { Led } from "../core/ports/host.ts";
import type { Log } from "../core/ports/log.ts";

const halfPeriodMs = 200;
const lengthMs = 15_000;

/** Blinks by the brightness file of an LED (Documentation/leds/leds-class.rst of the kernel), and puts back what was there. */
export class FileLed implements Led {
  readonly #file: string;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #end = new AbortController();
  #until = 0;
  #blinking: Promise<void> | undefined;

  constructor(file: string, clock: Clock, log: Log) {
    this.#file = file;
    this.#clock = clock;
    this.#log = log;
  }

  blink(): void {
    this.#until = this.#clock.now() + lengthMs;
    this.#blinking ??= this.#run()
      .catch((error: unknown) => this.#log.warn(`The LED does not blink: ${String(error)}`))
      .finally(() => (this.#blinking = undefined));
  }

  /** Puts back at once what was there. */
  async stop(): Promise<void> {
    this.#end.abort();
    await this.#blinking;
  }

  async #run(): Promise<void> {
    const before = (await readFile(this.#file, "utf8")).trim() || "0";
    try {
      for (let on = true; this.#clock.now() < this.#until && !this.#end.signal.aborted; on = !on) {
        await writeFile(this.#file, on ? "1" : "0");
        await this.#clock.sleep(halfPeriodMs, this.#end.signal);
      }
    } finally {
      await writeFile(this.#file, before);
    }
  }
}
