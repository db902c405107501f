type Row = Record<string, SqlStorageValue>;

/** SQLite of a Durable Object, brought to the newest of `migrations` when it is opened. */
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

  /** Row by row, for those that are too many to have at once; to be read at once, before anything is awaited. */
  each<T extends Row>(sql: string, ...values: readonly SqlStorageValue[]): Iterable<T> {
    return this.#storage.sql.exec<T>(sql, ...values);
  }

  /** The first row. */
  one<T extends Row>(sql: string, ...values: readonly SqlStorageValue[]): T | undefined {
    return this.all<T>(sql, ...values)[0];
  }

  /** The number of rows that were written, those of indexes included. */
  run(sql: string, ...values: readonly SqlStorageValue[]): number {
    return this.#storage.sql.exec(sql, ...values).rowsWritten;
  }

  /** All or nothing. */
  transaction<T>(work: () => T): T {
    return this.#storage.transactionSync(work);
  }
}
