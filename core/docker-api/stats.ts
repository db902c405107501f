import * as z from "zod";
import type { ResourceUse } from "../model/processes.ts";

const Cpu = z.looseObject({
  cpu_usage: z.looseObject({ total_usage: z.number() }),
  system_cpu_usage: z.number().optional(),
  online_cpus: z.number().optional(),
});

/** The engine's answer to `GET /containers/(id)/stats?stream=false`. Of a stopped container, all of it is empty. */
export const Stats = z.looseObject({
  cpu_stats: Cpu,
  precpu_stats: Cpu,
  memory_stats: z.looseObject({
    usage: z.number().optional(),
    limit: z.number().optional(),
    stats: z.record(z.string(), z.number()).nullish(),
  }),
  /** Absent on the host's network. */
  networks: z.record(z.string(), z.looseObject({ rx_bytes: z.number(), tx_bytes: z.number() })).nullish(),
  blkio_stats: z.looseObject({
    io_service_bytes_recursive: z.array(z.looseObject({ op: z.string(), value: z.number() })).nullish(),
  }),
  pids_stats: z.looseObject({ current: z.number().optional() }),
});

/** Undefined for a container that does not run. The formulas are those of `docker stats`. */
export function fromStats(stats: z.output<typeof Stats>): ResourceUse | undefined {
  const { cpu_stats: now, precpu_stats: before, memory_stats: memory, pids_stats: pids } = stats;
  if (memory.usage === undefined) return undefined;
  const used = now.cpu_usage.total_usage - before.cpu_usage.total_usage;
  const passed = (now.system_cpu_usage ?? 0) - (before.system_cpu_usage ?? 0);
  // cgroup v2, v1.
  const cache = memory.stats?.["inactive_file"] ?? memory.stats?.["total_inactive_file"] ?? 0;
  const networks = Object.values(stats.networks ?? {});
  const bytesOf = (wanted: string) =>
    sum((stats.blkio_stats.io_service_bytes_recursive ?? []).map(({ op, value }) => (isOp(op, wanted) ? value : 0)));
  return {
    cpuPercent: passed > 0 ? Math.round((used / passed) * (now.online_cpus ?? 1) * 10_000) / 100 : 0,
    memoryBytes: Math.max(0, memory.usage - cache),
    memoryLimitBytes: memory.limit ?? 0,
    receivedBytes: sum(networks.map(({ rx_bytes }) => rx_bytes)),
    sentBytes: sum(networks.map(({ tx_bytes }) => tx_bytes)),
    readBytes: bytesOf("read"),
    writtenBytes: bytesOf("write"),
    processes: pids.current ?? 0,
  };
}

/** cgroup v1 writes "Read", v2 "read". */
const isOp = (op: string, wanted: string): boolean => op.toLowerCase() === wanted;

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);
