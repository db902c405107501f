/** What the agent's own process uses. */
export interface OwnUse {
  measure(): Promise<OwnFigures>;
}

export interface OwnFigures {
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** Of all cores, since the start. */
  readonly cpuMs: number;
  readonly residentBytes: number;
  readonly heapBytes: number;
  /** How long the event loop has run code since the start. */
  readonly loopBusyMs: number;
  /** How late the event loop is now. */
  readonly loopLagMs: number;
}
