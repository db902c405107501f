import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Clock } from "../../core/ports/clock.ts";
import type { Log } from "../../core/ports/log.ts";
import { fileLight } from "../../hardware/led-class.ts";
import { BlinkingLed } from "../../hardware/led.ts";

/** A clock on which each sleep ends at once. Before each sleep ends, the test may check and act. */
class QuickClock implements Clock {
  readonly #start: number;
  #now: number;
  readonly #onSleep: (elapsed: number) => void | Promise<void>;

  constructor(onSleep: (elapsed: number) => void | Promise<void>, start = 1_000_000) {
    this.#onSleep = onSleep;
    this.#start = start;
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    await this.#onSleep(this.#now - this.#start);
    if (!signal?.aborted) this.#now += ms;
  }

  random(): number {
    return 0;
  }

  token(): string {
    return "";
  }
}

class Lines implements Log {
  readonly warnings: string[] = [];
  info(): void {}
  error(): void {}
  warn(message: string): void {
    this.warnings.push(message);
  }
}

async function ledFile(before: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "fairlead-led-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, "brightness");
  await writeFile(file, before);
  return file;
}

/** An LED that records its values, with the milliseconds since the clock's start. */
async function world(before: string, during: (elapsed: number) => void | Promise<void> = () => undefined) {
  const file = await ledFile(before);
  const shown: [number, string][] = [];
  const log = new Lines();
  const clock = new QuickClock(async (elapsed) => {
    shown.push([elapsed, readFileSync(file, "utf8")]);
    await during(elapsed);
  });
  const led = new BlinkingLed(fileLight(file), clock, log);
  /** Waits until the LED has blinked and its file no longer changes. */
  const restored = async (value: string) => {
    for (let quiet = 0, seen = 0; quiet < 100; seen = shown.length) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      quiet = seen > 0 && seen === shown.length && readFileSync(file, "utf8") === value ? quiet + 1 : 0;
    }
  };
  return { file, shown, log, led, restored };
}

/** On, off, on… between two times. */
const pattern = (from: number, to: number): [number, string][] =>
  Array.from({ length: (to - from) / 200 }, (_, n) => [from + n * 200, n % 2 === 0 ? "1" : "0"]);

test("the LED blinks for 15 seconds, 200 ms on and 200 ms off, and then has its previous value", async () => {
  const { led, shown, log, restored } = await world("200\n");
  led.blink();
  await restored("200");
  expect(shown.slice(0, 4)).toEqual([
    [0, "1"],
    [200, "0"],
    [400, "1"],
    [600, "0"],
  ]);
  expect(shown).toEqual(pattern(0, 15_000));
  expect(log.warnings).toEqual([]);
});

test.each([
  ["0\n", "0"],
  ["1", "1"],
  ["255\n", "255"],
  ["", "0"],
])("an LED that showed %j shows %s afterwards", async (before, after) => {
  const { led, shown, restored } = await world(before);
  led.blink();
  await restored(after);
  expect(shown).toHaveLength(75);
});

test("a second blink extends the first, without a break in the pattern", async () => {
  const { led, shown, restored } = await world("200", (elapsed) => {
    if (elapsed === 10_000) led.blink();
  });
  led.blink();
  await restored("200");
  expect(shown).toEqual(pattern(0, 25_000));
});

test("many blinks at once count as one", async () => {
  const { led, shown, restored } = await world("200");
  for (let n = 0; n < 10; n++) led.blink();
  await restored("200");
  expect(shown).toEqual(pattern(0, 15_000));
});

test("after one blink has ended, another can start", async () => {
  const { led, shown, restored } = await world("200");
  led.blink();
  await restored("200");
  led.blink();
  await restored("200");
  expect(shown).toEqual([...pattern(0, 15_000), ...pattern(15_000, 30_000)]);
});

test("when the agent ends, the LED has its previous value at once", async () => {
  const stopped: Promise<void>[] = [];
  const { led, shown, restored } = await world("200", (elapsed) => {
    if (elapsed === 3000) stopped.push(led.stop());
  });
  led.blink();
  await restored("200");
  await Promise.all(stopped);
  expect(shown).toEqual(pattern(0, 3200));
});

test("when the agent ends and the LED does not blink, nothing is written", async () => {
  const { led, file } = await world("200\n");
  await led.stop();
  expect(await readFile(file, "utf8")).toBe("200\n");
});

describe("a missing LED", () => {
  test("is logged without a failure", async () => {
    const { led, shown, log, file } = await world("0");
    await rm(file);
    led.blink();
    await led.stop();
    expect(shown).toEqual([]);
    expect(log.warnings).toEqual([expect.stringMatching(/^The LED does not blink: .*ENOENT/)]);
  });

  test("can be used once it appears", async () => {
    const { led, shown, log, file, restored } = await world("0");
    await rm(file);
    led.blink();
    while (log.warnings.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    await writeFile(file, "200");
    led.blink();
    await restored("200");
    expect(shown).toHaveLength(75);
  });

  test("that disappears while it blinks is logged once, and the pattern ends", async () => {
    const { led, shown, log, file } = await world("0", async (elapsed) => {
      if (elapsed !== 1000) return;
      await rm(file);
      await mkdir(file);
    });
    led.blink();
    while (log.warnings.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(log.warnings).toEqual([expect.stringMatching(/^The LED does not blink: /)]);
    expect(shown.at(-1)?.[0]).toBe(1000);
  });
});
