import * as z from "zod";
import { endpoint, json, none } from "../endpoint.ts";
import { AppIdV2, outsideScope } from "../fields.ts";
import { refusal } from "../refusal.ts";

const scope = {
  apps: ({ params }: { readonly params: { readonly appId: number } }) => [params.appId],
  refused: outsideScope,
} as const;

const ProcessTable = z.object({
  titles: z.array(z.string()),
  processes: z.array(z.array(z.string())).describe("Of a caller that may not see secrets, commands have no arguments"),
});

export const serviceProcesses = endpoint({
  method: "GET",
  path: "/v3/apps/:appId/services/:service/top",
  summary: "The processes of a service, as ps prints them",
  params: z.object({ appId: AppIdV2, service: z.string() }),
  body: none,
  replies: {
    200: json(ProcessTable),
    400: refusal("invalid-request"),
    401: refusal("outside-scope"),
    404: refusal("unknown-service"),
    409: refusal("not-running"),
    503: refusal("unavailable"),
  },
  scope,
});

export const Use = z.object({
  cpuPercent: z.number().describe("Of one core: 200 is two whole cores"),
  memoryBytes: z.number().describe("Without the page cache that the kernel can drop"),
  memoryLimitBytes: z.number().describe("The service's own limit, or the machine's memory"),
  receivedBytes: z.number(),
  sentBytes: z.number(),
  readBytes: z.number(),
  writtenBytes: z.number(),
  processes: z.number(),
});

export const applicationStats = endpoint({
  method: "GET",
  path: "/v3/apps/:appId/stats",
  summary: "What each running service of an application uses now, by service; measured for up to two seconds",
  params: z.object({ appId: AppIdV2 }),
  body: none,
  replies: {
    200: json(z.object({ services: z.record(z.string(), Use) })),
    400: refusal("invalid-request"),
    401: refusal("outside-scope"),
    404: refusal("unknown-application"),
    503: refusal("unavailable"),
  },
  scope,
});
