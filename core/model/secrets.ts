/** What is said in the place of a value that is not shown. */
export const hidden = "(hidden)";

/**
 * Fields of a composition in which people keep secrets, as values of variables and labels or as words of a command. Their
 * values are in no log line, whatever their names.
 */
const secretFields = new Set(["environment", "labels", "command", "entrypoint", "healthcheck", "driver_opts"]);

export const isSecretField = (name: string): boolean => secretFields.has(name);

/** A value without its texts; that something else was written than a text may still be seen, but not of variables. */
export const withoutTexts = (value: unknown): unknown =>
  typeof value === "string"
    ? hidden
    : Array.isArray(value)
      ? value.map(withoutTexts)
      : typeof value === "object" && value !== null
        ? Object.fromEntries(Object.entries(value).map(([name, part]) => [bareName(name), withoutTexts(part)]))
        : value;

/** The name of a variable as a message may show it: some people write the value into it (`"PASSWORD=x": ""`). */
export const bareName = (name: string): string => name.replace(/=.*$/s, `=${hidden}`);

/** Shorter ones are in every second sentence (`1`, `true`, a port), and say nothing without their name. */
const shortestValue = 8;
const shortestSecret = 4;

/** The agent's own variables repeat names and ids, which messages need; its keys are secrets. */
const isOwnVariable = (name: string): boolean => /^(BALENA|RESIN)_/.test(name) && !name.endsWith("_API_KEY");

/**
 * A text that somebody else wrote, such as an engine's refusal, without the values of these variables, without these
 * secrets, and without passwords in addresses and options.
 */
export function redact(
  text: string,
  {
    environment = {},
    secrets = [],
  }: { readonly environment?: Readonly<Record<string, string>>; readonly secrets?: readonly string[] } = {},
): string {
  const variables = Object.entries(environment).filter(([, value]) => value !== "");
  const values = variables.filter(([name, value]) => !isOwnVariable(name) && value.length >= shortestValue);
  const replacements = [
    ...variables.map(([name, value]) => [`${name}=${value}`, `${name}=${hidden}`] as const),
    ...values.map(([, value]) => [value, hidden] as const),
    ...secrets.filter(({ length }) => length >= shortestSecret).map((secret) => [secret, hidden] as const),
  ].sort(([a], [b]) => b.length - a.length);
  return replacements
    .reduce((rest, [from, to]) => rest.replaceAll(from, to).replaceAll(quoted(from), to), text)
    .replace(/:\/\/[^\s/@"]+@/g, `://${hidden}@`)
    .replace(/\b(pass(?:word|wd)?|secret|token)=[^\s,"'&]+/gi, `$1=${hidden}`);
}

/** As a message has it that quotes what it repeats. */
const quoted = (text: string): string => JSON.stringify(text).slice(1, -1);
