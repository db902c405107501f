import { getEventListeners } from "node:events";
import { describe, expect, test } from "vitest";
import { systemClock, type Clock } from "../../core/ports/clock.ts";
import { FastClock } from "../cloud/fleet.ts";
import { Chance, SimClock } from "../simulation/clock.ts";
import { HandClock } from "../state/world.ts";

/** The promises of `core/ports/clock.ts`, which the simulated clocks keep too. */

interface Bench {
  readonly clock: Clock;
  /** Lets so much time pass, and what is due in it happen. */
  readonly pass: (ms: number) => Promise<void>;
  /** What counts as a short time by this clock. */
  readonly shortMs: number;
}

const really = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

function simulated(): Bench {
  const clock = new SimClock(new Chance(1));
  return { clock, pass: (ms) => clock.advance(ms), shortMs: 1000 };
}

function byHand(): Bench {
  const clock = new HandClock();
  return {
    clock,
    pass: (ms) => {
      clock.pass(ms);
      return really(0);
    },
    shortMs: 1000,
  };
}

// Timers of Node may fire a millisecond early, and late as it likes.
const real = (): Bench => ({ clock: systemClock, pass: (ms) => really(ms + 100), shortMs: 50 });
const fast = (): Bench => ({ clock: new FastClock(), pass: (ms) => really(ms / 40 + 100), shortMs: 2000 });

describe.each([
  ["of the system", real],
  ["of the simulation", simulated],
  ["that tests move by hand", byHand],
  ["that runs faster", fast],
])("a clock %s", (_, create) => {
  /** What has woken up so far. */
  function sleeper(clock: Clock) {
    const awake: string[] = [];
    const sleep = (name: string, ms: number, signal?: AbortSignal) =>
      clock.sleep(ms, signal).then(() => void awake.push(name));
    return { awake, sleep };
  }

  test("goes forward and never back", async () => {
    const { clock, pass, shortMs } = create();
    const before = clock.now();
    await pass(shortMs);
    expect(clock.now()).toBeGreaterThanOrEqual(before + shortMs);
  });

  test("measures a time by its monotonic part, too", async () => {
    const { clock, pass, shortMs } = create();
    const before = clock.monotonic();
    await pass(shortMs);
    expect(clock.monotonic()).toBeGreaterThanOrEqual(before + shortMs);
  });

  test("wakes sleepers in order, and none before its time", async () => {
    const { clock, pass, shortMs } = create();
    const { awake, sleep } = sleeper(clock);
    void sleep("second", 2 * shortMs);
    void sleep("first", shortMs);
    void sleep("much later", 1e9);
    await really(0);
    expect(awake).toEqual([]);
    await pass(2 * shortMs);
    expect(awake).toEqual(["first", "second"]);
  });

  test("does not wake a sleeper at once if its time is longer than the maximum of timers", async () => {
    const { clock, pass, shortMs } = create();
    const { awake, sleep } = sleeper(clock);
    void sleep("for 100 days", 100 * 86_400_000 * 40);
    await pass(shortMs);
    expect(awake).toEqual([]);
  });

  test("ends a sleep of 0 ms", async () => {
    const { clock, pass } = create();
    const { awake, sleep } = sleeper(clock);
    void sleep("not at all", 0);
    await pass(0);
    expect(awake).toEqual(["not at all"]);
  });

  test("wakes a sleeper at once if the signal fires or has fired", async () => {
    const { clock } = create();
    const { awake, sleep } = sleeper(clock);
    const end = new AbortController();
    void sleep("woken", 1e9, end.signal);
    void sleep("not woken", 1e9, new AbortController().signal);
    end.abort();
    await really(0);
    expect(awake).toEqual(["woken"]);
    void sleep("too late to sleep", 1e9, end.signal);
    await really(0);
    expect(awake).toEqual(["woken", "too late to sleep"]);
  });

  test("leaves no listener on a signal after a sleep", async () => {
    const { clock, pass, shortMs } = create();
    const { signal } = new AbortController();
    const sleeps = Array.from({ length: 5 }, () => clock.sleep(shortMs, signal));
    await pass(shortMs);
    await Promise.all(sleeps);
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  test("gives numbers from 0 to below 1, and tokens that differ", () => {
    const { clock } = create();
    for (const number of Array.from({ length: 100 }, () => clock.random())) {
      expect(number).toBeGreaterThanOrEqual(0);
      expect(number).toBeLessThan(1);
    }
    const tokens = Array.from({ length: 100 }, () => clock.token(16));
    for (const token of tokens) expect(token).toMatch(/^[0-9a-f]{32}$/);
    expect(new Set(tokens).size).toBe(100);
  });
});
