import * as z from "zod";
import { empty, endpoint, json, none } from "../endpoint.ts";
import { Refused } from "./refused.ts";

/** A line of a device's log, as the device sends it. Other fields are dropped. */
export const LogLine = z.object({
  message: z.string(),
  timestamp: z.number().describe("Milliseconds since the epoch, by the device's clock"),
  isSystem: z.boolean().optional().describe("The agent's, not a service's"),
  isStdErr: z.boolean().optional(),
  serviceId: z.number().optional(),
  uuid: z.undefined().optional().describe("Of a device behind a device: these lines are dropped"),
});
export type LogLine = Omit<z.output<typeof LogLine>, "uuid">;

/** A line as people read it. */
export const ShownLogLine = z.object({
  createdAt: z.number().describe("Milliseconds since the epoch, by the cloud's clock"),
  timestamp: z.number(),
  isSystem: z.boolean(),
  isStdErr: z.boolean(),
  serviceId: z.number().optional(),
  message: z.string(),
});
export type ShownLogLine = z.output<typeof ShownLogLine>;

/** Recorded: this very text, without a charset. */
export const ndjson = "application/x-ndjson";

const params = z.object({ uuid: z.string() });

/** NDJSON, one `LogLine` a line. The answer comes when the request has ended. */
export const sendLogStream = endpoint({
  method: "POST",
  path: "/device/v2/:uuid/log-stream",
  summary: `Send lines of the log as ${ndjson}: one JSON object a line, each like the ones of sendLogs`,
  params,
  body: none,
  replies: { 201: empty, 400: Refused, 401: Refused, 415: Refused, 429: Refused },
});

export const batchLines = 10;

export const sendLogs = endpoint({
  method: "POST",
  path: "/device/v2/:uuid/logs",
  summary: "Send a few lines of the log",
  params,
  body: z.array(LogLine).max(batchLines),
  replies: { 201: empty, 400: Refused, 401: Refused, 413: Refused, 429: Refused },
});

export const readLogs = endpoint({
  method: "GET",
  path: "/device/v2/:uuid/logs",
  summary: `The log of a device, the oldest line first; with stream=1 as ${ndjson}, for as long as the reader stays`,
  params: params.extend({
    stream: z.enum(["1", "true"]).optional(),
    count: z.coerce.number().optional(),
    start: z.string().optional().describe("Lines that came at that time or later: milliseconds, or ISO 8601"),
  }),
  body: none,
  replies: { 200: json(z.array(ShownLogLine)), 401: empty, 404: Refused, 429: Refused },
});
