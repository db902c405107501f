/** Replaces a value that is not shown. */
export const hidden = "(hidden)";

/**
 * Fields of a composition that may contain secrets, in variables, labels, files or the words of a command. Their values are never
 * logged, independent of the variables' names.
 */
const secretFields = new Set([
  ...["environment", "labels", "command", "entrypoint", "healthcheck", "driver_opts"],
  // Of configs and secrets.
  ...["content", "base64"],
]);

export const isSecretField = (name: string): boolean => secretFields.has(name);

/** Replaces all texts in a value. Other values, such as numbers, are kept. */
export const withoutTexts = (value: unknown): unknown =>
  typeof value === "string"
    ? hidden
    : Array.isArray(value)
      ? value.map(withoutTexts)
      : typeof value === "object" && value !== null
        ? Object.fromEntries(Object.entries(value).map(([name, part]) => [bareName(name), withoutTexts(part)]))
        : value;

/** A variable's name for messages. Some users write the value into the name (`"PASSWORD=x": ""`). */
export const bareName = (name: string): string => name.replace(/=.*$/s, `=${hidden}`);

/** Shorter values (`1`, `true`, a port) are too common to replace, and reveal nothing without their name. */
const shortestValue = 8;
const shortestSecret = 4;

/** The agent's own variables contain names and ids, which messages need. Only its keys are secrets. */
const isOwnVariable = (name: string): boolean => /^(BALENA|RESIN)_/.test(name) && !name.endsWith("_API_KEY");

/**
 * Removes the values of these variables, these secrets, and passwords in addresses and options from a text of another
 * program, such as an engine's refusal.
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

/** The form of a text inside a quoted string. */
const quoted = (text: string): string => JSON.stringify(text).slice(1, -1);
