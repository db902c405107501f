import { issueMessage } from "../model/issue.ts";
import type * as z from "zod";
import { bareName, isSecretField, withoutTexts } from "../model/secrets.ts";
import { show } from "../model/show.ts";

/** The path of a value in the body of a target state, for messages. */
export type Path = readonly (string | number)[];

export const valueAt = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>(
    (at, key) =>
      typeof at === "object" && at !== null ? Object.getOwnPropertyDescriptor(at, String(key))?.value : undefined,
    value,
  );

export const showPath = (path: readonly PropertyKey[]): string =>
  path
    .map((key, n) => {
      if (typeof key === "number") return `[${key}]`;
      const name = isSecret(path.slice(0, n)) ? bareName(String(key)) : String(key);
      return n === 0 ? name : `.${name}`;
    })
    .join("");

/** Whether the value at this path may be secret, or is inside a field that may be secret. */
const isSecret = (path: readonly PropertyKey[]): boolean => path.some((key) => isSecretField(String(key)));

/** `local.apps.1.services.1.ports[0]: expected a port such as "80", … but got "abc"`. Possible secrets are not shown. */
export function describeIssue(issue: z.core.$ZodIssue): string {
  const { path } = issue;
  const where = path.length > 0 ? `${showPath(path)}: ` : "";
  const message = issueMessage(issue);
  if (issue.code === "invalid_key")
    return `${where}${message}, but got ${shorten(show(bareName(String(path.at(-1)))))}`;
  if (path.includes("environment")) return where + message;
  const got = isSecret(path) ? withoutTexts(issue.input) : issue.input;
  return `${where}${message}, but got ${shorten(show(got))}`;
}

const shorten = (text: string): string => (text.length > 80 ? `${text.slice(0, 79)}…` : text);
