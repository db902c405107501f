import type { Clock } from "../core/ports/clock.ts";
import type { Led } from "../core/ports/led.ts";
import type { Log } from "../core/ports/log.ts";

/** Something that shines or not. */
export interface Light {
  /** Takes it from whatever governs it. */
  take(): Promise<LightSwitch>;
}

interface LightSwitch {
  turn(on: boolean): Promise<void>;
  /** Puts back what was there. */
  giveBack(): Promise<void>;
}

const halfPeriodMs = 200;
const lengthMs = 15_000;

/** Blinks by a light, and puts back what was there. */
export class BlinkingLed implements Led {
  readonly #light: Light;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #end = new AbortController();
  #until = 0;
  #blinking: Promise<void> | undefined;

  constructor(light: Light, clock: Clock, log: Log) {
    this.#light = light;
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
    const light = await this.#light.take();
    try {
      for (let on = true; this.#clock.now() < this.#until && !this.#end.signal.aborted; on = !on) {
        await light.turn(on);
        await this.#clock.sleep(halfPeriodMs, this.#end.signal);
      }
    } finally {
      await light.giveBack();
    }
  }
}
