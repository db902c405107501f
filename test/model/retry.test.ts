import { describe, expect, test } from "vitest";
import { delayMs, type RetryPolicy } from "../../core/model/retry.ts";
import { keepTrying, type Attempt } from "../../core/retry.ts";

const policy: RetryPolicy = { firstMs: 1000, maxMs: 30_000 };

describe("the delay between two attempts", () => {
  test.each([
    [1, 1000],
    [2, 2000],
    [5, 16_000],
    [6, 30_000],
    [5000, 30_000],
  ])("doubles up to the policy's limit: failure %d, %d ms", (failures, ms) => {
    expect(delayMs(policy, failures)).toBe(ms);
  });

  test.each([
    [1, 9, 1000],
    [3, 3, 9000],
    [1.5, 3, 2250],
  ])("grows by factor %d: failure %d, %d ms", (factor, failures, ms) => {
    expect(delayMs({ ...policy, factor }, failures)).toBe(ms);
  });

  test.each([
    [[1, 1.5], 0, 1000],
    [[1, 1.5], 0.5, 1250],
    [[0, 1], 0.25, 250],
  ] as const)("has a jitter between %j: chance %d, %d ms", (jitter, random, ms) => {
    expect(delayMs({ ...policy, jitter }, 1, { random })).toBe(ms);
  });

  test("is never shorter than the other side requests, whatever the limit and the jitter", () => {
    expect(delayMs(policy, 1, { retryAfterMs: 90_000 })).toBe(90_000);
    expect(delayMs({ ...policy, jitter: [1, 1.5] }, 1, { retryAfterMs: 90_000, random: 0.5 })).toBe(112_500);
    expect(delayMs({ ...policy, jitter: [0, 1] }, 1, { retryAfterMs: 90_000, random: 0.5 })).toBe(90_000);
    expect(delayMs(policy, 3, { retryAfterMs: 10 })).toBe(4000);
  });
});

describe("keepTrying", () => {
  /** Fails with each of these reasons in turn, then succeeds. */
  function failing(...reasons: readonly (string | { why: string; retryAfterMs: number })[]) {
    const slept: number[] = [];
    const failures: string[] = [];
    const end = new AbortController();
    const left = [...reasons];
    const act = (): Promise<Attempt<string>> => {
      const next = left.shift();
      if (next === undefined) return Promise.resolve({ ok: true, value: "here" });
      return Promise.resolve({ ok: false, ...(typeof next === "string" ? { why: next } : next) });
    };
    const clock = {
      random: () => 0.5,
      sleep: (ms: number) => {
        slept.push(ms);
        return Promise.resolve();
      },
    };
    const onFailure = ({ why }: { why: string }, count: number) => void failures.push(`${count}: ${why}`);
    return { act, slept, failures, end, left, options: { clock, signal: end.signal, onFailure } };
  }

  test("answers with the value of the first attempt that succeeds", async () => {
    const { act, slept, failures, options } = failing("away", "away", "busy");
    expect(await keepTrying(policy, act, options)).toEqual({ is: "done", value: "here" });
    expect(slept).toEqual([1000, 2000, 4000]);
    expect(failures).toEqual(["1: away", "2: away", "3: busy"]);
  });

  test("adds jitter by the clock's random numbers, and waits for the requested time", async () => {
    const { act, slept, options } = failing("away", { why: "busy", retryAfterMs: 10_000 });
    await keepTrying({ ...policy, jitter: [1, 1.5] }, act, options);
    expect(slept).toEqual([1250, 12_500]);
  });

  test("gives up after the policy's attempts, with the last reason", async () => {
    const { act, slept, left, options } = failing("away", { why: "busy", retryAfterMs: 5 }, "away");
    const tried = await keepTrying({ ...policy, attempts: 2 }, act, options);
    expect(tried).toEqual({ is: "failed", why: "busy", retryAfterMs: 5 });
    expect(slept).toEqual([1000]);
    expect(left).toEqual(["away"]);
  });

  test("ends when the signal fires: during the pause, and before the first attempt", async () => {
    const { act, left, end, options } = failing("away", "busy");
    const pause = () => Promise.resolve(end.abort());
    expect(await keepTrying(policy, act, { ...options, pause })).toEqual({ is: "aborted" });
    expect(await keepTrying(policy, act, options)).toEqual({ is: "aborted" });
    expect(left).toEqual(["busy"]);
  });

  test("passes the delay, the failure and the signal to the caller's own pause", async () => {
    const { act, slept, end, options } = failing({ why: "busy", retryAfterMs: 3000 });
    const paused: unknown[] = [];
    const pause = (...given: unknown[]) => Promise.resolve(void paused.push(given));
    await keepTrying(policy, act, { ...options, pause });
    expect(paused).toEqual([[3000, { why: "busy", retryAfterMs: 3000 }, end.signal]]);
    expect(slept).toEqual([]);
  });

  test("does not retry a thrown error", async () => {
    const { options } = failing();
    await expect(keepTrying(policy, () => Promise.reject(new Error("disk full")), options)).rejects.toThrow(
      "disk full",
    );
  });
});
