import { readFileSync } from "node:fs";
import { machine } from "node:os";
import { join } from "node:path";

/** From Node's names of architectures to balena's. Source: balena's contracts, `arch.sw`. */
const architectures: Readonly<Partial<Record<NodeJS.Architecture, string>>> = {
  x64: "amd64",
  arm64: "aarch64",
  arm: "armv7hf",
  ia32: "i386",
};

export const balenaArchitecture = (): string =>
  // Node reports "arm" for ARMv6 (the first Raspberry Pis) and for ARMv7.
  machine() === "armv6l" ? "rpi" : (architectures[process.arch] ?? process.arch);

/**
 * The model in a board's device tree, and balena's slug for the board with a 64-bit and with a 32-bit system. Only boards
 * that their model identifies uniquely. Source: balena's contracts, `hw.device-type`, and the kernel's device trees.
 */
const boards: readonly { readonly model: RegExp; readonly aarch64?: string; readonly arm?: string }[] = [
  { model: /^Raspberry Pi (Model|Zero W|Zero Rev)/, arm: "raspberry-pi" },
  { model: /^Raspberry Pi Zero 2 W/, aarch64: "raspberrypi0-2w-64" },
  { model: /^Raspberry Pi 2 /, arm: "raspberry-pi2" },
  { model: /^Raspberry Pi 3 /, aarch64: "raspberrypi3-64", arm: "raspberrypi3" },
  { model: /^Raspberry Pi 4 /, aarch64: "raspberrypi4-64" },
  { model: /^Raspberry Pi 400 /, aarch64: "raspberrypi400-64" },
  { model: /^Raspberry Pi 5 /, aarch64: "raspberrypi5" },
  { model: /^TI AM335x BeagleBone Black/, arm: "beaglebone-black" },
  { model: /^NVIDIA Jetson Nano Developer Kit/, aarch64: "jetson-nano" },
];

/** balena's slug for the board. For an unknown board, the generic slug of its architecture. */
export function deviceType(hostRoot: string, arch: string): string {
  const model = boardModel(hostRoot);
  const board = boards.find((one) => one.model.test(model));
  return (arch === "aarch64" ? board?.aarch64 : board?.arm) ?? `generic-${arch}`;
}

/** The board's model in its device tree; empty without one. Source: the kernel's devicetree usage model. */
export function boardModel(hostRoot: string): string {
  try {
    return readFileSync(join(hostRoot, "proc/device-tree/model"), "utf8");
  } catch {
    return "";
  }
}
