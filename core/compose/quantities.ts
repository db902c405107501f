import * as z from "zod";

/** Parsers for compose's quantities and other small values. */

const byteUnits: Readonly<Record<string, number>> = { "": 1, b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** "64m", "1.5gb", "1024" → bytes; undefined for other texts. */
export function parseBytes(text: string): number | undefined {
  const [, amount = "", unit = ""] = /^(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?$/i.exec(text.trim()) ?? [];
  const factor = byteUnits[unit.toLowerCase()];
  return amount && factor ? Math.floor(Number(amount) * factor) : undefined;
}

const nanoseconds: Readonly<Record<string, number>> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 6e10, h: 3.6e12 };

/** "1h30m", "10s", "1.5s", "250ms", "10" (seconds) → nanoseconds; undefined for other texts. */
export function parseDuration(text: string): number | undefined {
  if (/^\d+(\.\d+)?$/.test(text)) return Math.round(Number(text) * 1e9);
  if (!/^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(text)) return undefined;
  return [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/gy)].reduce(
    (sum, [, amount, unit]) => sum + Math.round(Number(amount) * (nanoseconds[unit ?? ""] ?? 0)),
    0,
  );
}

/** The schema of a field with a parser. `expected` is for the error message when the parser returns undefined. */
export const parsed = <T>(expected: string, parse: (value: string) => T | undefined) =>
  z.union([z.string(), z.number()], { error: `expected ${expected}` }).transform((value, context): T => {
    const result = parse(String(value).trim());
    if (result !== undefined) return result;
    context.addIssue({ code: "custom", message: `expected ${expected}`, input: value });
    return z.NEVER;
  });

/** The same for each text of a list. */
export const parsedEach = <T>(
  list: z.ZodType<readonly string[]>,
  expected: string,
  parse: (text: string) => T | undefined,
) =>
  list.transform((texts, context): readonly T[] =>
    texts.flatMap((text, n) => {
      const result = parse(text.trim());
      if (result !== undefined) return [result];
      context.addIssue({ code: "custom", message: `expected ${expected}`, input: text, path: [n] });
      return [];
    }),
  );

export const Bytes = parsed('an amount such as "64m" or a number of bytes', parseBytes);
export const Duration = parsed('a duration such as "1m30s" or a number of seconds', parseDuration);
export const Integer = parsed("a whole number", (text) => (/^-?\d+$/.test(text) ? Number(text) : undefined));
export const Decimal = parsed("a number", (text) => (/^-?\d+(\.\d+)?$/.test(text) ? Number(text) : undefined));

const yes = ["true", "1"];
const no = ["false", "0", ""];
export const Flag = z
  .union([z.boolean(), z.string(), z.number()], { error: "expected true or false" })
  .transform((value, context) => {
    if (typeof value === "boolean") return value;
    const word = String(value).toLowerCase();
    if (yes.includes(word) || no.includes(word)) return yes.includes(word);
    context.addIssue({ code: "custom", message: "expected true or false", input: value });
    return z.NEVER;
  });

/** A string, or a number that stands for one. */
export const Text = z.union([z.string(), z.number()], { error: "expected a string" }).transform(String);

const Scalar = z.union([z.string(), z.number(), z.boolean()], { error: "expected a string" }).transform(String);

/** A string, or a list of them. */
export const Strings = z.union([Scalar.transform((one) => [one]), z.array(Scalar)], {
  error: "expected a string or a list of strings",
});

/** `{ A: 1 }` or `["A=1"]`, and `null` or a bare name for "no value". */
export const StringMap = z.union(
  [
    z.record(
      z.string(),
      Scalar.nullable().transform((value) => value ?? ""),
    ),
    z.array(Scalar).transform((entries) => Object.fromEntries(entries.map(splitVariable))),
  ],
  { error: 'expected an object, or a list of "name=value"' },
);

/** "A=b=c" → A, "b=c" */
export function splitVariable(text: string): [name: string, value: string] {
  const [name = "", value = ""] = text.split(/=(.*)/s);
  return [name, value];
}

/** Normalizes a path like the engine: absolute, without ".", ".." and redundant slashes. */
export function cleanPath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/"))
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  return `/${parts.join("/")}`;
}
