import type { DatabaseSync } from "node:sqlite";
import * as z from "zod";
import { causes, eventLevels, type EventRecord } from "../../../core/model/event.ts";
import { keptEvents, type EventJournal, type JournalEntry } from "../../../core/ports/event-journal.ts";
import { gentleOnFlash, inTransaction, openDatabase } from "./database.ts";

/** A stored event. Another version of the agent may have written it. */
const Stored = z.object({
  kind: z.string(),
  level: z.enum(eventLevels),
  audience: z.enum(["everyone", "device"]),
  text: z.string(),
  at: z.number(),
  appId: z.number().optional(),
  service: z.string().optional(),
  commit: z.string().optional(),
  cause: z.enum(causes).optional().catch(undefined),
  fields: z.array(z.string()).optional(),
  reason: z.string().optional(),
  by: z.string().optional(),
});

/** Numbers that are reserved at once. */
const reservedAtOnce = 1000;

/**
 * Stores events in a SQLite file, which is opened at the first access. It is as durable as the log ring: a power failure may
 * lose the last events. So numbers are reserved before they are given, with a write that a power failure cannot undo, and the
 * next run begins after the reserved ones, unless `close` has given them back.
 */
export class SqliteEventJournal implements EventJournal {
  readonly #file: string;
  #opened: DatabaseSync | undefined;
  #last = 0;
  #reserved = 0;

  constructor(file: string) {
    this.#file = file;
  }

  async append(events: readonly EventRecord[], lost = 0): Promise<readonly JournalEntry[]> {
    const database = this.#open();
    let last = this.#last + lost;
    const entries = events.map((event) => ({ ...event, number: ++last }));
    const reserved = last > this.#reserved ? last + reservedAtOnce : this.#reserved;
    if (reserved > this.#reserved) database.exec("PRAGMA synchronous = FULL");
    try {
      inTransaction(database, () => {
        if (reserved > this.#reserved) this.#reserve(reserved);
        const add = database.prepare("INSERT INTO events VALUES (?, ?)");
        for (const { number, ...event } of entries.slice(-keptEvents)) add.run(number, JSON.stringify(event));
        database.prepare(drop).run(keptEvents);
      });
    } finally {
      if (reserved > this.#reserved) database.exec("PRAGMA synchronous = NORMAL");
    }
    [this.#last, this.#reserved] = [last, reserved];
    return entries;
  }

  async read(after: number, limit: number) {
    const database = this.#open();
    const from = after > this.#last ? 0 : after;
    const entries = database
      .prepare("SELECT number, event FROM events WHERE number > ? ORDER BY number LIMIT ?")
      .all(from, limit)
      .map(({ number, event }): JournalEntry => ({
        ...Stored.parse(JSON.parse(String(event))),
        number: Number(number),
      }));
    const gap = after > this.#last || (entries[0]?.number ?? from + 1) !== from + 1;
    return { entries, gap };
  }

  async last(): Promise<number> {
    this.#open();
    return this.#last;
  }

  /** Gives back the reserved numbers. */
  close(): void {
    if (this.#opened && this.#reserved > this.#last) this.#reserve(this.#last);
    this.#opened?.close();
  }

  #reserve(reserved: number): void {
    this.#open().prepare("INSERT OR REPLACE INTO numbers VALUES (1, ?)").run(reserved);
  }

  #open(): DatabaseSync {
    if (this.#opened) return this.#opened;
    this.#opened = openDatabase(
      this.#file,
      `${gentleOnFlash}
      CREATE TABLE IF NOT EXISTS events (number INTEGER PRIMARY KEY, event TEXT NOT NULL) STRICT;
      CREATE TABLE IF NOT EXISTS numbers (id INTEGER PRIMARY KEY CHECK (id = 1), reserved INTEGER NOT NULL) STRICT;
    `,
    );
    const { last } = this.#opened.prepare("SELECT max(number) AS last FROM events").get() ?? {};
    const { reserved } = this.#opened.prepare("SELECT reserved FROM numbers").get() ?? {};
    this.#last = Math.max(Number(last ?? 0), Number(reserved ?? 0));
    this.#reserved = this.#last;
    return this.#opened;
  }
}

/** Deletes all but the newest events. */
const drop = "DELETE FROM events WHERE number <= (SELECT number FROM events ORDER BY number DESC LIMIT 1 OFFSET ?)";
