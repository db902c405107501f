import type { Container } from "../model/container.ts";
import { afterPosition, nextPosition, type LogPosition } from "../model/log-position.ts";
import { messageOf } from "../model/show.ts";
import type { Clock } from "../ports/clock.ts";
import type { ContainerLine, Engine } from "../ports/engine.ts";
import { mostReaders } from "./logs.ts";

/** A container whose log is read. */
export type ServiceLogSource = Pick<Container, "id" | "appId" | "service" | "startedAt">;

export interface ServiceLogQuery {
  readonly wants: (source: ServiceLogSource) => boolean;
  /** Sends new lines, also of containers that are created later, until the reader leaves. */
  readonly follow: boolean;
  /** Milliseconds since the epoch. */
  readonly since: number;
  /** The number of last lines of each container; undefined: all. */
  readonly tail: number | undefined;
}

/** One line of `GET /v3/logs`. */
interface Line extends ContainerLine, Pick<ServiceLogSource, "appId" | "service"> {}

interface Parts {
  readonly engine: Pick<Engine, "logs">;
  readonly clock: Pick<Clock, "now">;
}

/** Bytes that wait for a reader. When they are that many, the engine's logs are not read on. */
const bufferBytes = 64 * 1024;

/**
 * The services' log lines, read from the engine for each reader: in every mode, and without journald. No line is left out: a
 * slow reader is slow for the engine, too.
 */
export class ServiceLogs {
  readonly #parts: Parts;
  readonly #readers = new Set<Reader>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** A stream of NDJSON; undefined if there are `mostReaders` already. */
  stream(sources: readonly ServiceLogSource[], query: ServiceLogQuery): ReadableStream<Uint8Array> | undefined {
    if (this.#readers.size >= mostReaders) return undefined;
    const reader = new Reader(this.#parts, query, () => this.#readers.delete(reader));
    this.#readers.add(reader);
    reader.start(sources);
    return reader.stream;
  }

  /** The containers that there are now. */
  setSources(sources: readonly ServiceLogSource[]): void {
    for (const reader of this.#readers) reader.update(sources);
  }

  stop(): void {
    for (const reader of this.#readers) reader.end();
  }
}

class Reader {
  readonly stream: ReadableStream<Uint8Array>;
  readonly #parts: Parts;
  readonly #query: ServiceLogQuery;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #end = new AbortController();
  /** By container: the run that is or was read, and how far. */
  readonly #positions = new Map<string, { readonly startedAt: number; readonly position: LogPosition | undefined }>();
  readonly #reading = new Set<string>();
  readonly #unreadable = new Set<string>();
  #started = false;

  constructor(parts: Parts, query: ServiceLogQuery, left: () => void) {
    this.#parts = parts;
    this.#query = query;
    const size = new ByteLengthQueuingStrategy({ highWaterMark: bufferBytes });
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>({}, undefined, size);
    this.stream = readable;
    this.#writer = writable.getWriter();
    // Rejects when the reader leaves.
    void this.#writer.closed
      .catch(() => {})
      .then(() => {
        this.#end.abort();
        left();
      });
  }

  start(sources: readonly ServiceLogSource[]): void {
    if (this.#query.follow) return this.update(sources);
    void this.#sendOnce(this.#wanted(sources))
      .then(() => this.#writer.close())
      .catch(() => {});
  }

  update(sources: readonly ServiceLogSource[]): void {
    if (this.#query.follow) this.#follow(this.#wanted(sources));
  }

  end(): void {
    this.#end.abort();
    void this.#writer.close().catch(() => {});
  }

  /** A container that never ran has no log. */
  #wanted(sources: readonly ServiceLogSource[]): readonly ServiceLogSource[] {
    return sources.filter((source) => source.startedAt > 0 && this.#query.wants(source));
  }

  /** The lines of all containers in the order of their times. */
  async #sendOnce(sources: readonly ServiceLogSource[]): Promise<void> {
    const logs = sources.map((source) =>
      this.#read(source, this.#query.since, this.#query.tail)[Symbol.asyncIterator](),
    );
    const heads = await Promise.all(logs.map(async (log) => ({ log, next: await log.next() })));
    for (;;) {
      let first: (typeof heads)[number] | undefined;
      for (const head of heads)
        if (!head.next.done && (!first || first.next.done || head.next.value.timestamp < first.next.value.timestamp))
          first = head;
      if (!first || first.next.done) return;
      await this.#send(first.next.value);
      first.next = await first.log.next();
    }
  }

  /** Reads each container that is not being read and has run since it was. */
  #follow(sources: readonly ServiceLogSource[]): void {
    const { since, tail } = this.#query;
    const isFirst = !this.#started;
    this.#started = true;
    for (const source of sources) {
      const known = this.#positions.get(source.id);
      if (this.#reading.has(source.id) || known?.startedAt === source.startedAt) continue;
      void this.#followOne(source, known?.position, isFirst ? { since, tail } : { since, tail: undefined });
    }
  }

  async #followOne(
    source: ServiceLogSource,
    from: LogPosition | undefined,
    { since, tail }: Pick<ServiceLogQuery, "since" | "tail">,
  ): Promise<void> {
    const { id, startedAt } = source;
    const isNew = afterPosition(from);
    let position = from;
    this.#reading.add(id);
    this.#positions.set(id, { startedAt, position });
    try {
      for await (const line of this.#read(source, from?.timestamp ?? since, from ? undefined : tail)) {
        if (!isNew(line.timestamp)) continue;
        position = nextPosition(position, line.timestamp);
        this.#positions.set(id, { startedAt, position });
        await this.#send(line);
      }
    } catch {
      // The reader has left.
    } finally {
      this.#reading.delete(id);
    }
  }

  /** An unreadable log gives one line that says why. */
  async *#read(source: ServiceLogSource, since: number, tail: number | undefined): AsyncIterable<Line> {
    const { id, appId, service } = source;
    const { engine, clock } = this.#parts;
    const { signal } = this.#end;
    try {
      for await (const line of engine.logs(id, since, signal, { follow: this.#query.follow, tail }))
        yield { ...line, appId, service };
    } catch (error) {
      // It is read again when the engine is back.
      this.#positions.set(id, { startedAt: 0, position: this.#positions.get(id)?.position });
      if (signal.aborted || this.#unreadable.has(id)) return;
      this.#unreadable.add(id);
      const message = `The log of ${service} cannot be read: ${messageOf(error)}`;
      await this.#send({ timestamp: clock.now(), appId, service, isStdErr: true, message });
    }
  }

  #send({ timestamp, appId, service, isStdErr, message }: Line): Promise<void> {
    return this.#writer.write(encoder.encode(`${JSON.stringify({ timestamp, appId, service, isStdErr, message })}\n`));
  }
}

const encoder = new TextEncoder();
