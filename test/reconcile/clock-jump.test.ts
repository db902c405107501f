import { describe, expect, test } from "vitest";
import { EmbeddedEngine } from "../../core/embedded/engine.ts";
import { EngineError } from "../../core/ports/engine.ts";
import { boundEngine } from "../support/bound-engine.ts";
import { app, testDevice } from "../support/device.ts";
import { Chance, SimClock } from "../simulation/clock.ts";

/** Somebody sets the time of the machine, while something waits to be tried again. */

const tenYears = 10 * 365 * 86_400_000;

describe.each([
  ["back", -tenYears],
  ["forward", tenYears],
])("after the time was set %s by ten years,", (_, jumpMs) => {
  test.each(["create", "pull"] as const)("a %s that has failed is tried again after one second", async (refused) => {
    const clock = new SimClock(new Chance(1));
    const engine = boundEngine(new EmbeddedEngine({ clock, pullMs: 3 }));
    let tries = 0;
    const fail = <T>(act: () => Promise<T>): Promise<T> =>
      tries++ === 0 ? Promise.reject(new EngineError("not now", 500)) : act();
    const device = await testDevice({
      clock,
      ports: {
        engine: {
          ...engine,
          createContainer: (...asked) =>
            refused === "create" ? fail(() => engine.createContainer(...asked)) : engine.createContainer(...asked),
          pull: (...asked) => (refused === "pull" ? fail(() => engine.pull(...asked)) : engine.pull(...asked)),
        },
      },
    });
    const body = { local: { name: "device", config: {}, apps: { "1": app({ web: {} }) } } };
    const answered = device.post("/v2/local/target-state", body);
    await clock.advance(500);
    expect((await answered).status).toBe(200);
    expect(tries).toBe(1);
    clock.jump(jumpMs);
    await clock.advance(400);
    expect(tries).toBe(1);
    await clock.advance(1100);
    expect((await engine.look({ fresh: true })).containers.map(({ state }) => state)).toEqual(["running"]);
  });
});

describe("after the time was set back by ten years,", () => {
  test("the time to hand over ends all the same", async () => {
    const clock = new SimClock(new Chance(1));
    const engine = new EmbeddedEngine({ clock, pullMs: 3, stopMs: 1 });
    const device = await testDevice({ clock, ports: { engine } });
    const set = async (version: string) => {
      const labels = { "io.balena.update.strategy": "hand-over", "io.balena.update.handover-timeout": "20000" };
      const apps = { "1": app({ web: { image: `web:${version}`, labels } }) };
      await Promise.all([
        device.post("/v2/local/target-state", { local: { name: "device", config: {}, apps } }),
        clock.advance(10_000),
      ]);
    };
    const count = async () => (await engine.look()).containers.length;
    await set("1");
    await set("2");
    expect(await count()).toBe(2);
    clock.jump(-tenYears);
    await clock.advance(8_000);
    expect(await count()).toBe(2);
    await clock.advance(5_000);
    expect(await count()).toBe(1);
  });

  test("a service that somebody stops stays stopped", async () => {
    const clock = new SimClock(new Chance(1));
    const engine = new EmbeddedEngine({ clock, pullMs: 3, stopMs: 1 });
    const device = await testDevice({ clock, ports: { engine } });
    clock.jump(-tenYears);
    const body = { local: { name: "device", config: {}, apps: { "1": app({ web: {} }) } } };
    await Promise.all([device.post("/v2/local/target-state", body), clock.advance(60_000)]);
    const [container] = (await engine.look()).containers;
    await Promise.all([engine.stopContainer(container?.id ?? ""), clock.advance(60_000)]);
    expect((await engine.look()).containers).toMatchObject([{ id: container?.id, state: "exited" }]);
  });
});
