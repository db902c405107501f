import { accessSync, constants, readdirSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Light } from "./led.ts";

/**
 * By the brightness file of the kernel's LED class (Documentation/leds/leds-class.rst), or any file that takes 1 and 0.
 * What else drives the LED, such as the SD card's activity, is its trigger; it would fight with us.
 */
export const fileLight = (file: string): Light => ({
  async take() {
    const ofClass = basename(file) === "brightness";
    const beside = async (name: string) =>
      ofClass ? await readFile(join(dirname(file), name), "utf8").catch(() => undefined) : undefined;
    const before = (await readFile(file, "utf8")).trim() || "0";
    const on = (await beside("max_brightness"))?.trim() || "1";
    // All that there are, the one in charge in brackets.
    const trigger = /\[(.+)\]/.exec((await beside("trigger")) ?? "")?.[1] ?? "none";
    const setTrigger = (name: string) => writeFile(join(dirname(file), "trigger"), name);
    if (trigger !== "none") await setTrigger("none");
    return {
      turn: (shining) => writeFile(file, shining ? on : "0"),
      async giveBack() {
        // In this order: darkness takes the trigger away.
        await writeFile(file, before);
        if (trigger !== "none") await setTrigger(trigger);
      },
    };
  },
});

/** Names of LEDs that boards have for this: Raspberry Pi's first, then the kernel's own words for what an LED is for. */
const known = [
  /^(led0|ACT)$/,
  /^(led1|PWR)$/,
  /(^|:|_)(status|indicator)$/,
  /(^|:)(heartbeat|activity|act|usr0|power|pwr)$/,
];

/** The brightness file of the LED that people are most likely to look at, if it can be written. */
export function findLed(hostRoot: string): string | undefined {
  const folder = join(hostRoot, "sys/class/leds");
  const names = list(folder).sort();
  const found = known.flatMap((name) => names.filter((one) => name.test(one)));
  return found.map((name) => join(folder, name, "brightness")).find(canWrite);
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function canWrite(file: string): boolean {
  try {
    accessSync(file, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
