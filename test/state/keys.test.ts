import { describe, expect, test } from "vitest";
import { MemoryStore } from "../../core/embedded/ports.ts";
import { everything, type Scope } from "../../core/model/scope.ts";
import type { Store } from "../../core/ports/store.ts";
import { Documents } from "../../core/state/documents.ts";
import { Keys } from "../../core/state/keys.ts";
import { HandClock } from "./world.ts";

async function loaded(store: Store = new MemoryStore(), clock = new HandClock()): Promise<Keys> {
  const keys = new Keys(new Documents(store), clock);
  await keys.load();
  return keys;
}

const ofApp = (appId: number): Scope => ({ apps: [appId], device: true, secrets: "own", shell: false });

describe("the global key", () => {
  test("is created at the first start, with 256 bits as hexadecimal digits", async () => {
    const keys = await loaded();
    expect(keys.global()).toMatch(/^[0-9a-f]{64}$/);
    expect(keys.scopeOf(keys.global())).toEqual(everything);
  });

  test("is the same after a restart", async () => {
    const store = new MemoryStore();
    const clock = new HandClock();
    const before = (await loaded(store, clock)).global();
    expect((await loaded(store, clock)).global()).toBe(before);
  });

  test("is created again if the stored one cannot be parsed", async () => {
    const store = new MemoryStore();
    await store.write({ keys: [{ no: "key" }] });
    expect((await loaded(store)).global()).toMatch(/^[0-9a-f]{64}$/);
  });
});

describe("the key of a service", () => {
  test("is created when the service asks for one, and gives access to its application only", async () => {
    const keys = await loaded();
    expect(keys.of(1, "one")).toBeUndefined();
    await keys.ensure([{ appId: 1, service: "one" }]);
    const key = keys.of(1, "one") ?? "";
    expect(key).toMatch(/^[0-9a-f]{64}$/);
    expect(keys.scopeOf(key)).toEqual(ofApp(1));
  });

  test("is limited to its application with that setting, unlike the global key", async () => {
    const keys = await loaded();
    await keys.ensure([{ appId: 1, service: "one" }]);
    expect(keys.scopeOf(keys.of(1, "one") ?? "", "application")).toEqual({ ...ofApp(1), device: false });
    expect(keys.scopeOf(keys.global(), "application")).toEqual(everything);
  });

  test("is unique", async () => {
    const keys = await loaded();
    const services = [
      { appId: 1, service: "one" },
      { appId: 1, service: "two" },
      { appId: 2, service: "one" },
    ];
    await keys.ensure(services);
    const all = [keys.global(), ...services.map(({ appId, service }) => keys.of(appId, service))];
    expect(new Set(all).size).toBe(4);
  });

  test("stays the same when it is asked for again", async () => {
    const keys = await loaded();
    await keys.ensure([{ appId: 1, service: "one" }]);
    const before = keys.of(1, "one");
    await keys.ensure([{ appId: 1, service: "one", existing: "f".repeat(32) }]);
    expect(keys.of(1, "one")).toBe(before);
  });

  test("is the one that its container already has, if any", async () => {
    const keys = await loaded();
    const existing = "0123456789abcdef0123456789abcdef";
    await keys.ensure([{ appId: 1, service: "one", existing }]);
    expect(keys.of(1, "one")).toBe(existing);
    expect(keys.scopeOf(existing)).toEqual(ofApp(1));
  });

  test("is the same after a restart", async () => {
    const store = new MemoryStore();
    const clock = new HandClock();
    const keys = await loaded(store, clock);
    await keys.ensure([{ appId: 1, service: "one" }]);
    expect((await loaded(store, clock)).of(1, "one")).toBe(keys.of(1, "one"));
  });

  test("is created once for two requests at the same time", async () => {
    const keys = await loaded();
    const ask = () => keys.ensure([{ appId: 1, service: "one" }]);
    await Promise.all([ask(), ask()]);
    const key = keys.of(1, "one") ?? "";
    await ask();
    expect(keys.of(1, "one")).toBe(key);
    expect(keys.scopeOf(key)).toEqual(ofApp(1));
  });
});

test("an invalid key gives no access, however similar it is to a key", async () => {
  const keys = await loaded();
  const key = keys.global();
  for (const wrong of ["", "0", "0".repeat(64), key.slice(1), key.slice(0, -1), `${key}0`, ` ${key}`, key.repeat(2)])
    expect(keys.scopeOf(wrong)).toBeUndefined();
});

describe("a new key for an old one", () => {
  test("gives the same access, and the old key is invalid", async () => {
    const keys = await loaded();
    await keys.ensure([{ appId: 1, service: "one" }]);
    const old = keys.of(1, "one") ?? "";
    const key = (await keys.regenerate(old)) ?? "";
    expect(key).not.toBe(old);
    expect(keys.of(1, "one")).toBe(key);
    expect(keys.scopeOf(key)).toEqual(ofApp(1));
    expect(keys.scopeOf(old)).toBeUndefined();
  });

  test("can be requested for the global key", async () => {
    const keys = await loaded();
    const old = keys.global();
    const key = await keys.regenerate(old);
    expect(keys.global()).toBe(key);
    expect(keys.scopeOf(old)).toBeUndefined();
  });

  test("is refused for an unknown key", async () => {
    const keys = await loaded();
    expect(await keys.regenerate("0".repeat(64))).toBeUndefined();
    expect(await keys.regenerate("")).toBeUndefined();
  });

  test("survives a restart", async () => {
    const store = new MemoryStore();
    const clock = new HandClock();
    const keys = await loaded(store, clock);
    const old = keys.global();
    const key = await keys.regenerate(old);
    const later = await loaded(store, clock);
    expect(later.global()).toBe(key);
    expect(later.scopeOf(old)).toBeUndefined();
  });

  test("is valid if another service gets one at the same time", async () => {
    const store = new MemoryStore();
    const clock = new HandClock();
    const keys = await loaded(store, clock);
    await keys.ensure([
      { appId: 1, service: "one" },
      { appId: 2, service: "two" },
    ]);
    const fresh = await Promise.all([
      keys.regenerate(keys.of(1, "one") ?? ""),
      keys.regenerate(keys.of(2, "two") ?? ""),
    ]);
    expect(fresh.map((key) => keys.scopeOf(key ?? ""))).toEqual([ofApp(1), ofApp(2)]);
    const later = await loaded(store, clock);
    expect(fresh.map((key) => later.scopeOf(key ?? ""))).toEqual([ofApp(1), ofApp(2)]);
  });

  test("is valid if the agent gives a key to a new service at the same time", async () => {
    const keys = await loaded();
    await keys.ensure([{ appId: 1, service: "one" }]);
    const [fresh] = await Promise.all([
      keys.regenerate(keys.of(1, "one") ?? ""),
      keys.ensure([{ appId: 2, service: "two" }]),
    ]);
    expect(keys.scopeOf(fresh ?? "")).toEqual(ofApp(1));
    expect(keys.scopeOf(keys.of(2, "two") ?? "")).toEqual(ofApp(2));
  });

  test("is not returned if it cannot be stored, and the old key stays valid", async () => {
    const store = new MemoryStore();
    const keys = await loaded(store);
    const old = keys.global();
    store.write = () => Promise.reject(new Error("the disk is full"));
    await expect(keys.regenerate(old)).rejects.toThrow("the disk is full");
    expect(keys.global()).toBe(old);
  });
});
