import { didYouMean } from "../../core/model/nearest.ts";
import { bareName } from "../../core/model/secrets.ts";
import { UsageError } from "../node/settings-error.ts";
import { firstWord, splitAt, verbsOf, type Entry } from "./command.ts";
import { commands } from "./commands.ts";
import { commandHelp, groupHelp } from "./help.ts";
import type { Io } from "./io.ts";

/** `fairlead <args>`. Resolves with the exit status. Throws `SettingsError` for faults that the user can correct. */
export async function runProgram(args: readonly string[], io: Io): Promise<number> {
  const [first = "", ...rest] = args;
  if (first === "--version" || first === "version") {
    const { programVersion } = await import("./version.ts");
    return (io.print(`fairlead ${programVersion()}\n`), 0);
  }
  if (first === "help") return runProgram([...rest, "--help"], io);
  const entry = findEntry(args);
  if (!entry) return showGroup(args, io);
  const verbs = verbsOf(entry.usage);
  const command = await entry.load();
  const own = args.slice(verbs.length);
  // `fairlead cloud fleet` lists the fleets, and is also the beginning of other commands.
  const isGroup = commandsUnder(verbs).length > 0;
  // The help of `exec web ls --help` is that of ls.
  if (splitAt(own, command.options, command.passThroughAfter)[0].some(isHelp))
    return (io.print(isGroup ? groupHelp(verbs) : commandHelp(entry, command)), 0);
  const word = firstWord(own, command.options);
  if (isGroup && word !== undefined) throw new UsageError(noCommand(word, verbs));
  return (await command.run(own, entry.usage, io)) ?? 0;
}

const isHelp = (arg: string): boolean => arg === "--help" || arg === "-h";

/** The command with the most words of those that the arguments begin with. */
const findEntry = (args: readonly string[]): Entry | undefined =>
  commands
    .filter(({ usage }) => verbsOf(usage).every((verb, n) => args[n] === verb))
    .toSorted((a, b) => verbsOf(b.usage).length - verbsOf(a.usage).length)[0];

const commandsUnder = (verbs: readonly string[]): readonly Entry[] =>
  commands.filter(({ usage }) => {
    const own = verbsOf(usage);
    return own.length > verbs.length && verbs.every((verb, n) => own[n] === verb);
  });

/** Prints the help of a group of commands, such as `fairlead cloud`. Throws `UsageError` for other words. */
function showGroup(args: readonly string[], io: Io): number {
  const words = args.filter((arg) => !arg.startsWith("-"));
  const wrong = words.findIndex((_, n) => commandsUnder(words.slice(0, n + 1)).length === 0);
  if (wrong >= 0) throw new UsageError(noCommand(words[wrong] ?? "", words.slice(0, wrong)));
  const option = args.find((arg) => arg.startsWith("-") && !isHelp(arg));
  if (option !== undefined)
    throw new UsageError(
      `There is no option ${option.replace(/=.*/s, "")} without a command; fairlead --help lists them`,
    );
  return (io.print(groupHelp(words)), 0);
}

function noCommand(word: string, group: readonly string[]): string {
  const verbs = new Set(commandsUnder(group).flatMap(({ usage }) => verbsOf(usage)[group.length] ?? []));
  const path = ["fairlead", ...group].join(" ");
  return `There is no command ${path} ${bareName(word)}${didYouMean(word, [...verbs])}\n${path} --help lists the commands`;
}
