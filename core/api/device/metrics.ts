import * as z from "zod";
import { endpoint, json, none, textIn } from "../endpoint.ts";
import { refusal } from "../refusal.ts";
import { Use } from "./processes.ts";

const collect = z
  .enum(["containers"], { error: 'expected "containers", or nothing' })
  .optional()
  .describe("`containers`: also what each running service uses; the engine measures it for up to two seconds");

export const metrics = endpoint({
  method: "GET",
  path: "/metrics",
  summary:
    "Figures of the agent, the machine, and the applications in the key's scope, for Prometheus; in OpenMetrics, if `Accept` asks for it: docs/metrics.md",
  params: z.object({ collect }),
  body: none,
  replies: {
    200: textIn(
      "text/plain; version=0.0.4; charset=utf-8",
      "application/openmetrics-text; version=1.0.0; charset=utf-8",
    ),
    400: refusal("invalid-request"),
  },
});

const Column = z.array(z.number().nullable());

export const metricsHistory = endpoint({
  method: "GET",
  path: "/v3/metrics",
  summary:
    "The machine's figures of the last 24 hours, a sample a minute, since the agent's start; and the services in the key's scope as they are now",
  params: z.object({
    after: z.coerce
      .number({ error: "expected milliseconds since the epoch" })
      .nonnegative()
      .optional()
      .describe("Only samples after this moment, in milliseconds since the epoch"),
    collect,
  }),
  body: none,
  replies: {
    200: json(
      z.object({
        sampleSeconds: z.int(),
        samples: z
          .object({
            at: z.array(z.number()).describe("Milliseconds since the epoch, the oldest first"),
            cpuPercent: Column.describe("Of all cores, since the sample before"),
            memoryUsedMb: Column,
            storageUsedMb: Column,
            cpuCelsius: Column,
          })
          .describe("Columns of the same length; null: unknown"),
        memoryTotalMb: z.number().optional(),
        storageTotalMb: z.number().optional(),
        services: z.array(
          z.object({
            appId: z.int(),
            service: z.string(),
            state: z.string().describe("Of the container; `missing`: there is none"),
            health: z.string().optional(),
            restarts: z.int().describe("By the engine, since the last start on request"),
            use: Use.optional().describe("With `collect=containers`, while it runs"),
          }),
        ),
      }),
    ),
    400: refusal("invalid-request"),
  },
});
