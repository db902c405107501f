import { accessSync, constants, readdirSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Light } from "./led.ts";

/**
 * An LED of the kernel's LED class, through its brightness file (Documentation/leds/leds-class.rst), or any file that
 * accepts 1 and 0. The LED's trigger, such as the SD card's activity, is switched off while the agent uses the LED.
 */
export const fileLight = (file: string): Light => ({
  async take() {
    const ofClass = basename(file) === "brightness";
    const beside = async (name: string) =>
      ofClass ? await readFile(join(dirname(file), name), "utf8").catch(() => undefined) : undefined;
    const before = (await readFile(file, "utf8")).trim() || "0";
    const on = (await beside("max_brightness"))?.trim() || "1";
    // The file lists all triggers, with the active one in brackets.
    const trigger = /\[(.+)\]/.exec((await beside("trigger")) ?? "")?.[1] ?? "none";
    const setTrigger = (name: string) => writeFile(join(dirname(file), "trigger"), name);
    if (trigger !== "none") await setTrigger("none");
    return {
      turn: (shining) => writeFile(file, shining ? on : "0"),
      async giveBack() {
        // Brightness first: writing 0 to it removes the trigger.
        await writeFile(file, before);
        if (trigger !== "none") await setTrigger(trigger);
      },
    };
  },
});

/** Names of suitable LEDs, preferred ones first: the Raspberry Pi's, then the kernel's names of LED functions. */
const known = [
  /^(led0|ACT)$/,
  /^(led1|PWR)$/,
  /(^|:|_)(status|indicator)$/,
  /(^|:)(heartbeat|activity|act|usr0|power|pwr)$/,
];

/** The brightness file of the first LED in the order of `known` that the agent can write to. */
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
