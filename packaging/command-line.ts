import { execFileSync } from "node:child_process";

/** What the packages say about the command line: all of it comes from the program's own `--help`. */

export interface Command {
  /** "agent", "join"; "cloud fleet create" is a command, too. */
  readonly path: string;
  readonly options: readonly string[];
}

export interface CommandLine {
  /** Help texts by command, "" for the program's. */
  readonly help: Readonly<Record<string, string>>;
  readonly commands: readonly Command[];
}

export function readCommandLine(program: string): CommandLine {
  const ask = (...args: readonly string[]) =>
    execFileSync(process.execPath, [program, ...args, "--help"], { encoding: "utf8" });
  const help = { "": ask(), agent: ask("agent"), join: ask("join"), cloud: ask("cloud") };
  const ofAgent = optionsIn(help.agent);
  const ofCloud = optionsIn(help.cloud);
  return {
    help,
    commands: [
      { path: "agent", options: ofAgent },
      { path: "doctor", options: ofAgent },
      { path: "join", options: optionsIn(help.join) },
      { path: "cloud", options: ofCloud },
      ...[...help.cloud.matchAll(/^ {2}([a-z][a-z-]*(?: [a-z][a-z-]*)?)(?= <| {2})/gm)].map(([, words]) => ({
        path: `cloud ${words}`,
        options: ofCloud,
      })),
    ],
  };
}

const optionsIn = (help: string): string[] => [...help.matchAll(/^ {2}(--[a-z-]+)/gm)].flatMap(([, one]) => one ?? []);

/** What can follow a command: "" → agent, doctor …; "cloud" → fleet, token …; "cloud fleet" → create … */
function wordsAfter({ commands }: CommandLine): Map<string, string[]> {
  const after = new Map<string, string[]>();
  for (const { path } of commands) {
    const words = path.split(" ");
    words.forEach((word, index) => {
      const before = words.slice(0, index).join(" ");
      const known = after.get(before) ?? [];
      if (!known.includes(word)) after.set(before, [...known, word]);
    });
  }
  return after;
}

/** The options by the first word, which alone decides on them. */
const optionsOf = ({ commands }: CommandLine) => commands.filter(({ path }) => !path.includes(" "));

export const bashCompletion = (line: CommandLine): string => `# Completion of fairlead for bash.
_fairlead() {
  local current=\${COMP_WORDS[COMP_CWORD]} before="\${COMP_WORDS[*]:1:COMP_CWORD-1}" words
  if [[ $current == -* ]]; then
    case \${COMP_WORDS[1]} in
${optionsOf(line)
  .map(({ path, options }) => `      ${path}) words="${options.join(" ")}" ;;`)
  .join("\n")}
    esac
  else
    case $before in
${[...wordsAfter(line)].map(([path, words]) => `      "${path}") words="${words.join(" ")}" ;;`).join("\n")}
      *) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _fairlead fairlead
`;

export const zshCompletion = (line: CommandLine): string => `#compdef fairlead
local before="\${(j: :)words[2,CURRENT-1]}"
if [[ $PREFIX == -* ]]; then
  case $words[2] in
${optionsOf(line)
  .map(({ path, options }) => `    ${path}) compadd -- ${options.join(" ")} ;;`)
  .join("\n")}
  esac
else
  case $before in
${[...wordsAfter(line)].map(([path, words]) => `    "${path}") compadd -- ${words.join(" ")} ;;`).join("\n")}
    *) _files ;;
  esac
fi
`;

export const fishCompletion = (line: CommandLine): string =>
  [
    "# Completion of fairlead for fish.",
    ...[...wordsAfter(line)].map(
      ([path, words]) =>
        `complete -c fairlead -f -n 'test "$(string join " " -- (commandline -opc)[2..])" = "${path}"' -a '${words.join(" ")}'`,
    ),
    ...optionsOf(line).flatMap(({ path, options }) =>
      options.map((one) => `complete -c fairlead -n '__fish_seen_subcommand_from ${path}' -l ${one.slice(2)}`),
    ),
    "",
  ].join("\n");

const roff = (text: string) =>
  text
    .replaceAll("\\", "\\\\")
    .replaceAll("-", "\\-")
    .replace(/^([.'])/gm, "\\&$1");

export const manPage = (
  { help }: CommandLine,
  version: string,
  date: string,
): string => `.TH FAIRLEAD 8 ${date} "fairlead ${version}"
.SH NAME
fairlead \\- keeps the containers of a device in their target state
.SH SYNOPSIS
.nf
${roff(synopsis(help[""] ?? ""))}
.fi
.SH DESCRIPTION
The service
.B fairlead.service
runs
.BR "fairlead agent" .
The other commands are for people.
${Object.entries(help)
  .map(
    ([command, text]) => `.SH "FAIRLEAD${command && ` ${command.toUpperCase()}`}"\n.nf\n${roff(text.trimEnd())}\n.fi`,
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
.SH SEE ALSO
.BR systemctl (1),
.BR journalctl (1)
`;

/** The usage lines at the beginning of a help text. */
const synopsis = (help: string): string => (/^Usage: (.*(?:\n {7}.*)*)/.exec(help)?.[1] ?? "").replaceAll(/^ +/gm, "");

/** The settings file of the service: every setting of the agent, as a comment. */
export function settingsFile({ help }: CommandLine): string {
  const settings = [...(help["agent"] ?? "").matchAll(/^ {2}--[a-z-]+ +([A-Z][A-Z_]+) +(.+)$/gm)];
  return [
    "# Settings of fairlead.service, as VARIABLE=value. After a change: systemctl restart fairlead",
    ...settings.map(([, variable, hint]) => `\n# ${hint}\n#${variable}=`),
    "",
  ].join("\n");
}
