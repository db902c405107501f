import type { EventRecord } from "../model/event.ts";

/** An event with its place among all of this device. */
export interface JournalEntry extends EventRecord {
  readonly number: number;
}

/** So many of the newest events are kept. */
export const keptEvents = 1000;

/** The newest events. They survive the process; a power failure may take the last seconds of them. */
export interface EventJournal {
  /** Adds all or none. Numbers begin with 1 and rise by one, across restarts too. */
  append(events: readonly EventRecord[]): Promise<readonly JournalEntry[]>;
  /**
   * The events after that number, oldest first. `gap`: some of those after it are not kept any more, or the journal has
   * not come as far as that number; then the events begin with the oldest one.
   */
  read(after: number, limit: number): Promise<{ readonly entries: readonly JournalEntry[]; readonly gap: boolean }>;
}
