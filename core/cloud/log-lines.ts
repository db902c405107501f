import type { LogLine } from "../api/cloud/logs.ts";
import type { ContainerLine } from "../ports/engine.ts";
import type { KeptLine } from "../ports/log-ring.ts";

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
