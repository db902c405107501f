import { describe, toRecord, type Event, type EventRecord } from "../model/event.ts";
import { messageOf } from "../model/show.ts";
import type { Clock } from "../ports/clock.ts";
import { keptEvents, type EventJournal, type JournalEntry } from "../ports/event-journal.ts";
import type { Log } from "../ports/log.ts";

/** For code that only emits events. */
export type EventSink = Pick<Events, "emit">;

type EventReader = (record: EventRecord, event: Event) => void;

/** Events within this time are written in one transaction. */
const lingerMs = 1000;

/** The agent's events, in order. Readers get each event at once; the journal gets it up to `lingerMs` later. */
export class Events {
  readonly #clock: Pick<Clock, "now" | "sleep">;
  readonly #journal: EventJournal;
  readonly #readers = new Set<EventReader>();
  readonly #subscribers = new Set<(entries: readonly JournalEntry[]) => void>();
  readonly #end = new AbortController();
  #unsaved: readonly EventRecord[] = [];
  #lingering = false;
  #saving = Promise.resolve();
  #failed = false;

  constructor({ clock, journal }: { readonly clock: Pick<Clock, "now" | "sleep">; readonly journal: EventJournal }) {
    this.#clock = clock;
    this.#journal = journal;
  }

  emit(event: Event): void {
    const record = toRecord(event, this.#clock.now());
    for (const read of this.#readers) read(record, event);
    if (this.#end.signal.aborted) return;
    this.#unsaved = [...this.#unsaved, record].slice(-keptEvents);
    if (!this.#lingering) void this.#saveSoon();
  }

  /** Calls `read` with each event at once. */
  onEvent(read: EventReader): () => void {
    this.#readers.add(read);
    return () => void this.#readers.delete(read);
  }

  /** Calls `read` with new events when they are in the journal. Their numbers are final then. */
  subscribe(read: (entries: readonly JournalEntry[]) => void): () => void {
    this.#subscribers.add(read);
    return () => void this.#subscribers.delete(read);
  }

  /** The entries of the journal after this number. */
  async read(after: number, limit: number): ReturnType<EventJournal["read"]> {
    await this.#save();
    return this.#journal.read(after, limit);
  }

  /** Writes pending events to the journal. Later events are not written. */
  async stop(): Promise<void> {
    this.#end.abort();
    await this.#save();
  }

  async #saveSoon(): Promise<void> {
    this.#lingering = true;
    await this.#clock.sleep(lingerMs, this.#end.signal);
    this.#lingering = false;
    await this.#save();
  }

  #save(): Promise<void> {
    this.#saving = this.#saving.then(() => this.#append());
    return this.#saving;
  }

  /** Events that cannot be written stay in memory and are written with the next ones. */
  async #append(): Promise<void> {
    const events = this.#unsaved;
    if (events.length === 0) return;
    this.#unsaved = [];
    try {
      const entries = await this.#journal.append(events);
      this.#failed = false;
      for (const read of this.#subscribers) read(entries);
    } catch (error) {
      this.#unsaved = [...events, ...this.#unsaved].slice(-keptEvents);
      if (!this.#failed) this.emit({ kind: "eventsNotSaved", reason: messageOf(error) });
      this.#failed = true;
    }
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
