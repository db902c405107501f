import type { LogLine } from "../api/cloud/logs.ts";
import type { ContainerLine } from "../ports/engine.ts";
import type { KeptLine, LogPosition } from "../ports/log-ring.ts";

const longestMessage = 10_000;

/** The limit and the mark are those of the reference implementation. */
export const cut = (message: string): string =>
  message.length > longestMessage ? `${message.slice(0, longestMessage)}[...]` : message;

/** A line that a container wrote. */
export const containerLine = ({ message, isStdErr, timestamp }: ContainerLine, serviceId: number): LogLine => ({
  message: cut(message),
  timestamp,
  isSystem: false,
  isStdErr,
  serviceId,
});

/** A message of the agent. */
export const systemLine = (message: string, timestamp: number, isStdErr = false): LogLine => ({
  message: cut(message),
  timestamp,
  isSystem: true,
  isStdErr,
});

export const lossLine = (lost: number, now: number): LogLine =>
  systemLine(`Warning: ${lost} log lines were lost here: there was no room to keep them`, now, true);

/** Of more than 50 lines within half a second, the cloud stores only the last 50, and answers 201. */
export const batchLines = 50;
export const batchPauseMs = 500;
/** The size of one request. */
export const batchBytes = 256 * 1024;

/** The request body for these lines; if lines were lost before them, it begins with a line about that. */
export const batchBody = (lines: readonly KeptLine[], lost: number, now: number): string =>
  [...(lost > 0 ? [JSON.stringify(lossLine(lost, now))] : []), ...lines.map(({ text }) => text)]
    .map((line) => `${line}\n`)
    .join("");

/**
 * Whether a line is new, when a container's log is read again from `position.timestamp`. The first `position.count` lines
 * of that millisecond are stored already.
 */
export function afterPosition(position: LogPosition | undefined): (timestamp: number) => boolean {
  let stored = position?.count ?? 0;
  return (timestamp) => {
    if (position === undefined || timestamp > position.timestamp) return true;
    return timestamp === position.timestamp && stored-- <= 0;
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
