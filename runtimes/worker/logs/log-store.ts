import { Database } from "../database.ts";

/** The oldest lines are deleted when a device's log is larger, or they are older. */
const mostBytes = 4 * 1024 * 1024;
const longestMs = 30 * 24 * 60 * 60 * 1000;

const migrations: readonly string[] = [
  `
  -- One row for the lines that arrived together: as JSON, without the time of their arrival.
  CREATE TABLE arrivals (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    lines TEXT NOT NULL
  ) STRICT;
  `,
];

/** Lines that arrived together. */
export interface Arrival extends Record<string, SqlStorageValue> {
  readonly id: number;
  readonly at: number;
  readonly bytes: number;
  readonly lines: string;
}

export interface CountedArrival extends Record<string, SqlStorageValue> {
  readonly id: number;
  /** Of its lines. */
  readonly count: number;
}

/** Where reading starts: after the arrival `after`, without the first `skip` lines; `last` is the newest arrival. */
export interface Position {
  readonly after: number;
  readonly skip: number;
  readonly last: number;
}

/** SQL: the number of lines in a row. */
const lineCount = "length(lines) - length(replace(lines, char(10), '')) + 1";

/** The lines of a device's log, as a ring of bytes. */
export class LogStore {
  readonly #db: Database;
  #bytes: number;

  constructor(storage: DurableObjectStorage) {
    this.#db = new Database(storage, migrations);
    this.#bytes = this.#db.one<{ bytes: number }>("SELECT ifnull(sum(bytes), 0) AS bytes FROM arrivals")?.bytes ?? 0;
  }

  /** Returns the arrivals that were deleted to make room. */
  append(lines: readonly string[], at: number): readonly CountedArrival[] {
    const text = lines.join("\n");
    const bytes = new TextEncoder().encode(text).length;
    this.#db.run("INSERT INTO arrivals (at, bytes, lines) VALUES (?, ?, ?)", at, bytes, text);
    this.#bytes += bytes;
    const deleted: CountedArrival[] = [];
    for (;;) {
      const oldest = this.#db.one<Arrival>("SELECT id, at, bytes, '' AS lines FROM arrivals ORDER BY id LIMIT 1");
      if (!oldest || (this.#bytes <= mostBytes && at - oldest.at <= longestMs)) return deleted;
      this.#bytes -= oldest.bytes;
      deleted.push(
        ...this.#db.all<CountedArrival>(
          `DELETE FROM arrivals WHERE id = ? RETURNING id, ${lineCount} AS count`,
          oldest.id,
        ),
      );
    }
  }

  /** The lines of the newest arrival. */
  last(): readonly string[] {
    const row = this.#db.one<Arrival>("SELECT * FROM arrivals ORDER BY id DESC LIMIT 1");
    return row ? row.lines.split("\n") : [];
  }

  next(after: number): Arrival | undefined {
    return this.#db.one<Arrival>("SELECT * FROM arrivals WHERE id > ? ORDER BY id LIMIT 1", after);
  }

  /** Before the newest `count` of the lines that arrived at `start` or later. */
  positionOf(count: number, start: number): Position {
    const last = this.#db.one<{ id: number }>("SELECT ifnull(max(id), 0) AS id FROM arrivals")?.id ?? 0;
    let position: Position = { after: last, skip: 0, last };
    let missing = count;
    if (count === 0) return position;
    for (const row of this.#db.each<CountedArrival>(
      `SELECT id, ${lineCount} AS count FROM arrivals WHERE at >= ? ORDER BY id DESC`,
      start,
    )) {
      position = { after: row.id - 1, skip: Math.max(0, row.count - missing), last };
      missing -= row.count;
      if (missing <= 0) break;
    }
    return position;
  }
}
