import { command, unknownWord, verbsOf, type Command, type Entry } from "./command.ts";

/** The completion of commands and options in a shell. */

interface Loaded {
  /** "agent", "cloud fleet create". */
  readonly path: string;
  readonly options: readonly string[];
}

/** Every command with its module. */
export const loadAll = (entries: readonly Entry[]): Promise<readonly (readonly [Entry, Command])[]> =>
  Promise.all(entries.map(async (entry) => [entry, await entry.load()] as const));

const loadPaths = async (entries: readonly Entry[]): Promise<readonly Loaded[]> =>
  (await loadAll(entries)).map(([{ usage }, { options }]) => ({
    path: verbsOf(usage).join(" "),
    options: Object.keys(options).map((name) => `--${name}`),
  }));

export const completion = (entries: readonly Entry[]): Command =>
  command({
    options: {},
    about: "For bash: source <(fairlead completion bash). The Debian package installs all three.",
    run: async ({ words: [shell = ""], print }) => print(await completionFor(shell, entries)),
  });

/** The completion for bash, zsh or fish. Throws `UsageError` for another shell. */
export async function completionFor(shell: string, entries: readonly Entry[]): Promise<string> {
  const make = Object.hasOwn(shells, shell) ? shells[shell] : undefined;
  return make?.(await loadPaths(entries)) ?? unknownWord("shell", shell, Object.keys(shells));
}

/** What can follow a command: "" → agent, doctor …; "cloud" → fleet, token …; "cloud fleet" → create … */
function wordsAfter(all: readonly Loaded[]): Map<string, string[]> {
  const after = new Map<string, string[]>();
  for (const { path } of all) {
    const words = path.split(" ");
    words.forEach((word, index) => {
      const before = words.slice(0, index).join(" ");
      const known = after.get(before) ?? [];
      if (!known.includes(word)) after.set(before, [...known, word]);
    });
  }
  return after;
}

/** The longest commands first: a shell takes the first pattern that matches. */
const longestFirst = (all: readonly Loaded[]) => all.toSorted((a, b) => b.path.length - a.path.length);

const shells: Readonly<Record<string, (all: readonly Loaded[]) => string>> = {
  bash: (all) => `# Completion of fairlead for bash.
_fairlead() {
  local current=\${COMP_WORDS[COMP_CWORD]} before="\${COMP_WORDS[*]:1:COMP_CWORD-1}" words
  if [[ $current == -* ]]; then
    case $before in
${longestFirst(all)
  .map(({ path, options }) => `      "${path}"|"${path} "*) words="${options.join(" ")}" ;;`)
  .join("\n")}
    esac
  else
    case $before in
${[...wordsAfter(all)].map(([path, words]) => `      "${path}") words="${words.join(" ")}" ;;`).join("\n")}
      *) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _fairlead fairlead
`,
  zsh: (all) => `#compdef fairlead
local before="\${(j: :)words[2,CURRENT-1]}"
if [[ $PREFIX == -* ]]; then
  case $before in
${longestFirst(all)
  .map(({ path, options }) => `    "${path}"|"${path} "*) compadd -- ${options.join(" ")} ;;`)
  .join("\n")}
  esac
else
  case $before in
${[...wordsAfter(all)].map(([path, words]) => `    "${path}") compadd -- ${words.join(" ")} ;;`).join("\n")}
    *) _files ;;
  esac
fi
`,
  fish: (all) => {
    const typed = `(string join " " -- (commandline -opc)[2..])`;
    return [
      "# Completion of fairlead for fish.",
      ...[...wordsAfter(all)].map(
        ([path, words]) => `complete -c fairlead -f -n 'test "${typed}" = "${path}"' -a '${words.join(" ")}'`,
      ),
      ...all.flatMap(({ path, options }) =>
        options.map((one) => `complete -c fairlead -n 'string match -q -- "${path}*" "${typed}"' -l ${one.slice(2)}`),
      ),
      "",
    ].join("\n");
  },
};
