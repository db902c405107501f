import { hidden, isSecretField, withoutTexts } from "./secrets.ts";

/** A value as a message or a log may show it: as JSON, without what may be secret and without passwords in addresses. */
export const show = (value: unknown): string =>
  value === undefined
    ? "nothing"
    : JSON.stringify(value, (key, part: unknown) =>
        key === "environment"
          ? hidden
          : isSecretField(key)
            ? withoutTexts(part)
            : typeof part === "string"
              ? part.replace(/\S+/g, hidePassword)
              : part,
      );

/** Of a word: what is between its first colon and its last at sign. */
function hidePassword(word: string): string {
  const [from, to] = [word.indexOf(":"), word.lastIndexOf("@")];
  return from >= 0 && from + 1 < to ? `${word.slice(0, from)}:${hidden}${word.slice(to)}` : word;
}

/** What went wrong, in words. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Why a text is no JSON, without any of the text, which the engine quotes: there may be keys in it. */
export function jsonFault(error: unknown): string {
  const message = messageOf(error);
  const from = message.endsWith(" is not valid JSON") ? message.indexOf('"') : -1;
  return from >= 0 ? message.slice(0, from).replace(/,? ?(\.{3})?$/, "") : message;
}
