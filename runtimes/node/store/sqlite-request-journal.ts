import type { DatabaseSync } from "node:sqlite";
import * as z from "zod";
import type { KeptRequest } from "../../../core/model/kept-request.ts";
import { keptRequests, type RequestJournal } from "../../../core/ports/request-journal.ts";
import { gentleOnFlash, inTransaction, openDatabase } from "./database.ts";

/** A stored request. Another version of the agent may have written it. */
const Stored: z.ZodType<KeptRequest> = z.object({
  id: z.string(),
  caller: z.string(),
  at: z.number(),
  asked: z.string(),
  answer: z
    .union([
      z.object({ status: z.int(), without: z.enum(["secret", "large"]) }),
      z.object({
        status: z.int(),
        headers: z.array(z.tuple([z.string(), z.string()])),
        body: z.string().nullable(),
      }),
    ])
    .optional(),
  operation: z
    .object({ name: z.string(), endedAt: z.number().optional(), isCancelled: z.literal(true).optional() })
    .optional(),
});

/** Stores requests in a SQLite file, which is opened at the first access. */
export class SqliteRequestJournal implements RequestJournal {
  readonly #file: string;
  #opened: DatabaseSync | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  async read(id: string): Promise<KeptRequest | undefined> {
    const row = this.#open().prepare("SELECT request FROM requests WHERE id = ?").get(id);
    return row && Stored.parse(JSON.parse(String(row["request"])));
  }

  async begin(request: KeptRequest): Promise<void> {
    const { id, caller, operation } = request;
    const database = this.#open();
    database.exec("PRAGMA synchronous = FULL");
    try {
      inTransaction(database, () => {
        database.prepare(insert).run(id, caller, operation ? 1 : 0, JSON.stringify(request));
        database.prepare(dropOldest).run(caller, keptRequests.entries, keptRequests.characters);
      });
    } finally {
      database.exec("PRAGMA synchronous = NORMAL");
    }
  }

  async end(request: KeptRequest): Promise<void> {
    this.#open().prepare("UPDATE requests SET request = ? WHERE id = ?").run(JSON.stringify(request), request.id);
  }

  async operations(caller: string, limit: number): Promise<readonly KeptRequest[]> {
    return this.#open()
      .prepare("SELECT request FROM requests WHERE caller = ? AND is_operation = 1 ORDER BY number DESC LIMIT ?")
      .all(caller, limit)
      .map(({ request }) => Stored.parse(JSON.parse(String(request))));
  }

  close(): void {
    this.#opened?.close();
  }

  #open(): DatabaseSync {
    if (this.#opened) return this.#opened;
    this.#opened = openDatabase(
      this.#file,
      `${gentleOnFlash}
      CREATE TABLE IF NOT EXISTS requests (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        caller TEXT NOT NULL,
        is_operation INTEGER NOT NULL,
        request TEXT NOT NULL,
        size INTEGER GENERATED ALWAYS AS (length(request)) STORED
      ) STRICT;
      CREATE INDEX IF NOT EXISTS requests_of_caller ON requests (caller, number, size);
    `,
    );
    return this.#opened;
  }
}

const insert = "INSERT INTO requests (id, caller, is_operation, request) VALUES (?, ?, ?, ?)";

const dropOldest = `DELETE FROM requests WHERE number IN (
  SELECT number FROM (
    SELECT number, row_number() OVER newest AS entries, sum(size) OVER newest AS characters
    FROM requests WHERE caller = ?1 WINDOW newest AS (ORDER BY number DESC)
  ) WHERE entries > ?2 OR characters > ?3)`;
