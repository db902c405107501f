import { stat } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, onTestFinished, test } from "vitest";
import { MemoryEventJournal } from "../../core/embedded/ports.ts";
import type { EventRecord } from "../../core/model/event.ts";
import { keptEvents, type EventJournal } from "../../core/ports/event-journal.ts";
import { SqliteEventJournal } from "../../runtimes/node/store/sqlite-event-journal.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";

/** The promises of `core/ports/event-journal.ts`. Each call of `open` stands for another run of the agent, after a clean stop. */
type Open = () => EventJournal;

async function sqlite(): Promise<Open> {
  const file = join(await temporaryFolder(), "state/events.sqlite");
  let journal: SqliteEventJournal | undefined;
  onTestFinished(() => journal?.close());
  return () => {
    journal?.close();
    return (journal = new SqliteEventJournal(file));
  };
}

async function memory(): Promise<Open> {
  const journal = new MemoryEventJournal();
  return () => journal;
}

const event = (text: string): EventRecord => ({ kind: "purged", level: "info", audience: "everyone", text, at: 5 });
const many = (count: number) => Array.from({ length: count }, (_, n) => event(String(n + 1)));

describe.each([
  ["in memory", memory],
  ["in SQLite", sqlite],
])("a journal %s", (_, create) => {
  test("numbers events from 1 on, and returns them unchanged", async () => {
    const journal = (await create())();
    const full: EventRecord = {
      ...event("replaced"),
      ...{ level: "warn", audience: "device", appId: 7, service: "web", commit: "abc", by: "token 1a" },
      cause: "variables",
      fields: ["environment.MODE"],
    };
    expect(await journal.append([full, event("b")])).toEqual([
      { ...full, number: 1 },
      { ...event("b"), number: 2 },
    ]);
    expect(await journal.read(0, 10)).toEqual({
      entries: [
        { ...full, number: 1 },
        { ...event("b"), number: 2 },
      ],
      gap: false,
    });
  });

  test("returns at most the requested number of events, from the next one on", async () => {
    const journal = (await create())();
    await journal.append(many(5));
    const { entries } = await journal.read(2, 2);
    expect(entries.map(({ number }) => number)).toEqual([3, 4]);
    expect(await journal.read(5, 2)).toEqual({ entries: [], gap: false });
  });

  test("continues with the next number after a restart", async () => {
    const open = await create();
    await open().append(many(3));
    const [next] = await open().append([event("after")]);
    expect(next?.number).toBe(4);
    expect((await open().read(2, 10)).entries.map(({ text }) => text)).toEqual(["3", "after"]);
  });

  test("keeps the newest events, and reports a gap before them", async () => {
    const journal = (await create())();
    await journal.append(many(keptEvents));
    expect(await journal.read(0, 1)).toMatchObject({ entries: [{ number: 1 }], gap: false });
    await journal.append(many(2));
    expect(await journal.read(1, 1)).toMatchObject({ entries: [{ number: 3 }], gap: true });
    expect(await journal.read(2, 1)).toMatchObject({ entries: [{ number: 3 }], gap: false });
    expect((await journal.read(0, 2 * keptEvents)).entries).toHaveLength(keptEvents);
    const burst = await journal.append(many(keptEvents + 5));
    expect(burst).toHaveLength(keptEvents + 5);
    expect(await journal.read(0, 1)).toMatchObject({ entries: [{ number: keptEvents + 8 }], gap: true });
  });

  test("reports a gap if its last number is lower than the reader's", async () => {
    const journal = (await create())();
    expect(await journal.read(7, 10)).toEqual({ entries: [], gap: true });
    await journal.append(many(3));
    expect(await journal.read(7, 10)).toMatchObject({ entries: [{ number: 1 }, {}, {}], gap: true });
  });

  test("leaves out the numbers of lost events, and reports a gap there", async () => {
    const open = await create();
    const journal = open();
    expect(await journal.last()).toBe(0);
    await journal.append(many(1));
    expect(await journal.append(many(1), 2)).toMatchObject([{ number: 4 }]);
    expect(await journal.read(1, 10)).toMatchObject({ entries: [{ number: 4 }], gap: true });
    expect(await journal.read(3, 10)).toMatchObject({ entries: [{ number: 4 }], gap: false });
    expect(await open().last()).toBe(4);
  });
});

describe("in SQLite, after a run that was not stopped", () => {
  /** A power failure may take the events, and not the reserved numbers. */
  async function afterPowerFailure(isLost: boolean) {
    const file = join(await temporaryFolder(), "events.sqlite");
    const cut = new SqliteEventJournal(file);
    const [, seen] = await cut.append(many(2));
    if (isLost) {
      const database = new DatabaseSync(file);
      database.exec("DELETE FROM events");
      database.close();
    }
    const journal = new SqliteEventJournal(file);
    onTestFinished(() => {
      journal.close();
      cut.close();
    });
    return { journal, seen: seen?.number ?? 0 };
  }

  test.each([true, false])("no number is given again, and a gap is reported (events lost: %s)", async (isLost) => {
    const { journal, seen } = await afterPowerFailure(isLost);
    // The number was given by this device, so nothing is sent again.
    expect((await journal.read(seen, 10)).entries).toEqual([]);
    const [next] = await journal.append(many(1));
    expect(next?.number).toBeGreaterThan(seen + 1);
    expect(await journal.read(seen, 10)).toEqual({ entries: [next], gap: true });
  });
});

test("the file in SQLite is created with the first event, and only its owner can read it", async () => {
  const file = join(await temporaryFolder(), "state/events.sqlite");
  const journal = new SqliteEventJournal(file);
  onTestFinished(() => journal.close());
  await expect(stat(file)).rejects.toThrow("ENOENT");
  await journal.append([event("a")]);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
});
