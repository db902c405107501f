import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { BootConfig } from "../../core/ports/boot-config.ts";
import type { Missing } from "../../core/ports/index.ts";
import { boardModel } from "../device-type.ts";
import { replaceFile } from "../replace-file.ts";
import { forbiddenKeys, parseConfigTxt, renderConfigTxt } from "./config-txt.ts";

/** Where a Raspberry Pi has it: balenaOS, Raspberry Pi OS since bookworm, and before. */
const places = ["mnt/boot/config.txt", "boot/firmware/config.txt", "boot/config.txt"];

/** How this board's boot loader is told what; `file` overrules the search. */
export function findBootConfig(hostRoot: string, file: string | undefined): BootConfig | Missing {
  if (file !== undefined) return configTxt(file);
  if (!boardModel(hostRoot).startsWith("Raspberry Pi"))
    return { missing: "this board has no boot configuration that the agent knows" };
  const found = places.map((place) => join(hostRoot, place)).find((one) => existsSync(one));
  return found === undefined
    ? { missing: `there is no ${places.map((place) => `/${place}`).join(", no ")}` }
    : configTxt(found);
}

/** The Raspberry Pi's. */
const configTxt = (file: string): BootConfig => ({
  prefix: "HOST_CONFIG_",
  forbidden: forbiddenKeys,
  read: async () => parseConfigTxt(await readFile(file, "utf8")).settings,
  write: async (settings) => {
    const { foreign } = parseConfigTxt(await readFile(file, "utf8"));
    await replaceFile(file, renderConfigTxt({ foreign, settings }));
  },
});
