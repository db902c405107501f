import { commands } from "./commands.ts";
import type { Command, Entry, Options } from "./command.ts";

/** The texts of `--help`. */

const ofCloud = ({ usage }: Entry): boolean => usage.startsWith("cloud ");

const programHelp = (): string => `Usage: fairlead <command> [options]

${listOf(commands.filter((entry) => !ofCloud(entry)))}
  cloud …   manage fleets, devices, releases and tokens: fairlead cloud --help

fairlead <command> --help lists the arguments and options of a command. fairlead --version prints the version.
`;

const cloudHelp = (): string => `Usage: fairlead cloud <command> [options]

${listOf(commands.filter(ofCloud))}

A <fleet> is given by its name or id; a <device> by its name, its uuid, or the beginning of one.
fairlead cloud <command> --help lists the arguments and options of a command.

The commands use the cloud of fairlead cloud init, or that of FAIRLEAD_CLOUD_URL and FAIRLEAD_CLOUD_TOKEN.
`;

/** The help of the commands that begin with these words. */
export function groupHelp(words: readonly string[]): string {
  const group = words.join(" ");
  if (group === "") return programHelp();
  if (group === "cloud") return cloudHelp();
  const entries = commands.filter(({ usage }) => usage === group || usage.startsWith(`${group} `));
  return `Usage: fairlead ${group} <command> [options]\n\n${listOf(entries)}\n`;
}

export const commandHelp = ({ usage, summary }: Entry, { options, about }: Command): string =>
  [
    `Usage: fairlead ${usage} [options]`,
    `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`,
    ...(about === undefined ? [] : [about]),
    `Options:\n${optionList(options)}`,
  ]
    .map((part) => `${part}\n`)
    .join("\n");

function listOf(entries: readonly Entry[]): string {
  const width = Math.min(38, Math.max(...entries.map(({ usage }) => usage.length)));
  return entries.map(({ usage, summary }) => `  ${usage.padEnd(width)}  ${summary}`).join("\n");
}

function optionList(options: Options): string {
  const rows = Object.entries(options).map(([name, { short, type, value, hint }]) => {
    const flag = `${short === undefined ? "" : `-${short}, `}--${name}`;
    return [type === "string" ? `${flag} ${value ?? "<value>"}` : flag, hint] as const;
  });
  const width = Math.max(...rows.map(([flag]) => flag.length));
  return rows.map(([flag, hint]) => `  ${flag.padEnd(width)}  ${hint}`).join("\n");
}
