import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fileLight, findLed } from "../../hardware/led-class.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";

async function classDevice(files: Readonly<Record<string, string>>, name = "ACT") {
  const root = await temporaryFolder();
  const folder = join(root, "sys/class/leds", name);
  await mkdir(folder, { recursive: true });
  for (const [file, text] of Object.entries(files)) await writeFile(join(folder, file), text);
  return { root, file: join(folder, "brightness"), read: (one: string) => readFile(join(folder, one), "utf8") };
}

describe("an LED of the kernel's class", () => {
  const files = { brightness: "12\n", max_brightness: "255\n", trigger: "none timer [mmc0] heartbeat\n" };

  test("is set to its full brightness, without its trigger meanwhile", async () => {
    const { file, read } = await classDevice(files);
    const light = await fileLight(file).take();
    expect(await read("trigger")).toBe("none");
    await light.turn(true);
    expect(await read("brightness")).toBe("255");
    await light.turn(false);
    expect(await read("brightness")).toBe("0");
    await light.giveBack();
    expect([await read("brightness"), await read("trigger")]).toEqual(["12", "mmc0"]);
  });

  test("without a trigger stays without one", async () => {
    const { file, read } = await classDevice({ ...files, trigger: "[none] timer\n" });
    const light = await fileLight(file).take();
    await light.giveBack();
    expect(await read("trigger")).toBe("[none] timer\n");
  });

  test("without brightness levels is switched on", async () => {
    const { file, read } = await classDevice({ brightness: "0\n", max_brightness: "1\n" });
    const light = await fileLight(file).take();
    await light.turn(true);
    expect(await read("brightness")).toBe("1");
  });
});

test("a file that is not an LED's has no trigger, even with a file of that name beside it", async () => {
  const folder = await temporaryFolder();
  await writeFile(join(folder, "trigger"), "[heartbeat]");
  await writeFile(join(folder, "max_brightness"), "255");
  await writeFile(join(folder, "lamp"), "0");
  const light = await fileLight(join(folder, "lamp")).take();
  await light.turn(true);
  expect(await readFile(join(folder, "lamp"), "utf8")).toBe("1");
  expect(await readFile(join(folder, "trigger"), "utf8")).toBe("[heartbeat]");
});

describe("the board's main LED", () => {
  async function among(...names: readonly string[]) {
    const root = await temporaryFolder();
    for (const name of names) {
      await mkdir(join(root, "sys/class/leds", name), { recursive: true });
      await writeFile(join(root, "sys/class/leds", name, "brightness"), "0");
    }
    return { root, found: findLed(root)?.split("/").at(-2) };
  }

  test.each<[readonly string[], string | undefined]>([
    [["PWR", "ACT", "mmc0::"], "ACT"],
    [["led1", "led0"], "led0"],
    [["PWR"], "PWR"],
    [["beaglebone:green:usr1", "beaglebone:green:usr0"], "beaglebone:green:usr0"],
    [["nanopi:blue:status", "nanopi:green:pwr"], "nanopi:blue:status"],
    [["status_led"], undefined],
    [["input0::capslock", "input0::numlock"], undefined],
    [[], undefined],
  ])("of %j is %s", async (names, name) => {
    expect((await among(...names)).found).toBe(name);
  });

  test("does not exist if the kernel has no LEDs", async () => {
    expect(findLed(await temporaryFolder())).toBeUndefined();
  });

  test.skipIf(process.getuid?.() === 0)("is one that the agent may write to", async () => {
    const { root } = await among("ACT", "PWR");
    await chmod(join(root, "sys/class/leds/ACT/brightness"), 0o444);
    expect(findLed(root)).toMatch(/PWR/);
  });
});
