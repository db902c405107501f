import { LogLine, type ShownLogLine } from "../api/cloud/logs.ts";
import { parseJson } from "../model/json.ts";

/** Lines of a device's log in the form in which the cloud stores and shows them. */

export type ParsedLine =
  { readonly is: "line"; readonly text: string } | { readonly is: "odd" } | { readonly is: "broken" };

/** A line is stored as JSON with its fields in this order. */
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

/** A message that the cloud adds to the device's log. */
export function cloudLine(message: string, now: number): string {
  const stored: StoredLine = { timestamp: now, isSystem: true, isStdErr: true, message };
  return JSON.stringify(stored);
}

/** A stored line in the form in which it is shown: its first field is the arrival time by the cloud's clock. */
export const withArrival = (text: string, createdAt: number): string => `{"createdAt":${createdAt},${text.slice(1)}`;

/**
 * The lines of a request that are not stored yet. If an answer is lost, the device repeats its request, perhaps with more
 * lines. `last`: the lines that were stored last. A message that is logged again has another timestamp.
 */
export function withoutRepeated(lines: readonly string[], last: readonly string[]): readonly string[] {
  const isRepeated = last.length > 0 && last.every((line, n) => line === lines[n]);
  return isRepeated ? lines.slice(last.length) : lines;
}
