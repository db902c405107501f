import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { MemoryLed, MemoryLog } from "../../core/embedded/ports.ts";
import { systemClock } from "../../core/ports/clock.ts";
import type { Led } from "../../core/ports/led.ts";
import { fileLight } from "../../hardware/led-class.ts";
import { BlinkingLed } from "../../hardware/led.ts";
import { embeddedHost } from "../../runtimes/node/embedded-host.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";

/** The promises of `Led` in `core/ports/`. The pattern: test/hardware/led.test.ts. */

interface Bench {
  readonly led: Led;
  readonly hasBlinked: () => boolean;
}

async function memory(): Promise<Bench> {
  const led = new MemoryLed();
  return { led, hasBlinked: () => led.blinks > 0 };
}

async function embedded(): Promise<Bench> {
  const folder = await temporaryFolder();
  const log = new MemoryLog();
  const { led } = embeddedHost(join(folder, "state"), folder, log);
  return { led, hasBlinked: () => log.lines.length > 0 };
}

async function light(): Promise<Bench> {
  const file = join(await temporaryFolder(), "brightness");
  await writeFile(file, "0");
  const led = new BlinkingLed(fileLight(file), systemClock, new MemoryLog());
  onTestFinished(() => led.stop());
  return { led, hasBlinked: () => readFileSync(file, "utf8") === "1" };
}

async function absent(): Promise<Bench> {
  const log = new MemoryLog();
  const led = new BlinkingLed(fileLight(join(await temporaryFolder(), "none")), systemClock, log);
  return { led, hasBlinked: () => log.lines.some((line) => line.startsWith("warning: The LED does not blink")) };
}

test.each([
  ["in memory", memory],
  ["of an embedded host", embedded],
  ["of the kernel's class", light],
  ["that is not there, which the log says instead", absent],
])("the LED %s blinks on request, also on a second request", async (_, create) => {
  const { led, hasBlinked } = await create();
  expect(hasBlinked()).toBe(false);
  led.blink();
  await expect.poll(hasBlinked).toBe(true);
  led.blink();
  await expect.poll(hasBlinked).toBe(true);
});
