type Row = Record<string, SqlStorageValue>;

/** The SQLite database of a Durable Object; runs the `migrations` that it has not had when it is opened. */
export class Database {
  readonly #storage: DurableObjectStorage;

  constructor(storage: DurableObjectStorage, migrations: readonly string[]) {
    this.#storage = storage;
    this.run("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY) STRICT");
    const done = this.one<{ done: number }>("SELECT count(*) AS done FROM migrations")?.done ?? 0;
    for (const [n, migration] of migrations.entries())
      if (n >= done)
        this.transaction(() => {
          this.#storage.sql.exec(migration);
          this.run("INSERT INTO migrations VALUES (?)", n + 1);
        });
  }

  all<T extends Row>(sql: string, ...values: readonly SqlStorageValue[]): readonly T[] {
    return this.#storage.sql.exec<T>(sql, ...values).toArray();
  }

  /** Row by row, for results that are too large for memory. Read them all before awaiting anything. */
  each<T extends Row>(sql: string, ...values: readonly SqlStorageValue[]): Iterable<T> {
    return this.#storage.sql.exec<T>(sql, ...values);
  }

  /** The first row. */
  one<T extends Row>(sql: string, ...values: readonly SqlStorageValue[]): T | undefined {
    return this.all<T>(sql, ...values)[0];
  }

  /** Rows of a table; `from` may have a condition with the values. */
  count(from: string, ...values: readonly SqlStorageValue[]): number {
    return this.one<{ n: number }>(`SELECT count(*) AS n FROM ${from}`, ...values)?.n ?? 0;
  }

  /** Returns the number of rows written, index rows included. */
  run(sql: string, ...values: readonly SqlStorageValue[]): number {
    return this.#storage.sql.exec(sql, ...values).rowsWritten;
  }

  /** All or nothing. */
  transaction<T>(work: () => T): T {
    return this.#storage.transactionSync(work);
  }
}

/** How the tables store times. */
export const isoTime = (ms: number): string => new Date(ms).toISOString();
