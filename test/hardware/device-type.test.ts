import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { deviceType } from "../../hardware/device-type.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";

test.each<[string | undefined, string, string]>([
  ["Raspberry Pi 4 Model B Rev 1.4", "aarch64", "raspberrypi4-64"],
  ["Raspberry Pi 3 Model B Plus Rev 1.3", "aarch64", "raspberrypi3-64"],
  ["Raspberry Pi 3 Model B Plus Rev 1.3", "armv7hf", "raspberrypi3"],
  ["Raspberry Pi 2 Model B Rev 1.1", "armv7hf", "raspberry-pi2"],
  ["Raspberry Pi Zero W Rev 1.1", "rpi", "raspberry-pi"],
  ["Raspberry Pi Model B Plus Rev 1.2", "rpi", "raspberry-pi"],
  ["Raspberry Pi Zero 2 W Rev 1.0", "aarch64", "raspberrypi0-2w-64"],
  ["Raspberry Pi 400 Rev 1.0", "aarch64", "raspberrypi400-64"],
  ["Raspberry Pi 5 Model B Rev 1.0", "aarch64", "raspberrypi5"],
  ["TI AM335x BeagleBone Black", "armv7hf", "beaglebone-black"],
  // A compute module does not show its carrier board.
  ["Raspberry Pi Compute Module 4 Rev 1.0", "aarch64", "generic-aarch64"],
  ["Raspberry Pi 4 Model B Rev 1.4", "armv7hf", "generic-armv7hf"],
  ["Radxa ROCK 5B", "aarch64", "generic-aarch64"],
  [undefined, "amd64", "generic-amd64"],
])("%s on %s is a %s", async (model, arch, slug) => {
  const root = await temporaryFolder();
  await mkdir(join(root, "proc/device-tree"), { recursive: true });
  if (model !== undefined) await writeFile(join(root, "proc/device-tree/model"), `${model}\0`);
  expect(deviceType(root, arch)).toBe(slug);
});
