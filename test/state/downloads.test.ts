import { describe, expect, test } from "vitest";
import { delayMs } from "../../core/model/retry.ts";
import { failureRetry, lockRetry } from "../../core/reconcile/backoff.ts";
import { Downloads } from "../../core/reconcile/downloads.ts";
import { HandClock, SlowRegistry, turn } from "./world.ts";

function world(moved: () => void = () => undefined) {
  const clock = new HandClock();
  const engine = new SlowRegistry({ clock });
  const downloads = new Downloads(engine, clock, moved);
  const ends: string[] = [];
  const start = (name: string) =>
    downloads.start({ name }, (failure) => ends.push(failure === undefined ? name : `${name}: ${failure}`));
  const state = () => Object.fromEntries(downloads.state());
  return { clock, engine, downloads, ends, start, state };
}

test("three downloads run at once, and the next starts when one has ended", async () => {
  const { engine, start, ends, state } = world();
  for (const name of ["a", "b", "c", "d", "e"]) start(name);
  await turn();
  expect(engine.running()).toEqual(["a", "b", "c"]);
  expect(Object.keys(state())).toEqual(["a", "b", "c", "d", "e"]);
  engine.of("b").finish();
  await turn();
  expect(engine.running()).toEqual(["a", "c", "d"]);
  engine.of("a").fail("no space");
  await turn();
  expect(engine.running()).toEqual(["c", "d", "e"]);
  for (const name of ["c", "d", "e"]) engine.of(name).finish();
  await turn();
  expect(ends).toEqual(["b", "a: no space", "c", "d", "e"]);
  expect(Object.keys(state())).toEqual(["a"]);
});

test("the error of a failed download does not contain the registry's password", async () => {
  const { engine, downloads, ends, state } = world();
  const auth = { username: "user", password: "hunter2" };
  downloads.start({ name: "a", auth }, (failure) => ends.push(failure ?? ""));
  await turn();
  engine.of("a").fail("Get https://user:hunter2@registry.example/v2/: hunter2 is wrong for user");
  await turn();
  expect(ends).toEqual(["Get https://(hidden)@registry.example/v2/: (hidden) is wrong for user"]);
  expect(JSON.stringify(state())).not.toContain("hunter2");
});

test("never more than three run, even if a new one is requested at the moment when one ends", async () => {
  let next = 0;
  const { engine, start } = world(() => {
    if (next < 5) start(`new${next++}`);
  });
  for (const name of ["a", "b", "c", "d", "e"]) start(name);
  for (let n = 0; n < 20; n++) {
    await turn();
    engine.pulls[0]?.finish();
  }
  await turn();
  expect(engine.running()).toEqual([]);
  expect(engine.most).toBe(3);
});

test("a running download is not started again", async () => {
  const { engine, start, ends } = world();
  start("a");
  start("a");
  await turn();
  expect(engine.running()).toEqual(["a"]);
  engine.of("a").finish();
  await turn();
  expect(ends).toEqual(["a"]);
});

test("progress never decreases", async () => {
  const { engine, start, state } = world();
  start("a");
  await turn();
  const seen = [0, 10, 50, 30, 50, 49, 60, 100].map((percent) => {
    engine.of("a").progress(percent);
    return state()["a"];
  });
  expect(seen).toEqual([0, 10, 50, 50, 50, 50, 60, 100].map((percent) => ({ is: "running", percent })));
});

test("waiting callers are notified when a download succeeds or fails", async () => {
  let moves = 0;
  const { engine, start } = world(() => moves++);
  start("a");
  start("b");
  await turn();
  expect(moves).toBe(0);
  engine.of("a").finish();
  await turn();
  expect(moves).toBe(1);
  engine.of("b").fail("no");
  await turn();
  expect(moves).toBe(2);
});

describe("a failure", () => {
  test("is remembered with its reason and the time of the next try: after 1, 2, 4, 8… seconds", async () => {
    const { clock, engine, start, state } = world();
    for (const seconds of [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]) {
      start("a");
      await turn();
      expect(state()["a"]).toMatchObject({ is: "running", percent: 0 });
      engine.of("a").fail("manifest unknown");
      await turn();
      expect(state()["a"]).toEqual({
        is: "failed",
        reason: "manifest unknown",
        retryAt: clock.now() + seconds * 1000,
      });
    }
  });

  test("is forgotten once the download has succeeded", async () => {
    const { clock, engine, start, state } = world();
    for (let n = 0; n < 3; n++) {
      start("a");
      await turn();
      engine.of("a").fail("no");
      await turn();
    }
    start("a");
    await turn();
    engine.of("a").finish();
    await turn();
    expect(state()).toEqual({});
    start("a");
    await turn();
    engine.of("a").fail("no");
    await turn();
    expect(state()["a"]).toMatchObject({ retryAt: clock.now() + 1000 });
  });

  test("starts at 0 percent when it is retried", async () => {
    const { engine, start, state } = world();
    start("a");
    await turn();
    engine.of("a").progress(80);
    engine.of("a").fail("no");
    await turn();
    start("a");
    await turn();
    engine.of("a").progress(5);
    expect(state()["a"]).toEqual({ is: "running", percent: 5, lastFailure: "no" });
  });
});

describe("a download that is no longer wanted", () => {
  test("is cancelled without an error, and another one starts", async () => {
    const { engine, downloads, start, ends, state } = world();
    for (const name of ["a", "b", "c", "d"]) start(name);
    await turn();
    const { signal } = engine.of("a");
    downloads.keep(new Set(["b", "c", "d"]));
    expect(signal.aborted).toBe(true);
    await turn();
    expect(engine.running()).toEqual(["b", "c", "d"]);
    expect(ends).toEqual([]);
    expect(Object.keys(state())).toEqual(["b", "c", "d"]);
  });

  test("is not started if it was still waiting", async () => {
    const { engine, downloads, start, ends } = world();
    for (const name of ["a", "b", "c", "d"]) start(name);
    await turn();
    downloads.keep(new Set(["a", "b", "c"]));
    engine.of("a").finish();
    await turn();
    expect(engine.running()).toEqual(["b", "c"]);
    expect(ends).toEqual(["a"]);
  });

  test("loses its recorded failure, and starts without a wait the next time", async () => {
    const { clock, engine, downloads, start, state } = world();
    for (let n = 0; n < 3; n++) {
      start("a");
      await turn();
      engine.of("a").fail("no");
      await turn();
    }
    downloads.keep(new Set());
    expect(state()).toEqual({});
    start("a");
    await turn();
    engine.of("a").fail("no");
    await turn();
    expect(state()["a"]).toMatchObject({ retryAt: clock.now() + 1000 });
  });

  test("and is wanted again at once starts again, and the end of the old download does not end it", async () => {
    const { engine, downloads, start, ends, state } = world();
    start("a");
    await turn();
    engine.of("a").progress(70);
    downloads.cancel();
    start("a");
    await turn();
    expect(engine.running()).toEqual(["a"]);
    expect(state()["a"]).toEqual({ is: "running", percent: 0 });
    engine.of("a").finish();
    await turn();
    expect(ends).toEqual(["a"]);
  });

  test("frees its slot, so that three still run at once after many cancellations", async () => {
    const { engine, downloads, start } = world();
    for (let n = 0; n < 10; n++) {
      for (const name of ["a", "b", "c", "d", "e"]) start(name + n);
      if (n % 2 === 0) await turn();
      downloads.cancel();
    }
    await turn();
    expect(engine.running()).toEqual([]);
    for (const name of ["x", "y", "z", "w"]) start(name);
    await turn();
    expect(engine.running()).toEqual(["x", "y", "z"]);
    expect(engine.most).toBe(3);
  });
});

test.each([
  [1, 1000],
  [2, 2000],
  [3, 4000],
  [6, 30_000],
  [60, 30_000],
  [5000, 30_000],
])("after %d failures to get a lock, the next try is in %d ms", (failures, ms) => {
  expect(delayMs(lockRetry, failures)).toBe(ms);
});

test("after any number of failures, the next try is within five minutes", () => {
  expect(delayMs(failureRetry, 9)).toBe(256_000);
  expect(delayMs(failureRetry, 10)).toBe(300_000);
});
