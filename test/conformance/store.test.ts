import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { MemoryStore } from "../../core/embedded/ports.ts";
import type { Store } from "../../core/ports/store.ts";
import { SqliteStore } from "../../runtimes/node/store/sqlite-store.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";

/** The promises of `core/ports/store.ts`. Each call of `open` stands for another run of the agent. */
type Open = () => Store;

async function sqlite(): Promise<Open> {
  const file = join(await temporaryFolder(), "agent.sqlite");
  return () => {
    const store = new SqliteStore(file);
    onTestFinished(() => store.close());
    return store;
  };
}

async function memory(): Promise<Open> {
  const store = new MemoryStore();
  return () => store;
}

const readAll = (store: Store, ...names: string[]) => Promise.all(names.map((name) => store.read(name)));

describe.each([
  ["in memory", memory],
  ["in SQLite", sqlite],
])("a store %s", (_, create) => {
  const fresh = async () => (await create())();

  test("returns undefined for a document that was never written", async () => {
    expect(await readAll(await fresh(), "nothing", "constructor", "__proto__")).toEqual(Array(3).fill(undefined));
  });

  test.each<[unknown]>([
    [{ a: 1, b: [true, null, "x"] }],
    [[]],
    ["text"],
    [""],
    [0],
    [false],
    [null],
    ["ünïcode \u0000 'quotes' \"more\" \n"],
  ])("reads %j exactly as it was written", async (value) => {
    const store = await fresh();
    await store.write({ document: value });
    expect(await store.read("document")).toEqual(value);
  });

  test("accepts any name", async () => {
    const store = await fresh();
    const names = ["a", "A", "", "'; DROP TABLE documents; --", "ünïcode", "__proto__x", "constructor"];
    await store.write(Object.fromEntries(names.map((name) => [name, `of ${name}`])));
    for (const name of names) expect(await store.read(name)).toBe(`of ${name}`);
  });

  test("replaces only documents that are written again", async () => {
    const store = await fresh();
    await store.write({ a: 1, b: 1 });
    await store.write({ a: 2, c: 2 });
    expect(await readAll(store, "a", "b", "c")).toEqual([2, 1, 2]);
  });

  test("removes a document by undefined", async () => {
    const store = await fresh();
    await store.write({ a: 1, b: 1 });
    await store.write({ a: undefined, nothing: undefined });
    expect(await readAll(store, "a", "b")).toEqual([undefined, 1]);
  });

  test("keeps a large document whole", async () => {
    const store = await fresh();
    const large = Array.from({ length: 100_000 }, (_, n) => `line ${n}`);
    await store.write({ large });
    expect(await store.read("large")).toEqual(large);
  });

  test("keeps a copy: changing what was written or read changes no document", async () => {
    const store = await fresh();
    const written = { list: [1] };
    await store.write({ written });
    written.list.push(2);
    const read = await store.read("written");
    expect(read).toEqual({ list: [1] });
    Object.assign(Object(read), { list: [] });
    expect(await store.read("written")).toEqual({ list: [1] });
  });

  test("keeps the last of several writes that begin at the same time", async () => {
    const store = await fresh();
    const writes = Array.from({ length: 20 }, (_, n) => store.write({ a: n, [`only ${n}`]: n }));
    await Promise.all(writes);
    expect(await readAll(store, "a", "only 0", "only 19")).toEqual([19, 0, 19]);
  });

  const circular: { self?: object } = {};
  circular.self = circular;

  test.each<[string, unknown]>([
    ["a number too large for JSON", 1n],
    ["a circle", circular],
    ["a function", () => undefined],
    ["a symbol", Symbol("x")],
  ])("writes none of several documents when one of them is %s", async (_, value) => {
    const store = await fresh();
    await store.write({ a: "before", gone: "still here" });
    const writing = Promise.resolve().then(() => store.write({ a: "after", gone: undefined, b: value, c: "after" }));
    await expect(writing).rejects.toThrow();
    expect(await readAll(store, "a", "gone", "b", "c")).toEqual(["before", "still here", undefined, undefined]);
    await store.write({ a: "later" });
    expect(await store.read("a")).toBe("later");
  });

  test("rejects a value that it cannot write, and does not throw", async () => {
    const store = await fresh();
    let writing: Promise<void> | undefined;
    expect(() => (writing = store.write({ a: 1n }))).not.toThrow();
    await expect(writing).rejects.toThrow();
  });

  test("has all documents in the next run of the agent, although it was not closed", async () => {
    const open = await create();
    const store = open();
    await store.write({ a: { n: 1 }, b: 2 });
    await store.write({ b: undefined });
    expect(await readAll(open(), "a", "b")).toEqual([{ n: 1 }, undefined]);
  });
});
