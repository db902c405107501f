import { QueryRefusal } from "./conditions.ts";

/** The largest answer. A row counts each time that it occurs. */
export const limits = {
  rows: 20_000,
  bytes: 8 * 1024 * 1024,
  /** Devices whose session is called; on the free plan an object may make 1,000 such calls. */
  live: 900,
  /** Rows that one request changes or deletes. */
  changed: 10_000,
};

const tooMuch = (limit: string): QueryRefusal =>
  new QueryRefusal(`The answer is larger than ${limit}: ask for fewer fields or expansions, or page by $top and $skip`);

/** Counts an answer while it is read. Throws `QueryRefusal` above a limit. */
export class Budget {
  #rows = 0;
  #bytes = 0;
  #live = 0;

  read(row: Record<string, SqlStorageValue>): void {
    this.#rows++;
    for (const value of Object.values(row)) if (typeof value === "string") this.#bytes += value.length;
    expectWithin(this.#rows, this.#bytes);
  }

  askLive(devices: number): void {
    this.#live += devices;
    if (this.#live > limits.live)
      throw new QueryRefusal(
        `Each of ${this.#live} devices must be asked for this: expected $top of at most ${limits.live}`,
      );
  }
}

export function expectWithin(rows: number, bytes: number): void {
  if (rows > limits.rows) throw tooMuch(`${limits.rows} rows`);
  if (bytes > limits.bytes) throw tooMuch(`${limits.bytes} bytes`);
}
