import * as z from "zod";
import { endpoint, none, stream } from "../endpoint.ts";
import { AppId, Truthy, outsideScope } from "../fields.ts";
import { refusal } from "../refusal.ts";

/** A line of the answer, as NDJSON. */
const ServiceLogLine = z.object({
  timestamp: z.number().describe("Milliseconds since the epoch"),
  appId: z.number(),
  service: z.string(),
  isStdErr: z
    .boolean()
    .describe("Never true for a service with a terminal (tty), which is the default of the platform"),
  message: z.string(),
});

const unitMs = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** A time, or how long ago: both in milliseconds. */
export type Since = { readonly at: number } | { readonly agoMs: number };

const Since = z
  .string()
  .transform((text, context): Since => {
    const [, amount, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
    if (unit === "s" || unit === "m" || unit === "h" || unit === "d") return { agoMs: Number(amount) * unitMs[unit] };
    const at = /^\d{1,11}(\.\d{1,9})?$/.test(text) ? Number(text) * 1000 : Date.parse(text);
    if (!Number.isNaN(at)) return { at };
    const message = 'expected a time such as "2026-11-23T20:00:00Z", seconds since 1970, or "10m" for ten minutes ago';
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  })
  .optional();

const tailFault = { error: 'expected a number of lines, or "all"' };

export const serviceLogs = endpoint({
  method: "GET",
  path: "/v3/logs",
  summary:
    "What the services in the key's scope have written, one JSON object per line: the last lines of each; with follow, also new ones until the caller leaves",
  params: z.object({
    follow: Truthy,
    service: z.string().optional(),
    appId: AppId.optional(),
    tail: z
      .union(
        [
          z.literal("all"),
          z
            .string()
            .regex(/^\d{1,9}$/)
            .transform(Number),
        ],
        tailFault,
      )
      .default(100)
      .describe("Lines of each service, or all"),
    since: Since,
  }),
  body: none,
  replies: {
    200: stream("application/x-ndjson", ServiceLogLine),
    400: refusal("invalid-request"),
    401: refusal("outside-scope"),
    404: refusal("unknown-service"),
    503: refusal("busy"),
  },
  scope: {
    apps: ({ params: { appId } }) => (appId === undefined ? [] : [appId]),
    refused: outsideScope,
  },
});
