import type { EventRecord } from "../model/event.ts";

/** An event with its number. Each device numbers its events. */
export interface JournalEntry extends EventRecord {
  readonly number: number;
}

/** The number of events that the journal keeps. */
export const keptEvents = 1000;

/**
 * The newest events. They survive a restart of the agent. A power failure may lose those of the last seconds; their numbers are
 * not given again.
 */
export interface EventJournal {
  /**
   * Adds all events or none. Numbers begin with 1 and rise, also across restarts. A number that is left out is that of an event
   * which is lost, or may be. `lost`: events before these that could not be kept.
   */
  append(events: readonly EventRecord[], lost?: number): Promise<readonly JournalEntry[]>;
  /**
   * The events after this number, oldest first. `gap`: some events after it are lost, or the journal has never given this
   * number; in the second case the result begins with the oldest event.
   */
  read(after: number, limit: number): Promise<{ readonly entries: readonly JournalEntry[]; readonly gap: boolean }>;
  /** The last number; 0: there was no event. */
  last(): Promise<number>;
}
