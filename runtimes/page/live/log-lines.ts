/** A line of a service's log, or of what happened on the device. */
export interface LogLine {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Empty: the agent. */
  readonly service: string;
  readonly appId?: number;
  readonly isStdErr: boolean;
  readonly message: string;
}

export const keptLines = 5000;

/** A list that is seldom cut: half as many again. */
const mostLines = keptLines * 1.5;

/** Called with lines that come, or without any when earlier ones are among the known ones. */
type Reader = (added?: readonly LogLine[]) => void;

const sourceOf = ({ appId, service }: LogLine): string => `${appId} ${service}`;

/** What a new connection sends first comes service by service, and within this time. */
const gatherMs = 250;

/** The last lines. Readers are called once for each frame, however many lines have arrived. */
export class LogLines {
  #lines: LogLine[] = [];
  #added: LogLine[] = [];
  #isDue = false;
  #isGathering = false;
  readonly #readers = new Set<Reader>();

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

  /** Calls `reader` until the function is called that it returns. */
  subscribe(reader: Reader): () => void {
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  }

  /** The most lines that are known of one service. */
  mostOfOne(): number {
    const counts = new Map<string, number>();
    for (const line of this.#lines)
      if (line.service !== "") counts.set(sourceOf(line), (counts.get(sourceOf(line)) ?? 0) + 1);
    return Math.max(0, ...counts.values());
  }

  /**
   * Adds earlier lines: of those that are given, in the order of each service, what is older than the known ones of the
   * service. Returns how many.
   */
  addEarlier(given: readonly LogLine[]): number {
    const first = new Map<string, { readonly at: number; count: number }>();
    for (const line of this.#lines) {
      const known = first.get(sourceOf(line));
      if (!known) first.set(sourceOf(line), { at: line.at, count: 1 });
      else if (known.at === line.at) known.count++;
    }
    const oldest = this.#lines[0]?.at ?? Infinity;
    // Several lines may have one time, of which the last ones are known.
    const atSameTime = new Map<string, number>();
    for (const line of given)
      if (line.at === first.get(sourceOf(line))?.at)
        atSameTime.set(sourceOf(line), (atSameTime.get(sourceOf(line)) ?? 0) + 1);
    const earlier = given.filter((line) => {
      const known = first.get(sourceOf(line));
      if (!known) return line.at < oldest;
      if (line.at !== known.at) return line.at < known.at;
      const left = atSameTime.get(sourceOf(line)) ?? 0;
      atSameTime.set(sourceOf(line), left - 1);
      return left > known.count;
    });
    const room = Math.max(0, mostLines - this.#lines.length);
    const added = earlier.toSorted((a, b) => a.at - b.at).slice(Math.max(0, earlier.length - room));
    if (added.length === 0) return 0;
    this.#lines = [...added, ...this.#lines].sort((a, b) => a.at - b.at);
    for (const reader of this.#readers) reader();
    return added.length;
  }

  #deliver(): void {
    const added = this.#added.sort((a, b) => a.at - b.at);
    this.#isDue = false;
    this.#isGathering = false;
    this.#added = [];
    this.#lines.push(...added);
    if (this.#lines.length > mostLines) this.#lines = this.#lines.slice(-keptLines);
    for (const reader of this.#readers) reader(added);
  }
}
