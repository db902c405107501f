import { expect, test } from "vitest";
import type { Container } from "../../core/model/container.ts";
import type { App } from "../../core/model/target.ts";
import type { GateKind } from "../../core/model/update.ts";
import { GateWatch } from "../../core/reconcile/gate-watch.ts";
import { judgeGates, recheckMs } from "../../core/reconcile/judge-gates.ts";
import { Chance } from "../simulation/clock.ts";
import { app, running } from "./literals.ts";

/** Over any life of a container, and however seldom it is looked at. */

const monitorMs = 5_000;
const release: App = {
  ...app({ web: "web:1" }),
  services: app({ web: "web:1" }).services.map((one) => ({ ...one, gates: { monitorMs } })),
};
const first: Container = {
  ...running("web", "web:1", { healthcheck: { test: ["CMD", "check"] } }),
  ...{ state: "created", startedAt: 0 },
};

/** What happens to the container next. `byItself`: the engine restarts it since it has ended. */
function next(container: Container, now: number, chance: Chance): Container & { readonly byItself?: true } {
  const { state, restarts } = container;
  if (state !== "running") {
    const byItself = state === "restarting";
    return { ...container, state: "running", health: "starting", startedAt: now, restarts: byItself ? restarts : 0 };
  }
  if (chance.happens(0.6)) return { ...container, health: chance.pick(["healthy", "unhealthy"]) };
  const { health: _, ...rest } = container;
  if (chance.happens(0.3)) return { ...rest, state: "exited", exitCode: 143, finishedAt: now };
  return { ...rest, state: "restarting", exitCode: 1, finishedAt: now, restarts: restarts + 1, byItself: true };
}

test("a gate is open only if what it asks for has lasted, and fails only after three exits over that time", () => {
  const seen = { open: 0, failed: 0 };
  for (let seed = 0; seed < 500; seed++) {
    const chance = new Chance(seed);
    const watch = new GateWatch();
    const told = { confirmed: [], cloudReached: undefined, stoppedNow: new Set<string>() };
    const judge = (one: Container, now: number) => judgeGates(release, [one], watch.note([one], now), told);
    let container = first;
    let exits: number[] = [];
    let [upSince, healthySince] = [Infinity, Infinity];
    for (let now = 1_000, round = 0; now < 60_000; now += 100 + chance.below(1_500)) {
      const before = container;
      if (chance.happens(0.25)) {
        const { byItself, ...changed } = next(container, now, chance);
        if (byItself) exits.push(now);
        if (changed.startedAt !== container.startedAt) upSince = now;
        if (changed.health !== container.health || changed.startedAt !== container.startedAt) healthySince = now;
        if (changed.state !== "running") upSince = Infinity;
        if (changed.health !== "healthy") healthySince = Infinity;
        container = changed;
      }
      // A round may see several starts as one. The engine tells of each change of health.
      const isOfHealth = container.state === before.state && container.health !== before.health;
      if (!isOfHealth && chance.happens(0.3)) continue;
      round++;
      // Exits before the first round were before the watch.
      if (round === 1) exits = [];
      const gates = judge(container, now);
      const is = (gate: GateKind) => gates.find((one) => one.gate === gate)?.is;
      const story = `seed ${seed}, at ${now}`;
      if (is("healthy") === "open") expect(now - healthySince, story).toBeGreaterThanOrEqual(monitorMs);
      if (is("stay-up") === "open") expect(now - upSince, story).toBeGreaterThanOrEqual(monitorMs);
      if (is("stay-up") === "failed") {
        expect(exits.length, story).toBeGreaterThanOrEqual(3);
        expect(now - (exits[0] ?? now), story).toBeGreaterThanOrEqual(monitorMs);
      }
      if (is("healthy") === "failed") expect.fail(story);
      // If nothing changes, a gate opens exactly when it is said to.
      const dueMs = recheckMs(gates);
      if (dueMs !== undefined) {
        const opened = (ms: number) => judge(container, ms).filter((one) => one.is === "open").length;
        expect([opened(now + dueMs - 1), opened(now + dueMs) > opened(now)], story).toEqual([opened(now), true]);
      }
      if (gates.every((one) => one.is === "open")) seen.open++;
      if (gates.some((one) => one.is === "failed")) seen.failed++;
    }
  }
  expect(seen.open).toBeGreaterThan(100);
  expect(seen.failed).toBeGreaterThan(100);
});
