import { LogLine, type ShownLogLine } from "../api/cloud/logs.ts";
import { parseJson } from "../model/json.ts";

/** Lines of a device's log, as the cloud stores and shows them. */

export type ParsedLine =
  { readonly is: "line"; readonly text: string } | { readonly is: "odd" } | { readonly is: "broken" };

/** A line is stored as JSON, with its fields in this order. */
type StoredLine = Omit<ShownLogLine, "createdAt">;

const longestMessage = 100_000;

export function parseLine(text: string): ParsedLine {
  const json = parseJson(text);
  return json === undefined ? { is: "broken" } : toLine(json);
}

export function toLine(json: unknown): ParsedLine {
  const { data } = LogLine.safeParse(json);
  if (!data) return { is: "odd" };
  const { timestamp, isSystem = false, isStdErr = false, serviceId, message } = data;
  const stored: StoredLine = {
    timestamp,
    isSystem,
    isStdErr,
    ...(serviceId !== undefined && { serviceId }),
    message: message.length > longestMessage ? `${message.slice(0, longestMessage)}[...]` : message,
  };
  return { is: "line", text: JSON.stringify(stored) };
}

/** A message of the cloud itself among the device's lines. */
export function cloudLine(message: string, now: number): string {
  const stored: StoredLine = { timestamp: now, isSystem: true, isStdErr: true, message };
  return JSON.stringify(stored);
}

/** A stored line as it is shown, with the time of the cloud's clock first. */
export const withArrival = (text: string, createdAt: number): string => `{"createdAt":${createdAt},${text.slice(1)}`;

/**
 * The lines of a request without those that are stored already: the device repeats a request (perhaps with more lines) whose
 * answer was lost. `last`: the lines stored last. A device that logs the same message again has other timestamps.
 */
export function withoutRepeated(lines: readonly string[], last: readonly string[]): readonly string[] {
  const isRepeated = last.length > 0 && last.every((line, n) => line === lines[n]);
  return isRepeated ? lines.slice(last.length) : lines;
}
