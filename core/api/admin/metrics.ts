import { endpoint, none, textIn } from "../endpoint.ts";
import { refusals } from "./fields.ts";

export const fleetMetrics = endpoint({
  method: "GET",
  path: "/metrics",
  summary:
    "Figures of the fleets that the token covers, for Prometheus; in OpenMetrics, if `Accept` asks for it: docs/metrics.md. Wakes no device",
  params: none,
  body: none,
  replies: {
    ...refusals,
    200: textIn(
      "text/plain; version=0.0.4; charset=utf-8",
      "application/openmetrics-text; version=1.0.0; charset=utf-8",
    ),
  },
});
