import { expect, test } from "vitest";
import { systemClock } from "../../core/ports/clock.ts";
import { testDevice } from "../support/device.ts";
import { UnpluggedEngine } from "../support/unplugged-engine.ts";
import { empty, ok, seen, text } from "./answers.ts";

test("ping answers OK", async () => {
  const device = await testDevice();
  expect(seen(await device.get("/ping"))).toEqual(ok);
});

test("a healthy device answers with an empty 200", async () => {
  const device = await testDevice();
  await device.settled();
  expect(seen(await device.get("/v1/healthy"))).toEqual(empty(200));
});

test("a device is unhealthy after its engine has been away for a minute, until the engine is back", async () => {
  let aheadMs = 0;
  const clock = {
    ...systemClock,
    now: () => Date.now() + aheadMs,
    sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(Math.min(ms, 5), signal),
  };
  const engine = new UnpluggedEngine({ clock });
  const device = await testDevice({ clock, ports: { engine } });
  await device.settled();
  const { loop } = device.supervisor;

  engine.isAway = true;
  loop.trigger();
  await expect.poll(() => loop.troubleSince()).toBeDefined();
  expect(seen(await device.get("/v1/healthy"))).toEqual(empty(200));

  aheadMs = 61_000;
  expect(seen(await device.get("/v1/healthy"))).toEqual(text(500, "Unhealthy"));

  engine.isAway = false;
  await expect.poll(async () => seen(await device.get("/v1/healthy"))).toEqual(empty(200));
});
