import { chmod, mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { SqliteStore } from "../../runtimes/node/store/sqlite-store.ts";
import { isRoot, temporaryFolder } from "./temporary-folder.ts";

/** Tests for every store: test/conformance/store.test.ts. */

function open(file: string): SqliteStore {
  const store = new SqliteStore(file);
  onTestFinished(() => store.close());
  return store;
}

describe("the database file", () => {
  test("is created together with its folders, which are private to their owner", async () => {
    const folder = await temporaryFolder();
    const file = join(folder, "var", "lib", "fairlead", "agent.sqlite");
    await open(file).write({ a: 1 });
    expect((await stat(file)).isFile()).toBe(true);
    expect((await stat(join(folder, "var", "lib", "fairlead"))).mode & 0o777).toBe(0o700);
  });

  // It contains the keys of the API.
  test("is private to its owner, also in a folder that others can read", async () => {
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

  test("that is not of SQLite is refused and not changed", async () => {
    const file = join(await temporaryFolder(), "agent.sqlite");
    await writeFile(file, "This is no database, whatever its name says.".repeat(50));
    expect(() => new SqliteStore(file)).toThrow(/not a database/);
  });

  test("at an impossible path is refused", async () => {
    const file = join(await temporaryFolder(), "file");
    await writeFile(file, "");
    expect(() => new SqliteStore(join(file, "agent.sqlite"))).toThrow();
  });

  test.skipIf(isRoot)("in a read-only folder is refused", () => {
    expect(() => new SqliteStore("/proc/agent.sqlite")).toThrow();
  });
});

test("a store in memory does not persist anything", async () => {
  const store = open(":memory:");
  await store.write({ a: 1 });
  expect(await store.read("a")).toBe(1);
  expect(await open(":memory:").read("a")).toBeUndefined();
});
