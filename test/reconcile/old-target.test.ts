import { expect, test } from "vitest";
import { systemClock } from "../../core/ports/clock.ts";
import { app, testDevice } from "../support/device.ts";
import { LateEngine, turn } from "./late.ts";

test("no step is applied for a target state that was replaced during the observation", async () => {
  const engine = new LateEngine({ clock: systemClock, pullMs: 3, stopMs: 1 });
  const device = await testDevice({ ports: { engine } });
  const wanted = { "1": app({ one: {} }) };
  await device.run(wanted);
  const ids = async () => (await engine.look()).containers.map(({ id }) => id);
  const running = await ids();

  const { promise, resolve } = Promise.withResolvers<void>();
  engine.late = promise;
  const before = engine.looks;
  await device.post("/v2/local/target-state", { local: { apps: {} } });
  await expect.poll(() => engine.looks).toBe(before + 1);
  await device.post("/v2/local/target-state", { local: { apps: wanted } });
  await turn();
  resolve();
  await device.settled();
  expect(await ids()).toEqual(running);
  expect(device.log.lines).not.toContain("Taking update locks");
});
