import { expect, test } from "vitest";
import { Cached } from "../../runtimes/node/engine/cached.ts";

/** A loader whose loads the test completes, with the values 1, 2, 3… */
function source() {
  const loads: { readonly finish: () => void; readonly fail: (error: Error) => void }[] = [];
  const cached = new Cached(
    () =>
      new Promise<number>((resolve, reject) => {
        const number = loads.length + 1;
        loads.push({ finish: () => resolve(number), fail: reject });
      }),
  );
  return { cached, loads };
}

test("a loaded value is not loaded again", async () => {
  const { cached, loads } = source();
  const first = cached.get();
  loads[0]?.finish();
  expect(await first).toBe(1);
  expect(await cached.get()).toBe(1);
  expect(loads).toHaveLength(1);
});

test("concurrent requests share one load", async () => {
  const { cached, loads } = source();
  const asked = [cached.get(), cached.get(), cached.get()];
  expect(loads).toHaveLength(1);
  loads[0]?.finish();
  expect(await Promise.all(asked)).toEqual([1, 1, 1]);
});

test("a forgotten value is loaded again", async () => {
  const { cached, loads } = source();
  const first = cached.get();
  loads[0]?.finish();
  await first;
  cached.forget();
  const second = cached.get();
  loads[1]?.finish();
  expect(await second).toBe(2);
});

test("a load that is forgotten while it runs answers its callers and is not cached", async () => {
  const { cached, loads } = source();
  const early = cached.get();
  cached.forget();
  loads[0]?.finish();
  expect(await early).toBe(1);
  expect(cached.peek()).toBeUndefined();
  const late = cached.get();
  expect(loads).toHaveLength(2);
  loads[1]?.finish();
  expect(await late).toBe(2);
});

test("a request after forget gets the later load, whichever load ends first", async () => {
  for (const order of [
    [0, 1],
    [1, 0],
  ]) {
    const { cached, loads } = source();
    const early = cached.get();
    cached.forget();
    const late = cached.get();
    for (const n of order) loads[n]?.finish();
    expect([await early, await late]).toEqual([1, 2]);
    expect(await cached.get()).toBe(2);
    expect(loads).toHaveLength(2);
  }
});

test("a failure is passed to the callers and not cached", async () => {
  const { cached, loads } = source();
  const asked = [cached.get(), cached.get()];
  loads[0]?.fail(new Error("no answer"));
  for (const one of asked) await expect(one).rejects.toThrow("no answer");
  const again = cached.get();
  loads[1]?.finish();
  expect(await again).toBe(2);
});

test("a failure of a forgotten load does not affect the load after it", async () => {
  const { cached, loads } = source();
  const early = cached.get();
  cached.forget();
  const late = cached.get();
  loads[0]?.fail(new Error("no answer"));
  await expect(early).rejects.toThrow("no answer");
  const joined = cached.get();
  expect(loads).toHaveLength(2);
  loads[1]?.finish();
  expect([await late, await joined]).toEqual([2, 2]);
});

test("the cached value can be read without a load", async () => {
  const { cached, loads } = source();
  expect(cached.peek()).toBeUndefined();
  expect(loads).toHaveLength(0);
  const first = cached.get();
  expect(cached.peek()).toBeUndefined();
  loads[0]?.finish();
  await first;
  expect(cached.peek()).toBe(1);
  cached.forget();
  expect(cached.peek()).toBeUndefined();
});

test("undefined can be cached", async () => {
  let loads = 0;
  const cached = new Cached(async () => void loads++);
  await cached.get();
  await cached.get();
  expect(loads).toBe(1);
});
