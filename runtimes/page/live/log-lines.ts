/** A line of a service's log, or of what happened on the device. */
export interface LogLine {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Empty: the agent. */
  readonly service: string;
  readonly isStdErr: boolean;
  readonly message: string;
}

export const keptLines = 5000;

/** What a new connection sends first comes service by service, and within this time. */
const gatherMs = 250;

/** The last lines. Readers are called once for each frame, however many lines have arrived. */
export class LogLines {
  #lines: LogLine[] = [];
  #added: LogLine[] = [];
  #isDue = false;
  #isGathering = false;
  readonly #readers = new Set<(added: readonly LogLine[]) => void>();

  get lines(): readonly LogLine[] {
    return this.#lines;
  }

  /** A connection begins: its first lines are put in the order of their times. */
  gather(): void {
    this.#isGathering = true;
  }

  add(line: LogLine): void {
    this.#added.push(line);
    if (this.#isDue) return;
    this.#isDue = true;
    if (this.#isGathering) setTimeout(() => this.#deliver(), gatherMs);
    else requestAnimationFrame(() => this.#deliver());
  }

  /** Calls `reader` with lines that come. Returns how to stop that. */
  subscribe(reader: (added: readonly LogLine[]) => void): () => void {
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  }

  #deliver(): void {
    const added = this.#added.sort((a, b) => a.at - b.at);
    this.#isDue = false;
    this.#isGathering = false;
    this.#added = [];
    this.#lines.push(...added);
    // Half as many again, so that the list is seldom copied.
    if (this.#lines.length > keptLines * 1.5) this.#lines = this.#lines.slice(-keptLines);
    for (const reader of this.#readers) reader(added);
  }
}
