import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import * as z from "zod";
import { causes, eventLevels, type EventRecord } from "../../../core/model/event.ts";
import { keptEvents, type EventJournal, type JournalEntry } from "../../../core/ports/event-journal.ts";

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
});

/** Stores events in a SQLite file, which is opened at the first access. It is as durable as the log ring. */
export class SqliteEventJournal implements EventJournal {
  readonly #file: string;
  #opened: DatabaseSync | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  async append(events: readonly EventRecord[]): Promise<readonly JournalEntry[]> {
    const database = this.#open();
    database.exec("BEGIN IMMEDIATE");
    try {
      let last = this.#last();
      const entries = events.map((event) => ({ ...event, number: ++last }));
      const add = database.prepare("INSERT INTO events VALUES (?, ?)");
      for (const { number, ...event } of entries.slice(-keptEvents)) add.run(number, JSON.stringify(event));
      database.prepare("DELETE FROM events WHERE number <= ?").run(last - keptEvents);
      database.exec("COMMIT");
      return entries;
    } catch (error) {
      database.exec("ROLLBACK");
      throw error;
    }
  }

  async read(after: number, limit: number) {
    const database = this.#open();
    const oldest = Number(database.prepare("SELECT min(number) AS oldest FROM events").get()?.["oldest"] ?? 1);
    const gap = after < oldest - 1 || after > this.#last();
    const rows = database
      .prepare("SELECT number, event FROM events WHERE number > ? ORDER BY number LIMIT ?")
      .all(gap ? 0 : after, limit);
    const entries = rows.map(({ number, event }): JournalEntry => ({
      ...Stored.parse(JSON.parse(String(event))),
      number: Number(number),
    }));
    return { entries, gap };
  }

  close(): void {
    this.#opened?.close();
  }

  #last(): number {
    return Number(this.#open().prepare("SELECT max(number) AS last FROM events").get()?.["last"] ?? 0);
  }

  #open(): DatabaseSync {
    if (this.#opened) return this.#opened;
    mkdirSync(dirname(this.#file), { recursive: true, mode: 0o700 });
    // SQLite creates its other files with the mode of this file.
    closeSync(openSync(this.#file, "a", 0o600));
    this.#opened = new DatabaseSync(this.#file);
    // Every change writes whole pages. Small pages cause less wear on flash storage.
    this.#opened.exec(`
      PRAGMA page_size = 1024;
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = NORMAL;
      PRAGMA journal_size_limit = 1048576;
      CREATE TABLE IF NOT EXISTS events (number INTEGER PRIMARY KEY, event TEXT NOT NULL) STRICT;
    `);
    return this.#opened;
  }
}
