import type { LogLine } from "../api/cloud/logs.ts";
import type { ContainerLine } from "../ports/engine.ts";
import type { KeptLine, LogPosition } from "../ports/log-ring.ts";

const longestMessage = 10_000;

/** Limit and mark of the reference implementation. */
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

/** Of more than 50 lines within half a second the cloud keeps the last 50, and answers 201. */
export const batchLines = 50;
export const batchPauseMs = 500;
/** The size of one request. */
export const batchBytes = 256 * 1024;

/** The request body for these lines, after a line about the lines that were lost before them. */
export const batchBody = (lines: readonly KeptLine[], lost: number, now: number): string =>
  [...(lost > 0 ? [JSON.stringify(lossLine(lost, now))] : []), ...lines.map(({ text }) => text)]
    .map((line) => `${line}\n`)
    .join("");

/**
 * Which lines are new when a container's log is read again from `position.timestamp` on: of the lines of that millisecond,
 * the first `position.count` are stored already.
 */
export function afterPosition(position: LogPosition | undefined): (timestamp: number) => boolean {
  let stored = position?.count ?? 0;
  return (timestamp) => {
    if (position === undefined || timestamp > position.timestamp) return true;
    return timestamp === position.timestamp && stored-- <= 0;
  };
}

/** Lines of two streams are less out of order than this. */
const disorderMs = 10_000;

/**
 * The position after one more line. Lines of two streams may be a little out of order, so the latest time counts; a much
 * older line was written after the clock had been set back.
 */
export const nextPosition = (before: LogPosition | undefined, timestamp: number): LogPosition =>
  before === undefined || timestamp > before.timestamp || timestamp < before.timestamp - disorderMs
    ? { timestamp, count: 1 }
    : { timestamp: before.timestamp, count: before.count + (timestamp === before.timestamp ? 1 : 0) };
