import { execFile, spawn, type ChildProcess } from "node:child_process";
import { promisify } from "node:util";
import type { Light } from "./led.ts";

/** A line of a GPIO chip. */
export interface GpioLine {
  /** Such as `gpiochip0`. */
  readonly chip: string;
  /** Its offset. With libgpiod 2, also its name. */
  readonly line: string;
}

/** Parses text such as `gpiochip0:17`. Undefined if it has another form. */
export function parseGpioLine(text: string): GpioLine | undefined {
  const [, chip, line] = /^([A-Za-z0-9][\w./-]*):(\w[\w.-]*)$/.exec(text) ?? [];
  return chip && line ? { chip, line } : undefined;
}

/**
 * An LED on a GPIO line, for boards without an LED in the kernel's LED class. Uses `gpioset` of libgpiod, which holds the
 * line while it runs. When it ends, the line returns to its former state.
 */
export const gpioLight = ({ chip, line }: GpioLine, program = "gpioset"): Light => ({
  async take() {
    const { stdout } = await promisify(execFile)(program, ["--version"]);
    // gpioset(1): version 1 returns at once without --mode=signal; version 2 takes the chip as an option.
    const options = /v1\./.test(stdout) ? ["--mode=signal", chip] : [`--chip=${chip}`];
    let holding: ChildProcess | undefined;
    const release = async () => {
      if (holding) await ended(holding);
      holding = undefined;
    };
    return {
      async turn(on) {
        await release();
        holding = spawn(program, [...options, `${line}=${on ? 1 : 0}`], { stdio: "ignore" });
        await started(holding);
      },
      giveBack: release,
    };
  },
});

const started = (child: ChildProcess): Promise<void> =>
  new Promise((resolve, reject) => void child.once("spawn", resolve).once("error", reject));

async function ended(child: ChildProcess): Promise<void> {
  // gpioset has already exited if the line is in use or unknown.
  if (child.exitCode) throw new Error(`${child.spawnargs.join(" ")} ended with ${child.exitCode}`);
  const end = new Promise<void>((resolve) => void child.once("exit", () => resolve()));
  if (child.exitCode === null && child.signalCode === null) {
    child.kill();
    await end;
  }
}
