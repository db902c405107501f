import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** Opens a SQLite file that only its user can read, and runs `sql` on it. `:memory:` keeps nothing. */
export function openDatabase(file: string, sql: string): DatabaseSync {
  if (file !== ":memory:") {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    // SQLite creates its other files with the mode of this file.
    closeSync(openSync(file, "a", 0o600));
  }
  const database = new DatabaseSync(file);
  database.exec(sql);
  return database;
}

/** What `act` writes is on the disk as a whole, or not at all. */
export function inTransaction(database: DatabaseSync, act: () => void): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    act();
    database.exec("COMMIT");
  } catch (error) {
    // When the disk is full, SQLite has rolled back by itself. Source: sqlite.org/lang_transaction.html
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

/**
 * For what is written often: a power cut can undo the last changes. Every change writes whole pages; small pages cause less wear
 * on flash storage.
 */
export const gentleOnFlash = `
  PRAGMA page_size = 1024;
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  PRAGMA journal_size_limit = 1048576;
`;
