import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { findProgram } from "../../../hardware/run.ts";
import { command } from "../command.ts";
import type { Environment } from "../io.ts";
import { addressOf, deviceOf } from "./client.ts";

/** A browser has read the file by then. */
const readMs = 5000;

export const open = command({
  options: { print: { type: "boolean", hint: "print the address, with the key if one is needed, and start nothing" } },
  about:
    "A key that is needed is behind # in the address: browsers do not send that part, and the page removes it at once. Without a browser, such as over ssh, the address is printed without the key.",
  run: async ({ options, say, ...io }) => {
    const { base, key } = await addressOf(io);
    // Says what is wrong if no agent answers.
    await (await deviceOf({}, io)).ping();
    const page = `${base}/`;
    const isOpen = await isWithoutKey(base);
    const withKey = isOpen || key === undefined ? page : `${page}#key=${encodeURIComponent(key)}`;
    if (options.print) return say(withKey, { url: withKey });
    const browser = browserOf(io.environment);
    if (browser === undefined)
      return say(
        `Open ${page} in a browser. ${isOpen ? "No key is needed" : "To have the key in the address: --print"}`,
        { url: page },
      );
    await openAddress(browser, withKey);
    say(`The browser opens ${page}`, { url: page });
  },
});

const isWithoutKey = async (base: string): Promise<boolean> => (await fetch(`${base}/v2/device/name`)).ok;

/** The program that opens addresses; undefined if there is none, or no screen. */
export function browserOf(environment: Environment): string | undefined {
  if (process.platform === "darwin") return findProgram("open");
  return environment["DISPLAY"] || environment["WAYLAND_DISPLAY"] ? findProgram("xdg-open") : undefined;
}

/** Everybody on this machine can read the arguments of a program, so the address is in a file that only its user can read. */
export async function openAddress(browser: string, url: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "fairlead-open-"));
  try {
    const file = join(folder, "open.html");
    const safe = url.replace(/&/g, "&amp;").replace(/"/g, "&quot;").replace(/</g, "&lt;");
    await writeFile(file, `<!doctype html><meta http-equiv="refresh" content="0; url=${safe}">`, { mode: 0o600 });
    spawn(browser, [file], { stdio: "ignore", detached: true })
      .on("error", () => undefined)
      .unref();
    await setTimeout(readMs);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
