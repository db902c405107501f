import { join } from "node:path";
import { format, resolveConfig } from "prettier";
import { expect, test } from "vitest";
import { commonOptions, type Command, type Entry } from "../../runtimes/cli/command.ts";
import { commands } from "../../runtimes/cli/commands.ts";
import { settingRows } from "../../runtimes/node/settings.ts";

/** docs/commands.md is generated: `npx vitest -u --config test/vitest.config.ts commands-page` writes it. */

/** In a table, a bar ends a cell. */
const cell = (text: string): string => text.replaceAll("|", "\\|");

function optionsOf({ options }: Command): string {
  const takesSettings = settingRows.every(({ flag }) => flag in options);
  const rows = Object.entries(options)
    .filter(([name]) => !(name in commonOptions) && !(takesSettings && settingRows.some(({ flag }) => flag === name)))
    .map(([name, { short, type, value, hint }]) => {
      const dash = short === undefined ? "" : `-${short}, `;
      return `| \`${cell(`${dash}--${name}${type === "string" ? ` ${value ?? "<value>"}` : ""}`)}\` | ${cell(hint).replaceAll("<", "\\<")} |`;
    });
  if (takesSettings) return "The options are the settings of the agent: [settings.md](settings.md).";
  return rows.length === 0 ? "" : `| option | meaning |\n| --- | --- |\n${rows.join("\n")}`;
}

async function section({ usage, summary, load }: Entry): Promise<string> {
  const command = await load();
  const about = command.about?.replaceAll("<", "\\<") ?? "";
  const sentence = `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`;
  return [`### \`${usage}\``, sentence, about, optionsOf(command)].filter((part) => part !== "").join("\n\n");
}

const sections = async (entries: readonly Entry[]): Promise<string> =>
  (await Promise.all(entries.map(section))).join("\n\n");

test("docs/commands.md has every command, with its options", async () => {
  const ofCloud = (entry: Entry) => entry.usage.startsWith("cloud ");
  const page = `# Commands

Every command of the program \`fairlead\`, with its options. This page is generated from the list of commands in
\`runtimes/cli/commands.ts\`; \`fairlead --help\` and \`fairlead cloud --help\` print the list, \`fairlead <command> --help\` a command.

Every command takes \`-h\` or \`--help\`, and every one but \`agent\` takes \`--json\`, which prints the answer as JSON. An argument
in \`<…>\` is needed, one in \`[…]\` may be left out, and one with … may be repeated. A device is named by its name, its uuid or
the beginning of its uuid; a fleet by its name or id.

| exit status | meaning |
| --- | --- |
| 0 | done |
| 1 | it failed: the message says why |
| 2 | the command line is wrong: the message says what was expected |

| variable | meaning |
| --- | --- |
| \`FAIRLEAD_CLOUD_URL\`, \`FAIRLEAD_CLOUD_TOKEN\` | the cloud and the token, in place of those that \`cloud init\` has stored |
| \`NO_COLOR\` | no colours |

## On a device

${await sections(commands.filter((entry) => !ofCloud(entry)))}

## With a cloud

${await sections(commands.filter(ofCloud))}
`;
  const file = join(import.meta.dirname, "../../docs/commands.md");
  const style = await resolveConfig(file);
  await expect(await format(page, { ...style, parser: "markdown" })).toMatchFileSnapshot(file);
});
