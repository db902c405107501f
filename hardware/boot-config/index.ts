import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { BootConfig } from "../../core/ports/boot-config.ts";
import type { Missing } from "../../core/ports/index.ts";
import { boardModel } from "../device-type.ts";
import { replaceFile } from "../replace-file.ts";
import { forbiddenKeys, parseConfigTxt, renderConfigTxt } from "./config-txt.ts";

/** The paths of config.txt on balenaOS, on Raspberry Pi OS since bookworm, and before. */
const places = ["mnt/boot/config.txt", "boot/firmware/config.txt", "boot/config.txt"];

/** The boot loader's settings on this board. `file` replaces the search for config.txt. */
export function findBootConfig(hostRoot: string, file: string | undefined): BootConfig | Missing {
  if (file !== undefined) return configTxt(file);
  if (!boardModel(hostRoot).startsWith("Raspberry Pi"))
    return { missing: "the agent supports the boot configuration of a Raspberry Pi only" };
  const found = places.map((place) => join(hostRoot, place)).find((one) => existsSync(one));
  return found === undefined
    ? { missing: `there is no ${places.map((place) => `/${place}`).join(", no ")}` }
    : configTxt(found);
}

const configTxt = (file: string): BootConfig => ({
  prefix: "HOST_CONFIG_",
  forbidden: forbiddenKeys,
  read: async () => parseConfigTxt(await readFile(file, "utf8")).settings,
  write: async (settings) => {
    const { foreign } = parseConfigTxt(await readFile(file, "utf8"));
    await replaceFile(file, renderConfigTxt({ foreign, settings }));
  },
});
