import { execFile, spawn, type ChildProcess } from "node:child_process";
import { promisify } from "node:util";
import type { Light } from "./led.ts";

/** A line of a GPIO chip. */
export interface GpioLine {
  /** Such as `gpiochip0`. */
  readonly chip: string;
  /** Its offset, or, since version 2, its name. */
  readonly line: string;
}

/** `gpiochip0:17` → a line; undefined when it is none. */
export function parseGpioLine(text: string): GpioLine | undefined {
  const [, chip, line] = /^([A-Za-z0-9][\w./-]*):(\w[\w.-]*)$/.exec(text) ?? [];
  return chip && line ? { chip, line } : undefined;
}

/**
 * By a GPIO line, for boards on which the kernel knows of no LED, with `gpioset` of libgpiod. It holds the line as long
 * as it runs; then the line goes back to what it was.
 */
export const gpioLight = ({ chip, line }: GpioLine, program = "gpioset"): Light => ({
  async take() {
    const { stdout } = await promisify(execFile)(program, ["--version"]);
    // gpioset(1): version 1 would return at once, and version 2 has the chip as an option.
    const options = /v1\./.test(stdout) ? ["--mode=signal", chip] : [`--chip=${chip}`];
    let holding: ChildProcess | undefined;
    const letGo = async () => {
      if (holding) await ended(holding);
      holding = undefined;
    };
    return {
      async turn(on) {
        await letGo();
        holding = spawn(program, [...options, `${line}=${on ? 1 : 0}`], { stdio: "ignore" });
        await started(holding);
      },
      giveBack: letGo,
    };
  },
});

const started = (child: ChildProcess): Promise<void> =>
  new Promise((resolve, reject) => void child.once("spawn", resolve).once("error", reject));

async function ended(child: ChildProcess): Promise<void> {
  // A line that it cannot have, or does not know, ends it early.
  if (child.exitCode) throw new Error(`${child.spawnargs.join(" ")} ended with ${child.exitCode}`);
  const end = new Promise<void>((resolve) => void child.once("exit", () => resolve()));
  if (child.exitCode === null && child.signalCode === null) {
    child.kill();
    await end;
  }
}
