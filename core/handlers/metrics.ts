import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/metrics.ts";
import type { AgentMetrics } from "../metrics/agent-metrics.ts";
import { render } from "../metrics/exposition.ts";
import { sampleMs, type MetricsHistory } from "../metrics/metrics-history.ts";
import { covers } from "../model/scope.ts";

export interface MetricsContext {
  readonly metrics: Pick<AgentMetrics, "read" | "services">;
  readonly metricsHistory: Pick<MetricsHistory, "read" | "last">;
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

export async function metricsHistory(
  { params: { after, collect }, scope }: Input<typeof api.metricsHistory>,
  { metrics: figures, metricsHistory: history }: MetricsContext,
): Promise<Reply<typeof api.metricsHistory>> {
  const services = await figures.services({
    covers: (appId) => covers(scope, appId),
    use: collect === "containers",
  });
  const { at, cpuPercent, memoryUsedMb, storageUsedMb, cpuCelsius } = history.read(after);
  const { memoryTotalMb, storageTotalMb } = history.last ?? {};
  return reply(200, {
    sampleSeconds: sampleMs / 1000,
    samples: {
      at: [...at],
      cpuPercent: [...cpuPercent],
      memoryUsedMb: [...memoryUsedMb],
      storageUsedMb: [...storageUsedMb],
      cpuCelsius: [...cpuCelsius],
    },
    ...(memoryTotalMb !== undefined && { memoryTotalMb }),
    ...(storageTotalMb !== undefined && { storageTotalMb }),
    services: services.map(({ labels, container, use }) => ({
      appId: labels.app_id,
      service: labels.service,
      state: container?.state ?? "missing",
      ...(container?.health !== undefined && { health: container.health }),
      restarts: container?.restarts ?? 0,
      ...(use && { use }),
    })),
  });
}
