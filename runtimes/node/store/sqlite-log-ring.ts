import type { DatabaseSync } from "node:sqlite";
import type { KeptLine, LogPosition, LogRing } from "../../../core/ports/log-ring.ts";
import { gentleOnFlash, inTransaction, openDatabase } from "./database.ts";

const defaultBytes = 5 * 1024 * 1024;

/**
 * Stores log lines in a SQLite file. A power cut can undo the last changes. Then the engine's log is read again, or lines
 * are sent again. A sync after every write would avoid that, but would wear out flash storage.
 */
export class SqliteLogRing implements LogRing {
  readonly #database: DatabaseSync;
  readonly #limitBytes: number;
  #bytes: number;
  /** The last line's number. Numbers need to be unique only during one run, because no upload outlives it. */
  #last: number;

  /** `:memory:` keeps nothing. */
  constructor(file: string, { limitBytes = defaultBytes }: { readonly limitBytes?: number } = {}) {
    this.#limitBytes = limitBytes;
    this.#database = openDatabase(
      file,
      `${gentleOnFlash}
      CREATE TABLE IF NOT EXISTS lines (number INTEGER PRIMARY KEY, bytes INTEGER NOT NULL, text TEXT NOT NULL) STRICT;
      CREATE TABLE IF NOT EXISTS positions (container TEXT PRIMARY KEY, timestamp INTEGER NOT NULL, count INTEGER NOT NULL) STRICT, WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS lost (count INTEGER NOT NULL) STRICT;
      INSERT INTO lost SELECT 0 WHERE NOT EXISTS (SELECT * FROM lost);
    `,
    );
    this.#bytes = this.#sum();
    this.#last = Number(this.#database.prepare("SELECT max(number) AS last FROM lines").get()?.["last"] ?? 0);
  }

  async positions(): Promise<ReadonlyMap<string, LogPosition>> {
    const rows = this.#database.prepare("SELECT container, timestamp, count FROM positions").all();
    return new Map(
      rows.map((row) => [
        String(row["container"]),
        { timestamp: Number(row["timestamp"]), count: Number(row["count"]) },
      ]),
    );
  }

  async append(lines: readonly string[], positions: ReadonlyMap<string, LogPosition | undefined>): Promise<void> {
    this.#inTransaction(() => {
      const add = this.#database.prepare("INSERT INTO lines VALUES (?, ?, ?)");
      for (const text of lines) {
        const bytes = Buffer.byteLength(text);
        add.run(++this.#last, bytes, text);
        this.#bytes += bytes;
      }
      const put = this.#database.prepare(
        "INSERT INTO positions VALUES (?, ?, ?) ON CONFLICT (container) DO UPDATE SET timestamp = excluded.timestamp, count = excluded.count",
      );
      const remove = this.#database.prepare("DELETE FROM positions WHERE container = ?");
      for (const [container, position] of positions)
        if (position) put.run(container, position.timestamp, position.count);
        else remove.run(container);
      this.#loseOldest();
    });
  }

  async read(limit: { readonly lines: number; readonly bytes: number }) {
    const rows = this.#database
      .prepare("SELECT number, bytes, text FROM lines ORDER BY number LIMIT ?")
      .all(limit.lines);
    const lines: KeptLine[] = [];
    let room = limit.bytes;
    for (const row of rows) {
      room -= Number(row["bytes"]);
      if (room < 0 && lines.length > 0) break;
      lines.push({ number: Number(row["number"]), text: String(row["text"]) });
    }
    return { lines, lost: Number(this.#database.prepare("SELECT count FROM lost").get()?.["count"] ?? 0) };
  }

  async acknowledge(upTo: number, lost: number): Promise<void> {
    this.#inTransaction(() => {
      this.#database.prepare("DELETE FROM lines WHERE number <= ?").run(upTo);
      if (lost > 0) this.#database.prepare("UPDATE lost SET count = max(0, count - ?)").run(lost);
    });
    this.#bytes = this.#sum();
  }

  close(): void {
    this.#database.close();
  }

  #loseOldest(): void {
    if (this.#bytes <= this.#limitBytes) return;
    const oldest = this.#database.prepare("SELECT number, bytes FROM lines ORDER BY number");
    let last = 0;
    let count = 0;
    for (const row of oldest.iterate()) {
      if (this.#bytes <= this.#limitBytes) break;
      this.#bytes -= Number(row["bytes"]);
      last = Number(row["number"]);
      count++;
    }
    this.#database.prepare("DELETE FROM lines WHERE number <= ?").run(last);
    this.#database.prepare("UPDATE lost SET count = count + ?").run(count);
  }

  #sum(): number {
    return Number(this.#database.prepare("SELECT coalesce(sum(bytes), 0) AS sum FROM lines").get()?.["sum"] ?? 0);
  }

  #inTransaction(act: () => void): void {
    try {
      inTransaction(this.#database, act);
    } catch (error) {
      this.#bytes = this.#sum();
      throw error;
    }
  }
}
