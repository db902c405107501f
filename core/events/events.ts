import { describe, toRecord, type Event, type EventRecord } from "../model/event.ts";
import { messageOf } from "../model/show.ts";
import type { Clock } from "../ports/clock.ts";
import { keptEvents, type EventJournal, type JournalEntry } from "../ports/event-journal.ts";
import type { Log } from "../ports/log.ts";

/** For code that only emits events. */
export type EventSink = Pick<Events, "emit">;

type EventClock = Pick<Clock, "now" | "monotonic" | "sleep">;

type EventReader = (record: EventRecord, event: Event) => void;

/** Events within this time are written in one transaction: usually, and while there are subscribers. */
const lingerMs = 1000;
const subscribedLingerMs = 100;

/**
 * The agent's events, in order. Readers get each event at once. The journal gets it up to `lingerMs` later; the first one, and all
 * while there are subscribers, at once, or `subscribedLingerMs` after the transaction before.
 */
export class Events {
  readonly #clock: EventClock;
  readonly #journal: EventJournal;
  readonly #readers = new Set<EventReader>();
  readonly #subscribers = new Set<(entries: readonly JournalEntry[]) => void>();
  readonly #end = new AbortController();
  #unsaved: EventRecord[] = [];
  /** Events that were dropped from `#unsaved`. */
  #lost = 0;
  #linger: AbortController | undefined;
  /** While events wait to be written. */
  #pending: Promise<void> | undefined;
  #savedAt = -Infinity;
  #saving = Promise.resolve();
  #failed = false;

  constructor({ clock, journal }: { readonly clock: EventClock; readonly journal: EventJournal }) {
    this.#clock = clock;
    this.#journal = journal;
  }

  emit(event: Event): void {
    const record = toRecord(event, this.#clock.now());
    for (const read of this.#readers) read(record, event);
    if (this.#end.signal.aborted) return;
    this.#unsaved.push(record);
    this.#dropOldest();
    this.#pending ??= this.#saveSoon();
  }

  /** Calls `read` with each event at once. */
  onEvent(read: EventReader): () => void {
    this.#readers.add(read);
    return () => void this.#readers.delete(read);
  }

  /** Calls `read` with new events when they are in the journal. Their numbers are final then. */
  subscribe(read: (entries: readonly JournalEntry[]) => void): () => void {
    this.#subscribers.add(read);
    // Events may wait for longer than a subscriber should.
    this.#linger?.abort();
    return () => void this.#subscribers.delete(read);
  }

  /** The entries of the journal after this number. */
  async read(after: number, limit: number): ReturnType<EventJournal["read"]> {
    await this.#save();
    return this.#journal.read(after, limit);
  }

  /** The same, without those that are not written yet. */
  readSaved(after: number, limit: number): ReturnType<EventJournal["read"]> {
    return this.#journal.read(after, limit);
  }

  /** Resolves when the events that wait are written, or cannot be. They are gathered as for subscribers. */
  async settle(): Promise<void> {
    const leave = this.subscribe(() => {});
    await this.#pending;
    leave();
  }

  /** The last number that was given. */
  last(): Promise<number> {
    return this.#journal.last();
  }

  /** Writes pending events to the journal. Later events are not written. */
  async stop(): Promise<void> {
    this.#end.abort();
    this.#linger?.abort();
    await this.#save();
  }

  async #saveSoon(): Promise<void> {
    do {
      this.#linger = new AbortController();
      await this.#clock.sleep(this.#lingerMs(), this.#linger.signal);
    } while (this.#linger.signal.aborted && !this.#end.signal.aborted);
    [this.#linger, this.#pending] = [undefined, undefined];
    await this.#save();
  }

  #lingerMs(): number {
    // The journal then knows of this run: what a sudden end of it loses is a gap.
    if (this.#savedAt === -Infinity) return 0;
    if (this.#subscribers.size === 0) return lingerMs;
    return Math.max(0, this.#savedAt + subscribedLingerMs - this.#clock.monotonic());
  }

  #save(): Promise<void> {
    this.#saving = this.#saving.then(() => this.#append());
    return this.#saving;
  }

  /** Events that cannot be written stay in memory and are written with the next ones. */
  async #append(): Promise<void> {
    const [events, lost] = [this.#unsaved, this.#lost];
    if (events.length === 0) return;
    [this.#unsaved, this.#lost] = [[], 0];
    this.#savedAt = this.#clock.monotonic();
    try {
      const entries = await this.#journal.append(events, lost);
      this.#failed = false;
      for (const read of this.#subscribers) read(entries);
    } catch (error) {
      this.#unsaved = [...events, ...this.#unsaved];
      this.#lost += lost;
      this.#dropOldest();
      if (!this.#failed) this.emit({ kind: "eventsNotSaved", reason: messageOf(error) });
      this.#failed = true;
    }
  }

  #dropOldest(): void {
    const dropped = this.#unsaved.splice(0, Math.max(0, this.#unsaved.length - keptEvents));
    this.#lost += dropped.length;
  }
}

/** Emits an event unless its sentence repeats the one before; undefined ends the repetition. */
export function emitChanges(events: EventSink): (event: Event | undefined) => void {
  let last = "";
  return (event) => {
    const text = event ? describe(event) : "";
    if (event && text !== last) events.emit(event);
    last = text;
  };
}

/** The machine's log as a reader of events. */
export const toLog =
  (log: Log): EventReader =>
  ({ level, text }, event) =>
    log[level](text, event);
