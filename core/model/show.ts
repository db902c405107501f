import { hidden, isSecretField, withoutTexts } from "./secrets.ts";

/** A value as JSON for messages and logs, without possible secrets and without passwords in addresses. */
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

/** Hides the text between the first colon and the last at sign of a word. */
function hidePassword(word: string): string {
  const [from, to] = [word.indexOf(":"), word.lastIndexOf("@")];
  return from >= 0 && from + 1 < to ? `${word.slice(0, from)}:${hidden}${word.slice(to)}` : word;
}

const mostSentences = 100;
/** The first of many sentences, and after `before` the number of the others. */
export const firstOf = (sentences: readonly string[], before = ""): readonly string[] =>
  sentences.length > mostSentences
    ? [...sentences.slice(0, mostSentences), `${before}and ${sentences.length - mostSentences} more`]
    : sentences;

/** A sentence with the first 12 digits of each digest and container id, which have 64. */
export const shortenIds = (text: string): string => text.replace(/\b([0-9a-f]{12})[0-9a-f]{52}\b/g, "$1");

/** The message of an error. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Why a text is not valid JSON. The JavaScript engine quotes the text, which may contain keys, so the quote is removed. */
export function jsonFault(error: unknown): string {
  const message = messageOf(error);
  const from = message.endsWith(" is not valid JSON") ? message.indexOf('"') : -1;
  return from >= 0 ? message.slice(0, from).replace(/,? ?(\.{3})?$/, "") : message;
}
