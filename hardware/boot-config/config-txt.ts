import type { BootSettings } from "../../core/model/boot-config.ts";

/**
 * The text of a Raspberry Pi's config.txt (raspberrypi.com/documentation/computers/config_txt.html). The agent writes a
 * block at the end of the file, where it overrides the lines above. All other characters of the file stay unchanged.
 */

/** balena's list of the keys that the operating system needs to boot. */
export const forbiddenKeys = [
  "disable_commandline_tags",
  "cmdline",
  "kernel",
  "kernel_address",
  "kernel_old",
  "ramfsfile",
  "ramfsaddr",
  "initramfs",
  "device_tree_address",
  "init_emmc_clock",
  "avoid_safe_mode",
] as const;

const first = "# Below: HOST_CONFIG_ variables of the fleet or device. Changes by hand are lost.";
const last = "# Above: HOST_CONFIG_ variables.";

/** A file without the agent's block, and the settings in that block. */
export interface ConfigTxt {
  readonly foreign: string;
  readonly settings: BootSettings;
}

/** The inverse of `renderConfigTxt`. */
export function parseConfigTxt(text: string): ConfigTxt {
  const start = text.indexOf(`${first}\n`);
  const end = text.indexOf(`${last}\n`, start);
  if (start < 0 || end < 0) return { foreign: text, settings: {} };
  const before = text.slice(0, start);
  const after = text.slice(end + last.length + 1);
  const settings = parseBlock(text.slice(start + first.length + 1, end));
  if (after === lineWasOpen) return { foreign: before.slice(0, -1), settings };
  // Lines that somebody has added below the block are meant for every board.
  return { foreign: after === "" ? before : `${before}[all]\n${after}`, settings };
}

export function renderConfigTxt({ foreign, settings }: ConfigTxt): string {
  if (Object.keys(settings).length === 0) return foreign;
  const open = foreign !== "" && !foreign.endsWith("\n");
  return [foreign, open ? "\n" : "", `${first}\n`, renderBlock(settings), `${last}\n`, open ? lineWasOpen : ""].join(
    "",
  );
}

const lineWasOpen = "# The line before this block had no end.\n";

/**
 * `[all]` ends the section above. An empty `dtoverlay` ends the scope of the last overlay above, to which a `dtparam` would
 * belong. Each parameter of an overlay has a line of its own, since the boot loader cuts off long lines.
 */
function renderBlock({ dtoverlay = [], dtparam = [], ...others }: BootSettings): string {
  const line = (key: string) => (value: string) => `${key}=${value}\n`;
  return [
    "[all]\n",
    ...Object.entries(others).flatMap(([key, values]) => values.map(line(key))),
    "dtoverlay=\n",
    ...dtparam.map(line("dtparam")),
    ...dtoverlay.flatMap((overlay) => {
      const [name = "", ...params] = overlay.split(",");
      return [line("dtoverlay")(name), ...params.map(line("dtparam"))];
    }),
  ].join("");
}

function parseBlock(text: string): BootSettings {
  const settings: Record<string, string[]> = {};
  const overlays: string[] = [];
  for (const line of text.split("\n")) {
    const [key = "", value] = line.split(/=(.*)/s);
    if (value === undefined) continue;
    if (key === "dtoverlay") overlays.push(value);
    // The first overlay is the empty one at the beginning of the block.
    else if (key === "dtparam" && overlays.length > 1) overlays.push(`${overlays.pop()},${value}`);
    else (settings[key] ??= []).push(value);
  }
  const dtoverlay = overlays.slice(1);
  return { ...settings, ...(dtoverlay.length > 0 && { dtoverlay }) };
}
