import { expect, test } from "vitest";
import { memoryMetrics } from "../../core/embedded/ports.ts";
import { HostFigures, cpuPercentBetween, sharedMs } from "../../core/metrics/host-figures.ts";

function counted(measure = memoryMetrics.measure) {
  let [time, times] = [0, 0];
  const figures = new HostFigures(
    {
      measure: () => {
        times++;
        return measure();
      },
    },
    { monotonic: () => time },
  );
  return { figures, times: () => times, pass: (ms: number) => void (time += ms) };
}

test("readers at the same moment share one measurement of the machine", async () => {
  const { figures, times, pass } = counted();
  await Promise.all(Array.from({ length: 16 }, () => figures.measure()));
  pass(sharedMs - 1);
  await figures.measure();
  expect(times()).toBe(1);
  pass(1);
  await figures.measure();
  expect(times()).toBe(2);
});

test("a measurement that failed is not shared with later readers", async () => {
  let fails = true;
  const { figures, times } = counted(() => (fails ? Promise.reject(new Error("no /proc")) : memoryMetrics.measure()));
  await expect(figures.measure()).rejects.toThrow("no /proc");
  fails = false;
  expect(await figures.measure()).toMatchObject({ cpuPercent: 7 });
  expect(times()).toBe(2);
});

test("the load between two measurements does not depend on who measured in between", async () => {
  const measured = await memoryMetrics.measure();
  const at = (cpuBusyMs: number, cpuIdleMs: number) => ({ ...measured, cpuBusyMs, cpuIdleMs, cpuPercent: 99 });
  expect(cpuPercentBetween(at(1000, 1000), at(1250, 1750))).toBe(25);
  expect(cpuPercentBetween(undefined, at(1, 1))).toBe(99);
  expect(cpuPercentBetween(at(1, 1), at(1, 1))).toBe(99);
});
