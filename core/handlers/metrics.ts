import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/metrics.ts";
import type { AgentMetrics } from "../metrics/agent-metrics.ts";
import { render } from "../metrics/exposition.ts";
import { covers } from "../model/scope.ts";

export interface MetricsContext {
  readonly metrics: Pick<AgentMetrics, "read">;
}

export async function metrics(
  { params: { collect }, scope, accepted }: Input<typeof api.metrics>,
  context: MetricsContext,
): Promise<Reply<typeof api.metrics>> {
  const readings = await context.metrics.read({
    covers: (appId) => covers(scope, appId),
    device: scope.device,
    use: collect === "containers",
  });
  return reply(200, render(readings, accepted?.startsWith("application/openmetrics-text") ? "openMetrics" : "text"));
}
