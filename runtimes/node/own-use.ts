import { performance } from "node:perf_hooks";
import type { OwnUse } from "../../core/ports/own-use.ts";

/** From Node's own counters. Nothing runs between two measurements. */
export const ownUse: OwnUse = {
  async measure() {
    const asked = performance.now();
    await new Promise((resolve) => setImmediate(resolve));
    const loopLagMs = performance.now() - asked;
    const { rss: residentBytes, heapUsed: heapBytes } = process.memoryUsage();
    const { user, system } = process.cpuUsage();
    return {
      ...{ startedAt: performance.timeOrigin, cpuMs: (user + system) / 1000, residentBytes, heapBytes },
      ...{ loopBusyMs: performance.eventLoopUtilization().active, loopLagMs },
    };
  },
};
