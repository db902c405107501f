import * as z from "zod";
import { endpoint, liveStream, none } from "../endpoint.ts";
import { AppId, outsideScope } from "../fields.ts";
import { Problem } from "../problem.ts";
import { refusal } from "../refusal.ts";
import { After, Kinds, ShownEvent } from "./events.ts";

/** `?state` is as good as `?state=1`. */
const Flag = z
  .string()
  .optional()
  .transform((text) => text !== undefined && !/^(0|false|off|no)$/i.test(text));

export const LiveService = z.object({
  status: z.string(),
  image: z.string(),
  downloadProgress: z.number().nullable(),
  health: z.enum(["starting", "healthy", "unhealthy"]).optional(),
  startedAt: z.iso.datetime().optional(),
  restarts: z.int().optional().describe("By the engine, since the last start on request"),
  exitCode: z.int().optional().describe("Of a container that has ended"),
  ports: z
    .array(z.int())
    .optional()
    .describe("TCP ports of the host at which others reach it while it runs, without those that the engine chooses"),
});
export type LiveService = z.output<typeof LiveService>;

export const LiveState = z.object({
  settled: z.boolean().describe("The target state is reached"),
  apps: z.array(
    z.object({
      appId: z.int(),
      name: z.string(),
      commit: z.string(),
      updateStatus: z.string(),
      waits: z.array(z.string()).describe("What the next steps wait for"),
      services: z.record(z.string(), LiveService),
    }),
  ),
  problems: z.array(Problem),
  engine: z
    .object({ unreachableSince: z.iso.datetime(), why: z.string() })
    .optional()
    .describe("Absent: it answers. Else the rest is what was seen last"),
});
export type LiveState = z.output<typeof LiveState>;

const Line = z.union([
  z.object({
    is: z.literal("hello"),
    version: z.string(),
    uuid: z.string(),
    bootId: z.string().describe("Another one after a reboot"),
    bootedAt: z.iso.datetime().describe("By the clock of the machine, as `now`"),
    now: z.iso.datetime(),
    lacks: z.record(z.string(), z.string()).describe("What this device cannot do, and why"),
    simulated: z.literal(true).optional().describe("The engine is one in memory: no container really runs"),
    after: z.int().describe("The `after` for a reader that reconnects before the first event"),
  }),
  LiveState.extend({ is: z.literal("state") }).describe("Whole, at most 4 in a second"),
  ShownEvent.extend({ is: z.literal("event") }),
  z.looseObject({ is: z.literal("metrics"), at: z.iso.datetime() }).describe("Of the machine, each 5 s"),
  z.object({
    is: z.literal("log"),
    timestamp: z.number(),
    appId: z.int(),
    service: z.string(),
    isStdErr: z.boolean(),
    message: z.string(),
  }),
  z
    .object({
      is: z.literal("lost"),
      of: z.literal("events"),
      after: z.int(),
      before: z.int(),
      count: z.int().optional(),
    })
    .describe("Events between these ids are lost, as in GET /v3/events"),
]);

export type StreamLine = z.output<typeof Line>;

export const stream = endpoint({
  method: "GET",
  path: "/v3/stream",
  summary:
    "What happens now, one JSON object per line: the whole state when it changes, events, metrics and log lines; an empty line every 15 s. Without a choice: state, events and metrics",
  params: z.object({
    state: Flag,
    events: Flag,
    metrics: Flag,
    logs: z
      .union([z.literal("all"), z.coerce.number().int().min(0).max(100_000)], {
        error: 'expected a number of lines, or "all"',
      })
      .optional()
      .describe("Log lines, in every mode: the last ones of each service, and then those that come"),
    app: AppId.optional(),
    after: After.describe("Events after this id; absent: those that come"),
    kinds: Kinds,
  }),
  body: none,
  replies: {
    200: liveStream("application/x-ndjson", Line),
    400: refusal("invalid-request"),
    401: refusal("outside-scope"),
    503: refusal("busy"),
  },
  scope: {
    apps: ({ params: { app } }) => (app === undefined ? [] : [app]),
    refused: outsideScope,
  },
});
