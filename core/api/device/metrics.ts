import * as z from "zod";
import { endpoint, none, textIn } from "../endpoint.ts";
import { refusal } from "../refusal.ts";

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
