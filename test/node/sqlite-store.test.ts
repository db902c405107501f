import { chmod, mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { SqliteStore } from "../../runtimes/node/store/sqlite-store.ts";
import { isRoot, temporaryFolder } from "./temporary-folder.ts";

function open(file: string): SqliteStore {
  const store = new SqliteStore(file);
  onTestFinished(() => {
    try {
      store.close();
    } catch {
      // Closed already, by the test.
    }
  });
  return store;
}

const fresh = async () => open(join(await temporaryFolder(), "agent.sqlite"));

test("a document that was never written is undefined", async () => {
  expect(await (await fresh()).read("nothing")).toBeUndefined();
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
])("%j is read as it was written", async (value) => {
  const store = await fresh();
  await store.write({ document: value });
  expect(await store.read("document")).toEqual(value);
});

test("a document may have any name", async () => {
  const store = await fresh();
  const names = ["a", "A", "", "'; DROP TABLE documents; --", "ünïcode", "__proto__x"];
  await store.write(Object.fromEntries(names.map((name) => [name, `of ${name}`])));
  for (const name of names) expect(await store.read(name)).toBe(`of ${name}`);
});

test("writing again replaces, and leaves the others alone", async () => {
  const store = await fresh();
  await store.write({ a: 1, b: 1 });
  await store.write({ a: 2, c: 2 });
  expect(await Promise.all(["a", "b", "c"].map((name) => store.read(name)))).toEqual([2, 1, 2]);
});

test("undefined removes", async () => {
  const store = await fresh();
  await store.write({ a: 1, b: 1 });
  await store.write({ a: undefined, nothing: undefined });
  expect(await store.read("a")).toBeUndefined();
  expect(await store.read("b")).toBe(1);
});

test("a large document is kept whole", async () => {
  const store = await fresh();
  const large = Array.from({ length: 100_000 }, (_, n) => `line ${n}`);
  await store.write({ large });
  expect(await store.read("large")).toEqual(large);
});

describe("a write of several documents is one", () => {
  const circular: { self?: object } = {};
  circular.self = circular;

  test.each<[string, unknown]>([
    ["a number too large for JSON", 1n],
    ["a circle", circular],
    ["a function", () => undefined],
    ["a symbol", Symbol("x")],
  ])("and with %s in it, nothing at all is written", async (_, value) => {
    const store = await fresh();
    await store.write({ a: "before", gone: "still here" });
    await expect(store.write({ a: "after", gone: undefined, b: value, c: "after" })).rejects.toThrow();
    expect(await Promise.all(["a", "gone", "b", "c"].map((name) => store.read(name)))).toEqual([
      "before",
      "still here",
      undefined,
      undefined,
    ]);
    await store.write({ a: "later" });
    expect(await store.read("a")).toBe("later");
  });
});

describe("the file", () => {
  test("has everything when it is opened again", async () => {
    const file = join(await temporaryFolder(), "agent.sqlite");
    const store = open(file);
    await store.write({ a: { n: 1 }, b: 2 });
    await store.write({ b: undefined });
    store.close();
    const again = open(file);
    expect(await again.read("a")).toEqual({ n: 1 });
    expect(await again.read("b")).toBeUndefined();
  });

  test("has everything although nobody closed it", async () => {
    const file = join(await temporaryFolder(), "agent.sqlite");
    await open(file).write({ a: 1 });
    expect(await open(file).read("a")).toBe(1);
  });

  test("is made together with its folders, which are for their owner only", async () => {
    const folder = await temporaryFolder();
    const file = join(folder, "var", "lib", "fairlead", "agent.sqlite");
    await open(file).write({ a: 1 });
    expect((await stat(file)).isFile()).toBe(true);
    expect((await stat(join(folder, "var", "lib", "fairlead"))).mode & 0o777).toBe(0o700);
  });

  // The keys of the API are in it.
  test("is for its owner only, also in a folder that everybody may look into", async () => {
    const folder = join(await temporaryFolder(), "state");
    await mkdir(folder);
    await chmod(folder, 0o755);
    await open(join(folder, "agent.sqlite")).write({ keys: ["secret"] });
    const modes = await Promise.all(
      (await readdir(folder)).map(async (name) => [name, (await stat(join(folder, name))).mode & 0o077]),
    );
    expect(modes.length).toBeGreaterThan(0);
    expect(modes.filter(([, mode]) => mode !== 0)).toEqual([]);
  });

  test("that is none of SQLite's is refused, and left as it is", async () => {
    const file = join(await temporaryFolder(), "agent.sqlite");
    await writeFile(file, "This is no database, whatever its name says.".repeat(50));
    expect(() => new SqliteStore(file)).toThrow(/not a database/);
  });

  test("in a place where there can be none is refused", async () => {
    const file = join(await temporaryFolder(), "file");
    await writeFile(file, "");
    expect(() => new SqliteStore(join(file, "agent.sqlite"))).toThrow();
  });

  test.skipIf(isRoot)("in a folder that one may not write to is refused", () => {
    expect(() => new SqliteStore("/proc/agent.sqlite")).toThrow();
  });
});

test("a store in memory keeps nothing", async () => {
  const store = open(":memory:");
  await store.write({ a: 1 });
  expect(await store.read("a")).toBe(1);
  expect(await open(":memory:").read("a")).toBeUndefined();
});
