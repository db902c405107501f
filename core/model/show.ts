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
              ? part.replace(/:\S+@/g, `:${hidden}@`)
              : part,
      );

/** What went wrong, in words. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Why a text is no JSON, without any of the text: there may be keys in it. */
export const jsonFault = (error: unknown): string =>
  messageOf(error).replace(/,? ?(\.{3})?".*"(\.{3})? is not valid JSON$/s, "");
