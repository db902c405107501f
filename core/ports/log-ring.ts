/** Up to where the lines of one container are kept: the time of the last one, and how many of that time there are. */
export interface LogPosition {
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
  readonly count: number;
}

/** A line as it is kept. Numbers rise in the order in which lines came; within a run of the agent, none is given twice. */
export interface KeptLine {
  readonly number: number;
  readonly text: string;
}

/**
 * Log lines that wait to be delivered. Bounded in bytes: what is too much is lost from the oldest on, and counted. Both
 * methods that write do all or nothing, and outlive the process.
 */
export interface LogRing {
  /** By container id. */
  positions(): Promise<ReadonlyMap<string, LogPosition>>;
  /** Adds lines, and notes how far their containers' logs are kept now; undefined: the container is gone. */
  append(lines: readonly string[], positions: ReadonlyMap<string, LogPosition | undefined>): Promise<void>;
  /** The oldest lines, and how many older ones were lost since that was last acknowledged. */
  read(limit: { readonly lines: number; readonly bytes: number }): Promise<{
    readonly lines: readonly KeptLine[];
    readonly lost: number;
  }>;
  /** These have been delivered: the lines up to that number, and the count of that many lost ones. */
  acknowledge(upTo: number, lost: number): Promise<void>;
}
