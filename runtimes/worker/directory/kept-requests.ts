import type { KeptRequest } from "../../../core/model/kept-request.ts";
import type { Database } from "../database.ts";

/** Of each caller, so that none can push out the requests of others. */
const mostRequests = 1000;
const longestMs = 24 * 60 * 60 * 1000;

/** Requests of the administration with an Idempotency-Key, for 24 hours. */
export class KeptRequests {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  async read(id: string): Promise<KeptRequest | undefined> {
    const row = this.#db.one<{ request: string }>("SELECT request FROM kept_requests WHERE id = ?", id);
    return row && JSON.parse(row.request);
  }

  async begin(request: KeptRequest): Promise<void> {
    const { id, caller, at } = request;
    this.#db.transaction(() => {
      this.#db.run(
        `DELETE FROM kept_requests WHERE at < ?1 OR number IN
           (SELECT number FROM kept_requests WHERE caller = ?2 ORDER BY number DESC LIMIT -1 OFFSET ?3)`,
        ...[at - longestMs, caller, mostRequests - 1],
      );
      this.#db.run(
        "INSERT INTO kept_requests (id, caller, at, request) VALUES (?, ?, ?, ?)",
        ...[id, caller, at, JSON.stringify(request)],
      );
    });
  }

  async end(request: KeptRequest): Promise<void> {
    this.#db.run("UPDATE kept_requests SET request = ? WHERE id = ?", JSON.stringify(request), request.id);
  }
}
