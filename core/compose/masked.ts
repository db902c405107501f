import { parseImage } from "../model/image.ts";
import { hidden, isSecretField, withoutTexts } from "../model/secrets.ts";

/** Hides secrets in a target state, and detects hidden values that a client sends back. */

interface Shown {
  readonly name: string;
  readonly config: Record<string, string>;
  readonly apps: Record<string, unknown>;
}

/** Hides the values of config, variables, labels and similar fields, and passwords of registries. */
export const withoutSecrets = ({ name, config, apps }: Shown): Shown => ({
  name,
  config: Object.fromEntries(Object.keys(config).map((variable) => [variable, hidden])),
  apps: Object.fromEntries(Object.entries(apps).map(([id, app]) => [id, masked(app)])),
});

function masked(value: unknown, key = ""): unknown {
  if (isSecretField(key)) return withoutTexts(value);
  if (key === "image" && typeof value === "string") return withoutPassword(value);
  if (Array.isArray(value)) return value.map((part) => masked(part));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, masked(part, name)]));
}

function withoutPassword(image: string): string {
  const { auth } = parseImage(image) ?? {};
  return auth ? image.replace(`:${auth.password}@`, `:${hidden}@`) : image;
}

export const notShown = `expected a value, but got ${hidden}, which stands for one that was not shown; set it anew`;

/** The paths of hidden values in a body. They must not be set as real values. */
export const maskedPlaces = (value: unknown, path: readonly (string | number)[] = []): (string | number)[][] => {
  if (typeof value === "string") return value === hidden || value.includes(`:${hidden}@`) ? [[...path]] : [];
  if (typeof value !== "object" || value === null) return [];
  if (Array.isArray(value)) return value.flatMap((part, n) => maskedPlaces(part, [...path, n]));
  return Object.entries(value).flatMap(([name, part]) => maskedPlaces(part, [...path, name]));
};
