import { describe, expect, test } from "vitest";
import { MemoryEventJournal, MemoryLog } from "../../core/embedded/ports.ts";
import { Events, toLog } from "../../core/events/events.ts";
import type { EventRecord } from "../../core/model/event.ts";
import { keptEvents } from "../../core/ports/event-journal.ts";
import { Chance, SimClock } from "../simulation/clock.ts";

/** Counts transactions, and fails as long as it is told to. */
class WatchedJournal extends MemoryEventJournal {
  appends = 0;
  failing = false;

  override async append(events: readonly EventRecord[], lost?: number) {
    this.appends++;
    if (this.failing) throw new Error("the disk is full");
    return super.append(events, lost);
  }
}

function setUp() {
  const clock = new SimClock(new Chance(1));
  const journal = new WatchedJournal();
  const log = new MemoryLog();
  const events = new Events({ clock, journal });
  events.onEvent(toLog(log));
  return { clock, journal, log, events };
}

describe("events", () => {
  test("are logged at once; a burst of events is one transaction, and no event is none", async () => {
    const { clock, journal, log, events } = setUp();
    await clock.advance(3_600_000);
    expect(journal.appends).toBe(0);
    for (const name of ["a", "b", "c"]) events.emit({ kind: "imageDownloading", name });
    expect(log.lines).toEqual(["Downloading image 'a'", "Downloading image 'b'", "Downloading image 'c'"]);
    await clock.advance(3_600_000);
    expect(journal.appends).toBe(1);
  });

  test("reach subscribers with numbers, from which a subscriber can continue", async () => {
    const { clock, events } = setUp();
    const numbers: number[] = [];
    const unsubscribe = events.subscribe((entries) => numbers.push(...entries.map(({ number }) => number)));
    events.emit({ kind: "purged" });
    events.emit({ kind: "locksTaking", appId: 7 });
    expect(numbers).toEqual([]);
    await clock.advance(1000);
    expect(numbers).toEqual([1, 2]);
    unsubscribe();
    events.emit({ kind: "rebooting" });
    // Reading does not miss what is not written yet.
    expect((await events.read(1, 10)).entries).toMatchObject([
      { number: 2, kind: "locksTaking", appId: 7, text: "Taking update locks" },
      { number: 3, kind: "rebooting" },
    ]);
    expect(numbers).toEqual([1, 2]);
  });

  test("an event during a write is written too", async () => {
    const { clock, journal, events } = setUp();
    events.subscribe(([first]) => {
      if (first?.number === 1) events.emit({ kind: "rebooting" });
    });
    events.emit({ kind: "purged" });
    await clock.advance(10_000);
    expect((await journal.read(0, 10)).entries.map(({ kind }) => kind)).toEqual(["purged", "rebooting"]);
  });

  test("a full disk is reported once, and the events of that time are written later", async () => {
    const { clock, journal, log, events } = setUp();
    journal.failing = true;
    events.emit({ kind: "purged" });
    await clock.advance(60_000);
    events.emit({ kind: "rebooting" });
    await clock.advance(60_000);
    const complaint = "error: Events cannot be written down: the disk is full";
    expect(log.lines).toEqual(["Purged data", complaint, "Rebooting"]);
    journal.failing = false;
    events.emit({ kind: "locksTaking" });
    await clock.advance(60_000);
    const kinds = (await journal.read(0, 10)).entries.map(({ kind }) => kind);
    expect(kinds).toEqual(["purged", "eventsNotSaved", "rebooting", "locksTaking"]);
  });

  test("events that are too many to be kept until the disk has room again leave a gap", async () => {
    const { clock, journal, events } = setUp();
    journal.failing = true;
    for (let n = 0; n < keptEvents + 4; n++) events.emit({ kind: "imageDownloading", name: `n${n}` });
    await clock.advance(10_000);
    journal.failing = false;
    events.emit({ kind: "purged" });
    await clock.advance(10_000);
    // The five oldest are lost for this one, and for the complaint.
    const { entries, gap } = await journal.read(0, 1);
    expect({ entries, gap }).toMatchObject({ entries: [{ number: 7, text: "Downloading image 'n6'" }], gap: true });
    expect(await journal.last()).toBe(keptEvents + 6);
  });

  test("reach a subscriber at once, and a storm of them is gathered", async () => {
    const { clock, journal, events } = setUp();
    const arrived: number[] = [];
    // The first event of a run is written at once.
    events.emit({ kind: "purged" });
    await clock.advance(0);
    expect(journal.appends).toBe(1);
    events.emit({ kind: "purged" });
    await clock.advance(300);
    expect(journal.appends).toBe(1);
    // Also those that waited before.
    events.subscribe((entries) => arrived.push(...entries.map(({ number }) => number)));
    await clock.advance(0);
    expect(arrived).toEqual([2]);
    for (let n = 0; n < 1000; n++) {
      events.emit({ kind: "purging", appId: n });
      await clock.advance(1);
    }
    await clock.advance(100);
    expect(arrived).toHaveLength(1001);
    expect(journal.appends).toBeLessThanOrEqual(13);
  });

  test("pending events are written at the end, and later events are not", async () => {
    const { clock, journal, log, events } = setUp();
    events.emit({ kind: "purged" });
    await events.stop();
    events.emit({ kind: "rebooting" });
    await clock.advance(60_000);
    expect((await journal.read(0, 10)).entries.map(({ kind }) => kind)).toEqual(["purged"]);
    expect(log.lines).toEqual(["Purged data", "Rebooting"]);
  });
});
