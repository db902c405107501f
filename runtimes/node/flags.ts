import { parseArgs, type ParseArgsConfig } from "node:util";
import { didYouMean } from "../../core/model/nearest.ts";
import { messageOf } from "../../core/model/show.ts";
import { UsageError } from "./settings-error.ts";

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
    const [first = message] = message.split(". To specify a positional");
    throw new UsageError(
      unknown === undefined ? first : `There is no option --${unknown}${didYouMean(`--${unknown}`, names(options))}`,
    );
  }
}

const names = (options: Options): readonly string[] => Object.keys(options).map((name) => `--${name}`);
