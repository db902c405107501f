import type { DatabaseSync } from "node:sqlite";
import type { Store } from "../../../core/ports/store.ts";
import { inTransaction, openDatabase } from "./database.ts";

/** Stores documents in a SQLite file. Every write is a transaction that is on the disk when `write` resolves. */
export class SqliteStore implements Store {
  readonly #database: DatabaseSync;

  /** `:memory:` keeps nothing. */
  constructor(file: string) {
    this.#database = openDatabase(
      file,
      `
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      CREATE TABLE IF NOT EXISTS documents (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    `,
    );
  }

  async read(name: string): Promise<unknown> {
    const row = this.#database.prepare("SELECT value FROM documents WHERE name = ?").get(name);
    return row === undefined ? undefined : JSON.parse(String(row["value"]));
  }

  async write(documents: Readonly<Record<string, unknown>>): Promise<void> {
    const put = this.#database.prepare(
      "INSERT INTO documents VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    );
    const remove = this.#database.prepare("DELETE FROM documents WHERE name = ?");
    inTransaction(this.#database, () => {
      for (const [name, value] of Object.entries(documents))
        if (value === undefined) remove.run(name);
        else put.run(name, JSON.stringify(value));
    });
  }

  close(): void {
    this.#database.close();
  }
}
