import { messageOf } from "../model/show.ts";
import type { Clock } from "../ports/clock.ts";
import type { JournalEntry } from "../ports/event-journal.ts";
import type { Metrics } from "../ports/metrics.ts";
import { EventCursor, type EventItem, type EventStart } from "./event-cursor.ts";
import type { Events } from "./events.ts";
import { PacedStream } from "./paced-stream.ts";
import { toShownEvent } from "./shown-event.ts";

export const mostLiveReaders = 16;

const stateEachMs = 250;
const metricsEachMs = 5000;
const readAtOnce = 50;

export interface LiveQuery {
  /** The first line, without `after`. */
  readonly hello: object;
  /** The state as the reader may see it; readers with the same `key` see the same. Absent: not wanted. */
  readonly state?: { readonly key: string; readonly show: () => object } | undefined;
  readonly events?: { readonly after: EventStart; readonly wants: (entry: JournalEntry) => boolean } | undefined;
  readonly metrics: boolean;
  /** Log lines as NDJSON, each chunk one line. They are read at the pace of the reader, so that none is lost. */
  readonly logs?: ReadableStream<Uint8Array> | undefined;
}

interface Parts {
  readonly events: Pick<Events, "readSaved" | "last" | "settle" | "subscribe">;
  readonly clock: Pick<Clock, "now" | "monotonic" | "sleep">;
  readonly metrics: Metrics;
}

/**
 * What happens on the device, for pages and programs that show it: one response of NDJSON for each reader. Of the state and
 * the metrics a slow reader gets the newest, of events those that the journal still has. Nothing is done without a reader.
 */
export class LiveStreams {
  readonly #parts: Parts;
  readonly #readers = new Set<LiveReader>();
  #opening = 0;
  #stateDue = false;
  #stateAt = -Infinity;
  #isMeasuring = false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  isFull(): boolean {
    const isFull = this.#readers.size + this.#opening >= mostLiveReaders;
    // Readers that have left make room for the next try.
    if (isFull) for (const reader of this.#readers) reader.beat();
    return isFull;
  }

  /** Undefined if there are `mostLiveReaders` already. */
  async open(query: LiveQuery): Promise<ReadableStream<Uint8Array> | undefined> {
    const { events, clock } = this.#parts;
    if (this.isFull()) return undefined;
    this.#opening++;
    const { after = "latest", wants = () => true } = query.events ?? {};
    const cursor = await events
      .settle()
      .then(() => EventCursor.at(events, after, wants))
      .finally(() => this.#opening--);
    const reader: LiveReader = new LiveReader(query, cursor, clock, () => {
      this.#readers.delete(reader);
      leave();
    });
    const leave = query.events ? events.subscribe(() => reader.pump()) : () => {};
    this.#readers.add(reader);
    if (query.state) reader.state = toLine("state", query.state.show());
    if (query.metrics && !this.#isMeasuring) void this.#measure();
    return reader.stream;
  }

  /** The state may have changed. */
  changed(): void {
    if (this.#stateDue || this.#readers.size === 0) return;
    this.#stateDue = true;
    const { clock } = this.#parts;
    void clock.sleep(Math.max(0, this.#stateAt + stateEachMs - clock.monotonic())).then(() => this.#sendState());
  }

  stop(): void {
    for (const reader of this.#readers) reader.close();
  }

  #sendState(): void {
    this.#stateDue = false;
    this.#stateAt = this.#parts.clock.monotonic();
    const lines = new Map<string, string>();
    for (const reader of this.#readers) {
      const { state } = reader.query;
      if (!state) continue;
      const line = lines.get(state.key) ?? toLine("state", state.show());
      lines.set(state.key, line);
      reader.state = line;
    }
  }

  async #measure(): Promise<void> {
    const { clock, metrics } = this.#parts;
    this.#isMeasuring = true;
    for (;;) {
      const readers = [...this.#readers].filter(({ query }) => query.metrics);
      if (readers.length === 0) break;
      const figures = await metrics.measure().catch((error: unknown) => ({ error: messageOf(error) }));
      const line = toLine("metrics", { at: new Date(clock.now()).toISOString(), ...figures });
      for (const reader of readers) reader.metrics = line;
      await clock.sleep(metricsEachMs, AbortSignal.any(readers.map(({ signal }) => signal)));
    }
    this.#isMeasuring = false;
  }
}

class LiveReader {
  readonly query: LiveQuery;
  readonly #cursor: EventCursor;
  readonly #paced: PacedStream;
  #sentState = "";
  #waiting: { state?: string; metrics?: string } = {};
  #isPumping = false;
  #isDue = false;
  #room = Promise.withResolvers<void>();

  constructor(query: LiveQuery, cursor: EventCursor, clock: Pick<Clock, "sleep">, closed: () => void) {
    this.query = query;
    this.#cursor = cursor;
    this.#paced = new PacedStream({
      ...{ clock, heartbeat: "\n", closed },
      pull: () => {
        this.#room.resolve();
        this.pump();
      },
    });
    this.#paced.send(toLine("hello", { ...query.hello, after: cursor.after }));
    if (query.logs) void this.#passOn(query.logs.getReader());
  }

  get stream(): ReadableStream<Uint8Array> {
    return this.#paced.stream;
  }

  get signal(): AbortSignal {
    return this.#paced.signal;
  }

  set state(line: string) {
    if (line !== this.#sentState) this.#waiting.state = line;
    else delete this.#waiting.state;
    this.pump();
  }

  set metrics(line: string) {
    this.#waiting.metrics = line;
    this.pump();
  }

  /** Sends what there is, as long as there is room. */
  pump(): void {
    this.#isDue = true;
    if (!this.#isPumping) void this.#pump();
  }

  beat(): void {
    this.#paced.beat();
  }

  close(): void {
    this.#paced.close();
  }

  async #pump(): Promise<void> {
    this.#isPumping = true;
    try {
      while (this.#isDue && this.#paced.hasRoom) {
        this.#isDue = false;
        const { state, metrics } = this.#waiting;
        this.#waiting = {};
        if (state !== undefined) this.#paced.send((this.#sentState = state));
        if (metrics !== undefined) this.#paced.send(metrics);
        const items = this.query.events ? await this.#cursor.next(readAtOnce) : [];
        for (const item of items) this.#paced.send(toEventLine(item));
        if (items.length > 0) this.#isDue = true;
      }
    } catch {
      // The journal cannot be read: the reader comes back with its cursor.
      this.close();
    } finally {
      this.#isPumping = false;
    }
  }

  async #passOn(lines: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    this.signal.addEventListener("abort", () => {
      this.#room.resolve();
      void lines.cancel().catch(() => {});
    });
    for (;;) {
      while (!this.#paced.hasRoom && !this.signal.aborted) {
        this.#room = Promise.withResolvers();
        await this.#room.promise;
      }
      const { value, done } = await lines.read();
      if (done || this.signal.aborted) return;
      this.#paced.send(`{"is":"log",${decoder.decode(value).slice(1)}`);
    }
  }
}

const toLine = (is: string, fields: object): string => `${JSON.stringify({ is, ...fields })}\n`;

const toEventLine = (item: EventItem): string => {
  if (item.is === "event") return toLine("event", toShownEvent(item.entry));
  const { after, before } = item;
  return toLine("lost", { of: "events", after, before, ...(before > after && { count: before - after - 1 }) });
};
