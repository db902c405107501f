import type { ImageRecord } from "../../core/model/image.ts";
import { describe, expect, expectTypeOf, test } from "vitest";
import { MemoryLog, MemoryStore } from "../../core/embedded/ports.ts";
import type { Difference } from "../../core/compose/differences.ts";
import type { InterruptedContainer } from "../../core/model/container.ts";
import type { Store } from "../../core/ports/store.ts";
import { Memory } from "../../core/state/memory.ts";
import { eventsTo } from "../support/events.ts";
import { Documents } from "../../core/state/documents.ts";

async function loaded(store: Store = new MemoryStore(), log = new MemoryLog()): Promise<Memory> {
  const memory = new Memory(new Documents(store), eventsTo(log));
  await memory.load();
  return memory;
}

const record = (name: string, serviceName: string, dockerImageId = "sha256:1"): ImageRecord => ({
  name,
  appId: 1,
  serviceName,
  imageId: 1,
  dockerImageId,
});

const difference: Difference = { field: "mem_limit", from: 0, to: 1024 };

describe("images that were used", () => {
  test("are remembered once for each service and image", async () => {
    const memory = await loaded();
    await memory.recordImages([record("one:1", "one"), record("two:1", "two")]);
    await memory.recordImages([record("one:1", "one"), record("one:1", "two")]);
    expect(memory.images.map(({ name, serviceName }) => `${serviceName} ${name}`)).toEqual([
      "one one:1",
      "two two:1",
      "two one:1",
    ]);
  });

  test("are updated if the tag now points to another image", async () => {
    const memory = await loaded();
    await memory.recordImages([record("one:1", "one", "sha256:1")]);
    await memory.recordImages([record("one:1", "one", "sha256:2")]);
    expect(memory.images).toEqual([record("one:1", "one", "sha256:2")]);
  });

  test("are remembered after a restart, until they are forgotten", async () => {
    const store = new MemoryStore();
    const memory = await loaded(store);
    await memory.recordImages([record("one:1", "one"), record("one:1", "two"), record("two:1", "two")]);
    expect((await loaded(store)).images).toEqual(memory.images);
    await memory.forgetImage("one:1");
    expect((await loaded(store)).images).toEqual([record("two:1", "two")]);
  });

  test("that are known already are not stored again", async () => {
    const store = new MemoryStore();
    const memory = await loaded(store);
    await memory.recordImages([record("one:1", "one")]);
    store.write = () => Promise.reject(new Error("written again"));
    const log = memory.images;
    await memory.recordImages([record("one:1", "one")]);
    expect(memory.images).toEqual(log);
  });
});

describe("a service that was stopped on request", () => {
  test("is remembered after a restart as stopped by an earlier run", async () => {
    const store = new MemoryStore();
    const memory = await loaded(store);
    await memory.setStopped("1/one", true);
    await memory.setStopped("1/two", true);
    await memory.setStopped("1/two", false);
    expect(memory.stoppedBefore).toEqual(new Set());
    expect((await loaded(store)).stoppedBefore).toEqual(new Set(["1/one"]));
  });

  test("is not remembered if it was started since", async () => {
    const store = new MemoryStore();
    await (await loaded(store)).setStopped("1/one", true);
    await (await loaded(store)).setStopped("1/one", false);
    expect((await loaded(store)).stoppedBefore).toEqual(new Set());
  });
});

describe("the tolerated differences of a container", () => {
  test("are remembered for each container, also after a restart", async () => {
    const store = new MemoryStore();
    const memory = await loaded(store);
    await memory.tolerate("c1", [difference], new Set(["c1"]));
    expect(memory.tolerated).toEqual(new Map([["c1", [difference]]]));
    expect((await loaded(store)).tolerated).toEqual(memory.tolerated);
  });

  test("are forgotten with the removed containers", async () => {
    const memory = await loaded();
    await memory.tolerate("c1", [difference], new Set(["c1"]));
    await memory.tolerate("c2", [], new Set(["c1", "c2"]));
    expect([...memory.tolerated.keys()]).toEqual(["c1"]);
    await memory.tolerate("c3", [difference], new Set(["c2", "c3"]));
    expect([...memory.tolerated.keys()]).toEqual(["c3"]);
    await memory.tolerate("c4", [], new Set(["c4"]));
    expect([...memory.tolerated.keys()]).toEqual([]);
  });
});

test("only functions of the memory change its collections", () => {
  expectTypeOf<Memory["seen" | "stoppedNow" | "keptImages" | "announcedVolumes"]>().toEqualTypeOf<
    ReadonlySet<string>
  >();
  expectTypeOf<Memory["activity"]>().toEqualTypeOf<ReadonlyMap<string, string>>();
  expectTypeOf<Memory["interrupted"]>().toEqualTypeOf<ReadonlyMap<string, InterruptedContainer>>();
});

test("a full disk is logged, and data that could not be stored stays known in memory", async () => {
  const store = new MemoryStore();
  const log = new MemoryLog();
  const memory = await loaded(store, log);
  store.write = () => Promise.reject(new Error("the disk is full"));
  await memory.recordImages([record("one:1", "one")]);
  await memory.tolerate("c1", [difference], new Set(["c1"]));
  await memory.setStopped("1/one", true);
  expect(memory.images).toHaveLength(1);
  expect(memory.tolerated.size).toBe(1);
  expect(log.lines).toHaveLength(3);
  for (const line of log.lines) expect(line).toMatch(/^error: .*the disk is full/);
});

test("stored data in an old format is ignored", async () => {
  const store = new MemoryStore();
  await store.write({ stopped: { a: 1 }, images: ["one"], tolerated: [] });
  const memory = await loaded(store);
  expect([memory.images, [...memory.tolerated], [...memory.stoppedBefore]]).toEqual([[], [], []]);
});
