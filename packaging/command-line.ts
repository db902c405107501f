import { settingRows } from "../runtimes/node/settings.ts";
import { commands } from "../runtimes/cli/commands.ts";
import { loadAll } from "../runtimes/cli/completion.ts";
import { commandHelp, groupHelp } from "../runtimes/cli/help.ts";

/** The man page and the settings file, made from the texts of `--help`. */

const roff = (text: string) =>
  text
    .replaceAll("\\", "\\\\")
    .replaceAll("-", "\\-")
    .replace(/^([.'])/gm, "\\&$1");

export const manPage = async (
  version: string,
  date: string,
): Promise<string> => `.TH FAIRLEAD 8 ${date} "fairlead ${version}"
.SH NAME
fairlead \\- keeps the containers of a device in their target state
.SH SYNOPSIS
.B fairlead
.I command
[options]
.SH DESCRIPTION
The service
.B fairlead.service
runs
.BR "fairlead agent" .
The other commands are for people.
.SH COMMANDS
.nf
${roff(groupHelp([]))}
${roff(groupHelp(["cloud"]))}
.fi
${(await loadAll(commands))
  .map(
    ([entry, command]) => `.SH "FAIRLEAD ${entry.usage.toUpperCase()}"\n.nf\n${roff(commandHelp(entry, command))}.fi`,
  )
  .join("\n")}
.SH FILES
.TP
.I /etc/fairlead.env
Settings of the service, as variables.
.TP
.I /var/lib/fairlead
State: the target state, keys, log lines that wait for the cloud, and the config.json that
.B fairlead join
writes.
.SH EXIT STATUS
0: success. 1: failure. 2: the command line is wrong.
.SH SEE ALSO
.BR systemctl (1),
.BR journalctl (1)
`;

/** The settings file of the service: every setting of the agent, as a comment. */
export const settingsFile = (): string =>
  [
    "# Settings of fairlead.service, as VARIABLE=value. After a change: systemctl restart fairlead",
    ...settingRows.map(
      ({ variable, hint, fallback, otherwise }) => `\n# ${hint} (default: ${fallback ?? otherwise})\n#${variable}=`,
    ),
    "",
  ].join("\n");
