import { expect, test } from "vitest";
import { EmbeddedEngine } from "../../core/embedded/engine.ts";
import { EngineCalls } from "../../core/metrics/engine-calls.ts";
import { systemClock } from "../../core/ports/clock.ts";
import { EngineError } from "../../core/ports/engine.ts";

test("each call of the engine is counted with its time, and refused ones as failures", async () => {
  let now = 0;
  const calls = new EngineCalls({ monotonic: () => now });
  const inner = new EmbeddedEngine({ clock: systemClock });
  inner.look = async () => {
    now += 50;
    return { containers: [], images: [], networks: [], volumes: [] };
  };
  inner.removeImage = () => {
    now += 120_000;
    return Promise.reject(new EngineError("conflict", 409));
  };
  const engine = calls.counted(inner);
  expect(calls.durations()).toEqual([]);
  await engine.look({ fresh: true });
  await engine.look({ fresh: false });
  await expect(engine.removeImage("img:1")).rejects.toMatchObject({ status: 409 });
  engine.logs("id", 0, AbortSignal.abort());
  const [look, removal, logs] = calls.durations();
  expect(look).toMatchObject({ labels: { operation: "look" }, counts: [0, 0, 2, 0, 0, 0, 0, 0], sum: 0.1 });
  expect(removal).toMatchObject({ labels: { operation: "removeImage" }, counts: [0, 0, 0, 0, 0, 0, 0, 1], sum: 120 });
  expect(logs).toMatchObject({ labels: { operation: "logs" }, counts: [1, 0, 0, 0, 0, 0, 0, 0], sum: 0 });
  expect(calls.failures()).toEqual([
    { labels: { operation: "look" }, value: 0 },
    { labels: { operation: "removeImage" }, value: 1 },
    { labels: { operation: "logs" }, value: 0 },
  ]);
});
