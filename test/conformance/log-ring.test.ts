import { stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { MemoryLogRing } from "../../core/embedded/ports.ts";
import type { LogRing } from "../../core/ports/log-ring.ts";
import { SqliteLogRing } from "../../runtimes/node/store/sqlite-log-ring.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";

/** The promises of `core/ports/log-ring.ts`. Each call of `open` stands for another run of the agent. */
type Open = (limitBytes: number) => LogRing;

async function sqlite(): Promise<Open> {
  const file = join(await temporaryFolder(), "state/logs.sqlite");
  return (limitBytes) => {
    const ring = new SqliteLogRing(file, { limitBytes });
    onTestFinished(() => ring.close());
    return ring;
  };
}

async function memory(): Promise<Open> {
  let ring: MemoryLogRing | undefined;
  return (limitBytes) => (ring ??= new MemoryLogRing(limitBytes));
}

const all = { lines: 1000, bytes: 1_000_000 };
const texts = async (ring: LogRing, limit = all) => (await ring.read(limit)).lines.map(({ text }) => text);

describe.each([
  ["in memory", memory],
  ["in SQLite", sqlite],
])("a ring %s", (_, open) => {
  const create = async (limitBytes: number) => (await open())(limitBytes);

  test("returns unchanged lines until they are acknowledged", async () => {
    const ring = await create(1000);
    await ring.append(["a", "b"], new Map());
    await ring.append(["c"], new Map());
    const { lines, lost } = await ring.read({ lines: 2, bytes: 1000 });
    expect([lines.map(({ text }) => text), lost]).toEqual([["a", "b"], 0]);
    expect(await texts(ring)).toEqual(["a", "b", "c"]);
    await ring.acknowledge(lines[1]?.number ?? 0, 0);
    expect(await texts(ring)).toEqual(["c"]);
  });

  test("returns at least one line, and no more bytes than requested", async () => {
    const ring = await create(1000);
    await ring.append(["äää", "b", "c"], new Map());
    expect(await texts(ring, { lines: 10, bytes: 1 })).toEqual(["äää"]);
    expect(await texts(ring, { lines: 10, bytes: 7 })).toEqual(["äää", "b"]);
  });

  test("uses each number once", async () => {
    const ring = await create(1000);
    await ring.append(["a"], new Map());
    const first = (await ring.read(all)).lines[0]?.number ?? 0;
    await ring.acknowledge(first, 0);
    await ring.append(["b"], new Map());
    expect((await ring.read(all)).lines[0]?.number).toBeGreaterThan(first);
    // What is on its way while all of it is lost must not take newer lines with it when it arrives.
    const sent = (await ring.read(all)).lines[0]?.number ?? 0;
    await ring.append(["x".repeat(2000)], new Map());
    await ring.append(["c"], new Map());
    await ring.acknowledge(sent, 0);
    expect(await texts(ring)).toEqual(["c"]);
  });

  test("drops the oldest lines when it is full, and counts them until the count is acknowledged", async () => {
    const ring = await create(10);
    await ring.append(["12345", "67890"], new Map());
    expect((await ring.read(all)).lost).toBe(0);
    await ring.append(["a"], new Map());
    expect(await ring.read(all)).toMatchObject({ lost: 1, lines: [{ text: "67890" }, { text: "a" }] });
    const { lines } = await ring.read(all);
    await ring.append(["12345"], new Map());
    await ring.acknowledge(lines.at(-1)?.number ?? 0, 1);
    expect(await ring.read(all)).toMatchObject({ lost: 1, lines: [{ text: "12345" }] });
    await ring.append(["far too long a line"], new Map());
    expect(await ring.read(all)).toEqual({ lost: 3, lines: [] });
  });

  test("stores the position in each container's log, and forgets removed containers", async () => {
    const ring = await create(1000);
    await ring.append(["a"], new Map([["one", { timestamp: 5, count: 2 }]]));
    await ring.append(
      [],
      new Map([
        ["two", { timestamp: 7, count: 1 }],
        ["one", { timestamp: 6, count: 1 }],
      ]),
    );
    expect(await ring.positions()).toEqual(
      new Map([
        ["one", { timestamp: 6, count: 1 }],
        ["two", { timestamp: 7, count: 1 }],
      ]),
    );
    await ring.append([], new Map([["one", undefined]]));
    expect([...(await ring.positions()).keys()]).toEqual(["two"]);
  });

  test("is empty at first", async () => {
    const ring = await create(1000);
    expect(await ring.read(all)).toEqual({ lines: [], lost: 0 });
    expect(await ring.positions()).toEqual(new Map());
    await ring.acknowledge(0, 0);
    expect(await ring.read(all)).toEqual({ lines: [], lost: 0 });
  });

  test("never has a negative count of lost lines", async () => {
    const ring = await create(1);
    await ring.append(["a", "b"], new Map());
    await ring.acknowledge(0, 5);
    expect((await ring.read(all)).lost).toBe(0);
    await ring.append(["c"], new Map());
    expect((await ring.read(all)).lost).toBe(1);
  });

  test("keeps the order of calls that append at the same time", async () => {
    const ring = await create(100_000);
    const lines = Array.from({ length: 50 }, (_, n) => `line ${n}`);
    await Promise.all(lines.map((line) => ring.append([line], new Map())));
    expect(await texts(ring)).toEqual(lines);
    const numbers = (await ring.read(all)).lines.map(({ number }) => number);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
  });

  test("has the same content in the next run of the agent, within the same limit", async () => {
    const runs = await open();
    await runs(10).append(["12345", "67890", "a"], new Map([["one", { timestamp: 5, count: 2 }]]));
    const second = runs(10);
    expect(await second.read(all)).toMatchObject({ lost: 1, lines: [{ text: "67890" }, { text: "a" }] });
    expect(await second.positions()).toEqual(new Map([["one", { timestamp: 5, count: 2 }]]));
    await second.append(["123456789"], new Map());
    expect(await texts(second)).toEqual(["a", "123456789"]);
  });
});

test("only the owner can read the file of a ring in SQLite", async () => {
  const file = join(await temporaryFolder(), "state/logs.sqlite");
  const ring = new SqliteLogRing(file);
  onTestFinished(() => ring.close());
  expect((await stat(file)).mode & 0o777).toBe(0o600);
});
