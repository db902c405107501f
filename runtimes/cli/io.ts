import { createInterface } from "node:readline/promises";
import { text as textOf } from "node:stream/consumers";
import { styleText } from "node:util";
import { SettingsError } from "../node/settings-error.ts";

/** The terminal or the pipes of a command. */

/** The environment variables of a command. */
export type Environment = Readonly<Record<string, string | undefined>>;
/** Writes to standard output. */
export type Print = (text: string) => void;
export type Format = Parameters<typeof styleText>[0];

export interface Screen {
  readonly columns: number;
  readonly rows: number;
}

export interface Io {
  readonly environment: Environment;
  readonly print: Print;
  /** Writes to standard error. */
  readonly warn: Print;
  /** A person can be asked: standard input is a terminal. */
  readonly isTerminal: boolean;
  /** The width of the terminal; undefined if standard output is none. */
  readonly columns: number | undefined;
  /** The size of the terminal now; undefined if standard output is none. */
  readonly screen: () => Screen | undefined;
  /** Colours a text, if standard output is a terminal with colours (NO_COLOR and FORCE_COLOR count). */
  readonly style: (format: Format, text: string) => string;
  /** Reads one line; "" at the end of the input. `secret`: the terminal does not show what is typed. */
  readonly ask: (question: string, options?: { readonly secret?: boolean }) => Promise<string>;
  /** Reads standard input to its end. */
  readonly readInput: () => Promise<string>;
}

export const processIo = (): Io => ({
  environment: process.env,
  print: (text) => void process.stdout.write(text),
  warn: (text) => void process.stderr.write(text),
  isTerminal: process.stdin.isTTY === true,
  // A terminal without a size has 0 columns.
  columns: (process.stdout.isTTY && process.stdout.columns) || undefined,
  screen: () => (process.stdout.isTTY ? { columns: process.stdout.columns, rows: process.stdout.rows } : undefined),
  style: (format, text) => styleText(format, text, { stream: process.stdout }),
  ask: (question, { secret = false } = {}) => (secret && process.stdin.isTTY ? askSecret(question) : askLine(question)),
  readInput: () => textOf(process.stdin),
});

/** For a command that is run by a program: without a terminal and input. */
export const plainIo = (environment: Environment, print: Print): Io => ({
  environment,
  print,
  warn: print,
  isTerminal: false,
  columns: undefined,
  screen: () => undefined,
  style: (_, text) => text,
  ask: async () => "",
  readInput: async () => "",
});

/** The question goes to standard error: standard output may be a pipe. */
async function askLine(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr, terminal: false });
  try {
    if (process.stdin.isTTY) process.stderr.write(question);
    for await (const line of lines) return line;
    return "";
  } finally {
    lines.close();
    process.stdin.pause();
  }
}

async function askSecret(question: string): Promise<string> {
  const { stdin, stderr } = process;
  stderr.write(question);
  stdin.setRawMode(true);
  try {
    let typed = "";
    for await (const chunk of stdin.setEncoding("utf8").iterator({ destroyOnReturn: false }))
      for (const key of String(chunk)) {
        if (key === "\r" || key === "\n" || key === "\u0004") return typed;
        if (key === "\u0003") throw new SettingsError("Nothing was changed");
        typed = key === "\u007f" || key === "\b" ? typed.slice(0, -1) : typed + key;
      }
    return typed;
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    stderr.write("\n");
  }
}
