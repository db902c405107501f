interface Line {
  readonly message: string;
  readonly isStdErr: boolean;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
}

/** How many lines at the end of a log are read to find the last one of a run. */
export const tailLines = 20;

/** An engine reads a line, and sets its time, up to this long after the program has written it and ended. */
const delayMs = 150;

/** The last line that is not blank, of those that a program wrote until it ended. It may have been started again since. */
export function lastLineOf(lines: readonly Line[], endedAt: number): string | undefined {
  const written = lines.filter(({ message }) => message.trim() !== "").toSorted((a, b) => a.timestamp - b.timestamp);
  const before = written.filter(({ timestamp }) => timestamp <= endedAt + delayMs);
  // An engine reads the two streams independently, so that the order of their last lines is not known. The error counts.
  const error = before.findLast(({ isStdErr, timestamp }) => isStdErr && timestamp >= endedAt - 200);
  return (error ?? before.at(-1) ?? written.at(-1))?.message;
}
