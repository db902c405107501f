import type { Clock } from "../ports/clock.ts";
import type { JournalEntry } from "../ports/event-journal.ts";
import { EventCursor, type EventGap, type EventItem, type EventStart } from "./event-cursor.ts";
import type { Events } from "./events.ts";
import { PacedStream } from "./paced-stream.ts";
import { toShownEvent } from "./shown-event.ts";

/** Readers that wait for events at once: each holds a connection for an unlimited time. */
export const mostEventReaders = 16;

/** Events that are read at once for a stream. */
const readAtOnce = 50;

interface EventQuery {
  readonly after: EventStart;
  readonly wants: (entry: JournalEntry) => boolean;
}

interface Poll extends EventQuery {
  readonly limit: number;
  /** How long to wait if there is no event. */
  readonly waitMs: number;
  /** The reader has left: its place is free for another. */
  readonly signal?: AbortSignal | undefined;
}

interface Polled {
  readonly entries: readonly JournalEntry[];
  readonly gaps: readonly EventGap[];
  /** From where to go on. */
  readonly last: number;
}

interface Parts {
  readonly events: Pick<Events, "readSaved" | "last" | "settle" | "subscribe">;
  readonly clock: Pick<Clock, "monotonic" | "sleep">;
}

/** The journal of events for readers of the API. Nothing is done while there is none. */
export class EventFeed {
  readonly #parts: Parts;
  readonly #streams = new Set<PacedStream>();
  readonly #end = new AbortController();
  #waiting = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Undefined: it would have to wait, and there are `mostEventReaders` already. */
  async poll({ after, wants, limit, waitMs, signal }: Poll): Promise<Polled | undefined> {
    const { events, clock } = this.#parts;
    await events.settle();
    const cursor = await EventCursor.at(events, after, wants);
    const arrivals = new Arrivals(this.#parts);
    const until = clock.monotonic() + waitMs;
    let items: readonly EventItem[];
    try {
      items = await cursor.next(limit);
      if (items.length === 0 && waitMs > 0) {
        if (this.#isFull()) return undefined;
        this.#waiting++;
        const end = signal ? AbortSignal.any([this.#end.signal, signal]) : this.#end.signal;
        try {
          while (items.length === 0 && clock.monotonic() < until && !end.aborted) {
            await arrivals.next(until - clock.monotonic(), end);
            items = await cursor.next(limit);
          }
        } finally {
          this.#waiting--;
        }
      }
    } finally {
      arrivals.end();
    }
    return {
      entries: items.flatMap((item) => (item.is === "event" ? [item.entry] : [])),
      gaps: items.flatMap((item) => (item.is === "gap" ? [{ after: item.after, before: item.before }] : [])),
      last: cursor.after,
    };
  }

  /** A stream of server-sent events; undefined if there are `mostEventReaders` already. */
  async stream({ after, wants }: EventQuery): Promise<ReadableStream<Uint8Array> | undefined> {
    const { events, clock } = this.#parts;
    if (this.#isFull()) return undefined;
    this.#waiting++;
    const cursor = await events
      .settle()
      .then(() => EventCursor.at(events, after, wants))
      .finally(() => this.#waiting--);
    const stream = new PacedStream({
      ...{ clock, heartbeat: ":\n\n", pull: () => send() },
      closed: () => {
        leave();
        this.#streams.delete(stream);
      },
    });
    this.#streams.add(stream);
    const send = sender({ stream, cursor, write: toServerSentEvent });
    const leave = events.subscribe(send);
    stream.send("retry: 1000\n\n");
    return stream.stream;
  }

  stop(): void {
    this.#end.abort();
    for (const stream of this.#streams) stream.close();
  }

  #isFull(): boolean {
    const isFull = this.#streams.size + this.#waiting >= mostEventReaders;
    // Readers that have left make room for the next try.
    if (isFull) for (const stream of this.#streams) stream.beat();
    return isFull;
  }
}

interface Sending {
  readonly stream: PacedStream;
  readonly cursor: EventCursor;
  readonly write: (item: EventItem) => string;
}

/** A function that sends the events that there are, as long as there is room. Call it when either may have changed. */
function sender({ stream, cursor, write }: Sending): () => void {
  let isSending = false;
  let isDue = false;
  const send = async (): Promise<void> => {
    isDue = true;
    if (isSending) return;
    isSending = true;
    try {
      while (isDue && stream.hasRoom) {
        isDue = false;
        const items = await cursor.next(readAtOnce);
        for (const item of items) stream.send(write(item));
        if (items.length > 0) isDue = true;
      }
    } catch {
      // The journal cannot be read: the reader comes back with its cursor.
      stream.close();
    } finally {
      isSending = false;
    }
  };
  return () => void send();
}

/** Without the name of an event, `onmessage` of an EventSource gets it. The id of a gap is that of its last event. */
const toServerSentEvent = (item: EventItem): string =>
  item.is === "event"
    ? `id: ${item.entry.number}\ndata: ${JSON.stringify(toShownEvent(item.entry))}\n\n`
    : `id: ${item.before - 1}\nevent: gap\ndata: ${JSON.stringify({ after: item.after, before: item.before })}\n\n`;

/** Waits for new entries of the journal. Those that arrive between two calls end the second one at once. */
class Arrivals {
  readonly #parts: Parts;
  readonly #leave: () => void;
  #arrived = new AbortController();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#leave = parts.events.subscribe(() => this.#arrived.abort());
  }

  async next(ms: number, end: AbortSignal): Promise<void> {
    await this.#parts.clock.sleep(ms, AbortSignal.any([this.#arrived.signal, end]));
    this.#arrived = new AbortController();
  }

  end(): void {
    this.#leave();
  }
}
