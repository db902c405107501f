/** A value as a message or a log may show it: as JSON, without variables' values and without passwords in addresses. */
export const show = (value: unknown): string =>
  value === undefined
    ? "nothing"
    : JSON.stringify(value, (key, part: unknown) =>
        key === "environment" ? "(hidden)" : typeof part === "string" ? part.replace(/:\S+@/g, ":(hidden)@") : part,
      );

/** What went wrong, in words. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
