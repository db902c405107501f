import type { parseArgs } from "node:util";
import { didYouMean } from "../../core/model/nearest.ts";
import { parseFlags } from "../node/flags.ts";
import { UsageError } from "../node/settings-error.ts";
import type { Io } from "./io.ts";
import { details, table } from "./table.ts";

/** What a command is, and how its arguments become its words and options. */

export interface Option {
  readonly type: "string" | "boolean";
  readonly short?: string;
  /** The name of the value in the help: `<seconds>`. */
  readonly value?: string;
  readonly hint: string;
}
export type Options = Readonly<Record<string, Option>>;

/** The options of every command. */
export const commonOptions = {
  json: { type: "boolean", hint: "print the answer as JSON" },
  help: { type: "boolean", short: "h", hint: "print this help" },
} as const satisfies Options;

/** Options of several commands. */
export const yesOption = { type: "boolean", short: "y", hint: "do not ask for confirmation" } as const;
export const fleetOption = { type: "string", value: "<fleet>", hint: "a fleet, by its name or id" } as const;

type Values<O extends Options> = ReturnType<
  typeof parseArgs<{ args: string[]; options: O; strict: true; allowPositionals: true }>
>["values"];

/** A command as it was typed, and the terminal. */
export interface Invocation<O extends Options> extends Io {
  /** The arguments that are no options. */
  readonly words: readonly string[];
  /** The last ones of them, which follow `passThroughAfter`. */
  readonly passedOn: readonly string[];
  readonly options: Values<O & typeof commonOptions>;
  /** Prints objects as a table, one object as a list of its fields; with `--json` as JSON. `empty`: the text instead of an empty table. */
  readonly show: (what: object | readonly object[], empty?: string) => void;
  /** Prints a sentence; with `--json` the answer that it describes. */
  readonly say: (sentence: string, answer: object) => void;
  /** Asks for confirmation, unless `--yes` is set. Throws `UsageError` if nobody can be asked. */
  readonly confirm: (question: string) => Promise<void>;
}

interface Definition<O extends Options> {
  readonly options: O;
  /** Further paragraphs of the help. */
  readonly about?: string;
  /** With `--fleet`, the first argument is omitted. */
  readonly orFleet?: true;
  /** The arguments after this many, or after `--`, are passed on as they are, options included: those of `exec <service> <command>…`. */
  readonly passThroughAfter?: PassThroughAfter;
  /** Resolves with the exit status; undefined means 0. Throws `SettingsError` for faults that the user can correct. */
  readonly run: (invocation: Invocation<O>) => Promise<number | void>;
}

type PassThroughAfter = number | "--";

export interface Command {
  readonly options: Options;
  readonly about?: string;
  readonly passThroughAfter?: PassThroughAfter;
  /** `args`: the arguments after the command's own words. */
  readonly run: (args: readonly string[], usage: string, io: Io) => Promise<number | void>;
}

/** A command in the list of all commands. */
export interface Entry {
  /** Without `fairlead`. `<required>`, `[optional]`; … after the last one: it may be repeated. */
  readonly usage: string;
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

export const command = <const O extends Options>({ options, about, ...definition }: Definition<O>): Command => ({
  options: { ...options, ...commonOptions },
  ...(about !== undefined && { about }),
  ...(definition.passThroughAfter !== undefined && { passThroughAfter: definition.passThroughAfter }),
  run: async (args, usage, io) => {
    const [own, rest] = splitAt(args, options, definition.passThroughAfter);
    const { values, positionals } = parseFlags(own, { ...options, ...commonOptions }, true);
    const given: Readonly<Record<string, unknown>> = values;
    const words = [...positionals, ...rest];
    checkCount(words, usage, definition.orFleet === true && given["fleet"] !== undefined);
    const json = (what: object) => io.print(`${JSON.stringify(what, undefined, 2)}\n`);
    return definition.run({
      ...io,
      words,
      passedOn: rest,
      options: values,
      show: (what, empty = "None") => {
        if (given["json"]) json(what);
        else if (!Array.isArray(what)) io.print(details(what, io));
        else io.print(what.length === 0 ? `${empty}\n` : table(what, io));
      },
      say: (sentence, answer) => (given["json"] ? json(answer) : io.print(`${sentence}\n`)),
      confirm: async (question) => {
        if (given["yes"]) return;
        const answer = await io.ask(`${question} [y/N] `);
        if (/^y(es)?$/i.test(answer.trim())) return;
        throw new UsageError(
          answer === "" && !io.isTerminal ? `${question} To confirm, add --yes` : "Nothing was changed",
        );
      },
    });
  },
});

/** Throws `UsageError` if there are too few or too many words for the usage. */
function checkCount(words: readonly string[], usage: string, omitFirst: boolean): void {
  const wanted = [...usage.matchAll(/(<[^>]+>|\[[^\]]+\])(…?)/g)].slice(omitFirst ? 1 : 0);
  const needed = wanted.filter(([, name = ""]) => name.startsWith("<")).length;
  const isOpen = wanted.some(([, , more]) => more === "…");
  if (words.length >= needed && (isOpen || words.length <= wanted.length)) return;
  const verbs = verbsOf(usage);
  // Variables are not repeated: the message may be logged by a pipeline.
  throw new UsageError(
    `Expected: fairlead ${[...verbs, ...wanted.map(([all]) => all)].join(" ")}, but got ${
      words.length === 0 ? "no argument" : `${words.length} ${words.length === 1 ? "argument" : "arguments"}`
    }`,
  );
}

/** The words of the command itself: those of "cloud fleet create <name>" are cloud, fleet, create. */
export const verbsOf = (usage: string): readonly string[] => {
  const words = usage.split(" ");
  const end = words.findIndex((word) => /^[<[]/.test(word));
  return end < 0 ? words : words.slice(0, end);
};

/** Splits the arguments behind `after` words, or at `--`. `--` is left out. */
export function splitAt(
  args: readonly string[],
  options: Options,
  after: PassThroughAfter | undefined,
): readonly [own: readonly string[], rest: readonly string[]] {
  if (after === undefined) return [args, []];
  if (after === "--") {
    const at = args.indexOf("--");
    return at < 0 ? [args, []] : [args.slice(0, at), args.slice(at + 1)];
  }
  let words = 0;
  for (let n = 0; n < args.length; n++) {
    const arg = args[n] ?? "";
    if (words === after) return [args.slice(0, n), args.slice(arg === "--" ? n + 1 : n)];
    if (takesValue(arg, options)) n++;
    else if (!arg.startsWith("-")) words++;
  }
  return [args, []];
}

/** The first argument that is neither an option nor the value of one. */
export const firstWord = (args: readonly string[], options: Options): string | undefined =>
  args.find((arg, n) => !arg.startsWith("-") && !takesValue(args[n - 1] ?? "", options));

const takesValue = (arg: string, options: Options): boolean =>
  Object.entries(options).some(
    ([name, { short, type }]) => type === "string" && (arg === `--${name}` || arg === `-${short}`),
  );

/** Parses an option's value as a whole number of at least `min`. */
export function wholeNumber(flag: string, given: string | undefined, min = 1): number | undefined {
  if (given === undefined) return undefined;
  if (/^\d+$/.test(given) && Number(given) >= min) return Number(given);
  throw new UsageError(`--${flag}: expected a whole number of ${min} or more, but got ${JSON.stringify(given)}`);
}

/** Throws `UsageError` with all `known` words. */
export function unknownWord(what: string, word: string, known: readonly string[]): never {
  throw new UsageError(
    `There is no ${what} ${JSON.stringify(word)}${didYouMean(word, known) || `, only: ${known.join(", ")}`}`,
  );
}
