import type { ContainerLine } from "../ports/engine.ts";
import type { KeptLine, LogPosition } from "../ports/log-ring.ts";

/** A line as the cloud takes it. Source: recorded `POST /device/v2/:uuid/log-stream`; it drops other fields in silence. */
export interface CloudLine {
  readonly message: string;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
  readonly isSystem: boolean;
  readonly isStdErr: boolean;
  readonly serviceId?: number;
}

const longestMessage = 10_000;

/** The original's limit, and its sign for it. */
export const cut = (message: string): string =>
  message.length > longestMessage ? `${message.slice(0, longestMessage)}[...]` : message;

/** What a container wrote. */
export const containerLine = ({ message, isStdErr, timestamp }: ContainerLine, serviceId: number): CloudLine => ({
  message: cut(message),
  timestamp,
  isSystem: false,
  isStdErr,
  serviceId,
});

/** What the agent says. */
export const systemLine = (message: string, timestamp: number, isStdErr = false): CloudLine => ({
  message: cut(message),
  timestamp,
  isSystem: true,
  isStdErr,
});

export const lossLine = (lost: number, now: number): CloudLine =>
  systemLine(`Warning: ${lost} log lines were lost here: there was no room to keep them`, now, true);

/** Of more lines at once, or within half a second, the cloud keeps the last 50, and answers 201. */
export const batchLines = 50;
export const batchPauseMs = 500;
/** What one request carries. */
export const batchBytes = 256 * 1024;

/** The body that delivers these lines, with a line about those that were lost before them. */
export const batchBody = (lines: readonly KeptLine[], lost: number, now: number): string =>
  [...(lost > 0 ? [JSON.stringify(lossLine(lost, now))] : []), ...lines.map(({ text }) => text)]
    .map((line) => `${line}\n`)
    .join("");

/**
 * Tells the lines that are kept already from those that are not, when a container's log is read from `position.timestamp`
 * on once more: of those that were written in that very millisecond, the first ones are.
 */
export function afterPosition(position: LogPosition | undefined): (timestamp: number) => boolean {
  let known = position?.count ?? 0;
  return (timestamp) => {
    if (position === undefined || timestamp > position.timestamp) return true;
    return timestamp === position.timestamp && known-- <= 0;
  };
}

/** Between the lines of two streams there is less. */
const disorderMs = 10_000;

/**
 * The position after one more line. Lines of two streams may come a little out of order, so the latest time counts; what
 * is much older was written after somebody had set the clock back.
 */
export const nextPosition = (before: LogPosition | undefined, timestamp: number): LogPosition =>
  before === undefined || timestamp > before.timestamp || timestamp < before.timestamp - disorderMs
    ? { timestamp, count: 1 }
    : { timestamp: before.timestamp, count: before.count + (timestamp === before.timestamp ? 1 : 0) };
