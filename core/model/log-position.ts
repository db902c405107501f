/** The position in a container's log up to which lines were taken: the last timestamp, and how many lines have it. */
export interface LogPosition {
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
  readonly count: number;
}

/**
 * Whether a line is new, when a container's log is read again from `position.timestamp`. The first `position.count` lines
 * of that millisecond were taken already.
 */
export function afterPosition(position: LogPosition | undefined): (timestamp: number) => boolean {
  let taken = position?.count ?? 0;
  return (timestamp) => {
    if (position === undefined || timestamp > position.timestamp) return true;
    return timestamp === position.timestamp && taken-- <= 0;
  };
}

/** The order of lines of two streams differs from their times by less than this. */
const disorderMs = 10_000;

/**
 * The position after one more line. It keeps the latest time, since lines of two streams may be slightly out of order. A
 * much older line was written after the clock had been set back.
 */
export const nextPosition = (before: LogPosition | undefined, timestamp: number): LogPosition =>
  before === undefined || timestamp > before.timestamp || timestamp < before.timestamp - disorderMs
    ? { timestamp, count: 1 }
    : { timestamp: before.timestamp, count: before.count + (timestamp === before.timestamp ? 1 : 0) };
