import * as z from "zod";
import { parseJson } from "../model/json.ts";

/** Lines of a device's log, as it sends them and as they are kept. Source: recorded `/device/v2/:uuid/log-stream`. */

const Line = z.object({
  message: z.string(),
  /** Milliseconds since the epoch, by the device's clock. */
  timestamp: z.number(),
  isSystem: z.boolean().optional(),
  isStdErr: z.boolean().optional(),
  serviceId: z.number().optional(),
  /** Of devices behind a device, which there are none of any more. */
  uuid: z.undefined().optional(),
});

export type ParsedLine =
  { readonly is: "line"; readonly text: string } | { readonly is: "odd" } | { readonly is: "broken" };

/** A line is kept as JSON, with its fields in one order and its message cut. */
const longestMessage = 100_000;

export function parseLine(text: string): ParsedLine {
  const json = parseJson(text);
  return json === undefined ? { is: "broken" } : toLine(json);
}

export function toLine(json: unknown): ParsedLine {
  const { data } = Line.safeParse(json);
  if (!data) return { is: "odd" };
  const { timestamp, isSystem = false, isStdErr = false, serviceId, message } = data;
  const cut = message.length > longestMessage ? `${message.slice(0, longestMessage)}[...]` : message;
  return {
    is: "line",
    text: JSON.stringify({
      timestamp,
      isSystem,
      isStdErr,
      ...(serviceId !== undefined && { serviceId }),
      message: cut,
    }),
  };
}

/** What the cloud itself has to say, among the device's lines. */
export const cloudLine = (message: string, now: number): string =>
  JSON.stringify({ timestamp: now, isSystem: true, isStdErr: true, message });

/** A kept line as people get it: with the cloud's own time before everything else. */
export const withArrival = (text: string, createdAt: number): string => `{"createdAt":${createdAt},${text.slice(1)}`;

/**
 * The lines of a request without those that an earlier one has brought, when it is the same request once more (and perhaps
 * longer): its answer was lost on the way. `last`: what the cloud kept last. Times in milliseconds tell it from a device
 * that says the same again.
 */
export function withoutRepeated(lines: readonly string[], last: readonly string[]): readonly string[] {
  const isRepeated = last.length > 0 && last.every((line, n) => line === lines[n]);
  return isRepeated ? lines.slice(last.length) : lines;
}
