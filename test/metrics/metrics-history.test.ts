import { expect, test } from "vitest";
import { memoryMetrics } from "../../core/embedded/ports.ts";
import { MetricsHistory, keptSamples, sampleMs } from "../../core/metrics/metrics-history.ts";
import type { Measurements } from "../../core/ports/metrics.ts";
import { systemClock } from "../../core/ports/clock.ts";
import { Chance, SimClock } from "../simulation/clock.ts";

const measured = await memoryMetrics.measure();

/** A machine that says of each measurement which one it is. */
async function historyOf(measure: (n: number) => Measurements | Error) {
  const clock = new SimClock(new Chance(1));
  let n = 0;
  const history = new MetricsHistory({
    clock,
    metrics: {
      measure: async () => {
        const made = measure(n++);
        if (made instanceof Error) throw made;
        return made;
      },
    },
  });
  history.start();
  await clock.advance(1);
  return { history, clock, times: () => n };
}

test("a sample a minute, the oldest first, with the load since the sample before", async () => {
  const { history, clock } = await historyOf((n) => ({
    ...measured,
    memoryUsedMb: n,
    cpuBusyMs: n * 30,
    cpuIdleMs: n * 70,
  }));
  const begun = clock.now() - 1;
  await clock.advance(2 * sampleMs);
  expect(history.read()).toEqual({
    at: [begun, begun + sampleMs, begun + 2 * sampleMs],
    cpuPercent: [7, 30, 30],
    memoryUsedMb: [0, 1, 2],
    storageUsedMb: [2048, 2048, 2048],
    cpuCelsius: [48, 48, 48],
  });
  expect(history.read(begun + sampleMs)).toMatchObject({ at: [begun + 2 * sampleMs], memoryUsedMb: [2] });
  history.stop();
});

test("the last day is kept, in less than 200 KB", async () => {
  const { history, clock, times } = await historyOf((n) => ({ ...measured, memoryUsedMb: n }));
  await clock.advance((keptSamples + 9) * sampleMs);
  const { at, memoryUsedMb } = history.read();
  expect([at.length, memoryUsedMb.length, times()]).toEqual([keptSamples, keptSamples, keptSamples + 10]);
  expect([memoryUsedMb[0], memoryUsedMb.at(-1)]).toEqual([10, keptSamples + 9]);
  expect(at.at(-1)).toBe(clock.now() - 1);
  expect(history.bytes).toBe(keptSamples * (8 + 4 * 4));
  expect(history.bytes).toBeLessThan(200_000);
  history.stop();
});

test("what the machine does not have is null, and a measurement that fails is a gap", async () => {
  const { storageUsedMb: _, cpuCelsius: __, ...little } = measured;
  const { history, clock } = await historyOf((n) => (n === 1 ? new Error("no /proc") : little));
  await clock.advance(2 * sampleMs);
  expect(history.read()).toMatchObject({ storageUsedMb: [null, null], cpuCelsius: [null, null], cpuPercent: [7, 7] });
  history.stop();
});

test("when the machine's clock is set, all samples move with it", async () => {
  let shift = 0;
  const history = new MetricsHistory({
    clock: { ...systemClock, now: () => shift + 5000, monotonic: () => 5000 },
    metrics: memoryMetrics,
  });
  history.start();
  await Promise.resolve();
  await Promise.resolve();
  shift = 1e12;
  expect(history.read().at).toEqual([1e12 + 5000]);
  history.stop();
});

test("after its end nothing is measured", async () => {
  const { history, clock, times } = await historyOf(() => measured);
  history.stop();
  await clock.advance(10 * sampleMs);
  expect(times()).toBe(1);
});
