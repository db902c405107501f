import { parseArgs, type ParseArgsConfig } from "node:util";
import { messageOf } from "../../core/model/show.ts";
import { SettingsError } from "./settings-error.ts";

type Options = NonNullable<ParseArgsConfig["options"]>;

/** Node's `parseArgs`. For an unknown option, the error suggests the most similar one. */
export function parseFlags<const O extends Options, const P extends boolean>(
  args: readonly string[],
  options: O,
  allowPositionals: P,
): ReturnType<typeof parseArgs<{ args: string[]; options: O; strict: true; allowPositionals: P }>> {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals });
  } catch (error) {
    const message = messageOf(error);
    const unknown = /^Unknown option '--([^'=]+)/.exec(message)?.[1];
    const similar = unknown === undefined ? undefined : nearest(unknown, Object.keys(options));
    const [first = message] = message.split(". To specify a positional");
    throw new SettingsError(similar === undefined ? first : `${first}. Did you mean '--${similar}'?`);
  }
}

function nearest(word: string, all: readonly string[]): string | undefined {
  const [best] = all
    .map((one) => ({ one, edits: editsBetween(word, one) }))
    .filter(({ edits }) => edits <= 2)
    .toSorted((a, b) => a.edits - b.edits);
  return best?.one;
}

/** Levenshtein distance. */
function editsBetween(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, n) => n);
  for (const [i, letter] of [...from].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...to].entries())
      next.push(Math.min((row[j] ?? 0) + (letter === other ? 0 : 1), (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    row = next;
  }
  return row.at(-1) ?? 0;
}
