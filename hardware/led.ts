import type { Clock } from "../core/ports/clock.ts";
import type { Led } from "../core/ports/led.ts";
import type { Log } from "../core/ports/log.ts";

/** A light that can be switched on and off. */
export interface Light {
  /** Takes control of the light, for example from a kernel trigger. */
  take(): Promise<LightSwitch>;
}

interface LightSwitch {
  turn(on: boolean): Promise<void>;
  /** Restores the light's former state. */
  giveBack(): Promise<void>;
}

const halfPeriodMs = 200;
const lengthMs = 15_000;

/** Blinks with a light, and restores its former state afterwards. */
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

  /** Stops blinking at once, and restores the light's former state. */
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
