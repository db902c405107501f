import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { gpioLight, parseGpioLine } from "../../hardware/led-gpio.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";

test.each([
  ["gpiochip0:17", { chip: "gpiochip0", line: "17" }],
  ["/dev/gpiochip4:STATUS_LED", undefined],
  ["gpiochip4:STATUS_LED", { chip: "gpiochip4", line: "STATUS_LED" }],
  ["gpiochip0", undefined],
  ["17", undefined],
  ["gpiochip0:", undefined],
  ["--help:1", undefined],
  ["gpiochip0:-1", undefined],
  ["gpiochip0:1=1 2", undefined],
])("%j is parsed as %j", (text, line) => {
  expect(parseGpioLine(text)).toEqual(line);
});

/** A fake gpioset: it prints a version and records its arguments and its end. */
async function gpioset(version: string, then = "trap 'echo let go >>LOG; exit 0' TERM; while :; do sleep 0.01; done") {
  const folder = await temporaryFolder();
  const [program, log] = [join(folder, "gpioset"), join(folder, "log")];
  await writeFile(log, "");
  await writeFile(
    program,
    `#!/bin/sh
[ "$1" = --version ] && { echo "gpioset (libgpiod) ${version}"; exit 0; }
echo "$@" >>LOG
${then}
`.replaceAll("LOG", log),
  );
  await chmod(program, 0o755);
  return { program, calls: async () => (await readFile(log, "utf8")).split("\n").filter(Boolean) };
}

describe("a line of a GPIO chip", () => {
  const line = { chip: "gpiochip0", line: "17" };

  test.each([
    ["v1.6.3", "--mode=signal gpiochip0"],
    ["v2.2.1", "--chip=gpiochip0"],
  ])("is held by gpioset %s, and released before each change and at the end", async (version, options) => {
    const { program, calls } = await gpioset(version);
    const light = await gpioLight(line, program).take();
    for (const [on, level] of [
      [true, 1],
      [false, 0],
    ] as const) {
      await light.turn(on);
      await expect.poll(async () => (await calls()).at(-1)).toBe(`${options} 17=${level}`);
      // It handles signals a moment after it reports that it runs.
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await light.giveBack();
    expect(await calls()).toEqual([`${options} 17=1`, "let go", `${options} 17=0`, "let go"]);
  });

  test("that cannot be requested is an error", async () => {
    const { program, calls } = await gpioset("v1.6.3", "exit 1");
    const light = await gpioLight(line, program).take();
    await light.turn(true);
    await expect.poll(calls).toHaveLength(1);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await expect(light.turn(false)).rejects.toThrow(/gpioset --mode=signal gpiochip0 17=1 ended with 1$/);
  });

  test("cannot be used without gpioset", async () => {
    await expect(gpioLight(line, "/nonexistent/gpioset").take()).rejects.toThrow("ENOENT");
  });
});
