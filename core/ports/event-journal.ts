import type { EventRecord } from "../model/event.ts";

/** An event with its number. Each device numbers its events. */
export interface JournalEntry extends EventRecord {
  readonly number: number;
}

/** The number of events that the journal keeps. */
export const keptEvents = 1000;

/** The newest events. They survive a restart of the agent. A power failure may lose those of the last seconds. */
export interface EventJournal {
  /** Adds all events or none. Numbers begin with 1 and rise by one, also across restarts. */
  append(events: readonly EventRecord[]): Promise<readonly JournalEntry[]>;
  /**
   * The events after this number, oldest first. `gap`: some events after it have been dropped, or the journal has not
   * reached this number; the result then begins with the oldest event.
   */
  read(after: number, limit: number): Promise<{ readonly entries: readonly JournalEntry[]; readonly gap: boolean }>;
}
