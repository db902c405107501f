/** A line of a service's log, or of what happened on the device. */
export interface LogLine {
  /** Counts from 1, in the order in which the lines arrive. */
  readonly n: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Empty: the agent. */
  readonly service: string;
  readonly isStdErr: boolean;
  readonly message: string;
}

export const keptLines = 5000;

/** The last lines. Readers are called once for each frame, however many lines have arrived. */
export class LogLines {
  #lines: LogLine[] = [];
  #count = 0;
  #isDue = false;
  readonly #readers = new Set<(added: readonly LogLine[]) => void>();
  #added: LogLine[] = [];

  get lines(): readonly LogLine[] {
    return this.#lines;
  }

  add(line: Omit<LogLine, "n">): void {
    const added = { n: ++this.#count, ...line };
    this.#lines.push(added);
    this.#added.push(added);
    // Half as many again, so that the list is seldom copied.
    if (this.#lines.length > keptLines * 1.5) this.#lines = this.#lines.slice(-keptLines);
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => this.#deliver());
  }

  /** Calls `reader` with lines that come. Returns how to stop that. */
  subscribe(reader: (added: readonly LogLine[]) => void): () => void {
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  }

  #deliver(): void {
    this.#isDue = false;
    const added = this.#added;
    this.#added = [];
    for (const reader of this.#readers) reader(added);
  }
}
