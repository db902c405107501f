import { expect, test } from "vitest";
import { ownUse } from "../../runtimes/node/own-use.ts";

test("the use of the process: memory and times that only grow, and how late its event loop is", async () => {
  const before = await ownUse.measure();
  expect(before.startedAt).toBeLessThanOrEqual(Date.now());
  expect(before.residentBytes).toBeGreaterThan(before.heapBytes);
  expect(before.heapBytes).toBeGreaterThan(0);
  const begun = performance.now();
  const measuring = ownUse.measure();
  while (performance.now() < begun + 50);
  const late = await measuring;
  expect(late.loopLagMs).toBeGreaterThanOrEqual(50);
  expect(late.cpuMs).toBeGreaterThan(before.cpuMs);
  expect(late.loopBusyMs).toBeGreaterThanOrEqual(before.loopBusyMs);
});
