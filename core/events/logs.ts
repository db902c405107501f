import type { Container } from "../model/container.ts";
import type { Clock } from "../ports/clock.ts";
import type { ContainerLine, Engine } from "../ports/engine.ts";
import type { Events } from "./events.ts";

/** One line of `GET /v2/local/logs` (the specification, "Stream local mode application logs from device"). */
export type LogLine =
  | { readonly message: string; readonly isSystem: true; readonly timestamp?: number }
  | {
      readonly serviceName: string;
      readonly serviceId: number;
      readonly message: string;
      readonly isStdErr: boolean;
      readonly timestamp: number;
    };

/** A running container, and the service that its lines belong to. */
export type LogSource = Pick<Container, "id" | "service" | "serviceId">;
/** A container that has ended. It may run again. */
export type EndedSource = LogSource & Pick<Container, "startedAt">;

/** Stores log lines for the cloud, which may be unreachable now. */
export interface LogKeeper {
  /** Whether lines must be stored for a cloud. */
  wants(): boolean;
  /** The time from which a container's log must be read, and a function that stores a line. Await it: it limits the rate. */
  open(source: LogSource): {
    readonly since: number;
    readonly take: (line: ContainerLine) => Promise<void> | undefined;
  };
  system(message: string, isStdErr: boolean): void;
  /** Called with the ids of all containers that exist. Data about others can be dropped. */
  retain(ids: ReadonlySet<string>): void;
}

interface Parts {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly events: Pick<Events, "emit" | "onEvent">;
  readonly isLocalMode: () => boolean;
  /** Absent: there is no cloud. */
  readonly keeper?: LogKeeper | undefined;
}

/** The limit of concurrent readers: each holds a connection and a buffer for an unlimited time. */
export const mostReaders = 32;

/** The buffer of one reader. When it is full, lines are dropped, and a line tells the reader how many. */
const bufferBytes = 256 * 1024;

/**
 * The log lines of the agent and of the services. In local mode they go to the current readers, otherwise to the cloud;
 * readers then get no lines. Containers' logs are read only while there is a reader or a cloud. A slow reader does not
 * delay others.
 */
export class Logs {
  readonly #readers = new Set<Reader>();
  readonly #followed = new Map<string, AbortController>();
  /** By container: the timestamp of the last line that was sent to readers. */
  readonly #passedOn = new Map<string, number>();
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #events: Pick<Events, "emit">;
  readonly #isLocalMode: () => boolean;
  readonly #keeper: LogKeeper | undefined;
  #running: readonly LogSource[] = [];
  #ended: readonly EndedSource[] = [];
  /** The ended runs whose log was read completely (`runOf`). */
  readonly #readToEnd = new Set<string>();
  #readSince = 0;
  #for: "readers" | "cloud" = "readers";

  constructor({ engine, clock, events, isLocalMode, keeper }: Parts) {
    this.#engine = engine;
    this.#clock = clock;
    this.#events = events;
    events.onEvent(({ audience, level, text }) => {
      if (audience === "everyone") this.#say(text, level !== "info");
    });
    this.#isLocalMode = isLocalMode;
    this.#keeper = keeper;
  }

  /** The containers that run now, and those that have run. */
  setSources(running: readonly LogSource[], ended: readonly EndedSource[] = []): void {
    this.#running = running;
    this.#ended = ended;
    this.#keeper?.retain(new Set([...running, ...ended].map(({ id }) => id)));
    this.#follow();
  }

  /** A stream of NDJSON that begins now and ends when its reader leaves; undefined if there are `mostReaders` already. */
  stream(): ReadableStream<Uint8Array> | undefined {
    if (this.#readers.size >= mostReaders) return undefined;
    const reader = new Reader(() => {
      this.#readers.delete(reader);
      if (this.#readers.size > 0) return;
      this.#unfollow(this.#followed.keys());
      this.#passedOn.clear();
    });
    if (this.#readers.size === 0) this.#readSince = this.#clock.now();
    reader.write({ message: "Streaming logs", isSystem: true });
    this.#readers.add(reader);
    this.#follow();
    return reader.stream;
  }

  stop(): void {
    for (const reader of [...this.#readers]) reader.end();
    this.#unfollow(this.#followed.keys());
  }

  #say(message: string, isStdErr: boolean): void {
    if (this.#isLocalMode()) this.#send({ message, isSystem: true, timestamp: this.#clock.now() });
    else if (this.#keeper?.wants()) this.#keeper.system(message, isStdErr);
  }

  #send(line: LogLine): void {
    if (this.#isLocalMode()) for (const reader of this.#readers) reader.write(line);
  }

  #follow(): void {
    const localMode = this.#isLocalMode();
    if ((this.#for === "readers") !== localMode) this.#unfollow(this.#followed.keys());
    this.#for = localMode ? "readers" : "cloud";
    const sources = localMode ? (this.#readers.size > 0 ? this.#running : []) : this.#forCloud();
    const wanted = new Set(sources.map(({ id }) => id));
    // For the cloud, logs of removed containers are read to their end: the last lines may show why they ended.
    if (localMode || !this.#keeper?.wants()) this.#unfollow([...this.#followed.keys()].filter((id) => !wanted.has(id)));
    for (const source of sources)
      if (!this.#followed.has(source.id))
        void this.#followOne(source, (signal) => (localMode ? this.#read(source, signal) : this.#keep(source, signal)));
  }

  /** Includes containers that ended before a round saw them running. */
  #forCloud(): readonly LogSource[] {
    if (!this.#keeper?.wants()) return [];
    const unread = this.#ended.filter((source) => !this.#readToEnd.has(runOf(source)) || this.#followed.has(source.id));
    return [...this.#running, ...unread];
  }

  async #read({ id, service, serviceId }: LogSource, signal: AbortSignal): Promise<void> {
    // The engine's `startedAt` is not used: a container writes lines some milliseconds before that time.
    const since = Math.max(this.#readSince, (this.#passedOn.get(id) ?? 0) + 1);
    for await (const { message, isStdErr, timestamp } of this.#engine.logs(id, since, signal)) {
      this.#passedOn.set(id, timestamp);
      this.#send({ serviceName: service, serviceId, message, isStdErr, timestamp });
    }
  }

  async #keep(source: LogSource, signal: AbortSignal): Promise<void> {
    const kept = this.#keeper?.open(source);
    if (!kept) return;
    for await (const line of this.#engine.logs(source.id, kept.since, signal)) {
      const written = kept.take(line);
      if (written) await written;
    }
    const ended = this.#ended.find(({ id }) => id === source.id);
    if (signal.aborted || !ended) return;
    this.#readToEnd.add(runOf(ended));
    for (const run of this.#readToEnd) if (!this.#ended.some((one) => runOf(one) === run)) this.#readToEnd.delete(run);
  }

  async #followOne({ id, service }: LogSource, read: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const end = new AbortController();
    this.#followed.set(id, end);
    try {
      await read(end.signal);
    } catch (error) {
      if (!end.signal.aborted) this.#events.emit({ kind: "serviceLogUnreadable", service, reason: String(error) });
    } finally {
      if (this.#followed.get(id) === end) this.#followed.delete(id);
    }
  }

  #unfollow(ids: Iterable<string>): void {
    for (const id of [...ids]) {
      this.#followed.get(id)?.abort();
      this.#followed.delete(id);
    }
  }
}

/** The key of one run of a container. */
const runOf = ({ id, startedAt }: EndedSource): string => `${id} ${startedAt}`;

class Reader {
  readonly stream: ReadableStream<Uint8Array>;
  readonly #left: () => void;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #lost = 0;

  constructor(left: () => void) {
    this.#left = left;
    this.stream = new ReadableStream(
      {
        start: (controller) => void (this.#controller = controller),
        cancel: () => this.#leave(),
      },
      { highWaterMark: bufferBytes, size: (chunk) => chunk.byteLength },
    );
  }

  write(line: LogLine): void {
    if (!this.#controller) return;
    if ((this.#controller.desiredSize ?? 0) <= 0) {
      this.#lost++;
      return;
    }
    if (this.#lost > 0) {
      this.#controller.enqueue(
        encode({ message: `${this.#lost} lines were left out: they came faster than they were read`, isSystem: true }),
      );
      this.#lost = 0;
    }
    this.#controller.enqueue(encode(line));
  }

  end(): void {
    this.#controller?.close();
    this.#leave();
  }

  #leave(): void {
    this.#controller = undefined;
    this.#left();
  }
}

const encoder = new TextEncoder();
const encode = (line: LogLine): Uint8Array => encoder.encode(`${JSON.stringify(line)}\n`);
