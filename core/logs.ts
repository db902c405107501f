import type { Container } from "./model/container.ts";
import type { Clock } from "./ports/clock.ts";
import type { Engine } from "./ports/engine.ts";
import type { Log } from "./ports/log.ts";

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

interface Parts {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly log: Log;
  readonly isLocalMode: () => boolean;
}

/** A reader that does not keep up loses lines beyond this many bytes, and is told so. */
const bufferBytes = 256 * 1024;

/**
 * What the agent does and what the services write, for any number of readers. Containers are followed only while
 * somebody reads; a slow reader costs the others nothing. Outside local mode readers wait in silence: then the logs are
 * the cloud's.
 */
export class Logs {
  readonly #readers = new Set<Reader>();
  readonly #followed = new Map<string, AbortController>();
  /** By container: up to when its lines have been passed on. */
  readonly #passedOn = new Map<string, number>();
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #isLocalMode: () => boolean;
  #sources: readonly LogSource[] = [];
  #readSince = 0;

  constructor({ engine, clock, log, isLocalMode }: Parts) {
    this.#engine = engine;
    this.#clock = clock;
    this.#log = log;
    this.#isLocalMode = isLocalMode;
  }

  /** Something that the agent does: for the readers, and for the machine's log. */
  system(message: string): void {
    this.#log.info(message);
    this.#send({ message, isSystem: true, timestamp: this.#clock.now() });
  }

  /** Something that people should look at, likewise. */
  warning(message: string): void {
    this.#log.warn(message);
    this.#send({ message, isSystem: true, timestamp: this.#clock.now() });
  }

  /** The containers that run now. */
  setSources(sources: readonly LogSource[]): void {
    this.#sources = sources;
    if (this.#readers.size > 0) this.#follow();
  }

  /** A stream of NDJSON that begins now and ends when its reader leaves. */
  stream(): ReadableStream<Uint8Array> {
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
  }

  #send(line: LogLine): void {
    if (this.#isLocalMode()) for (const reader of this.#readers) reader.write(line);
  }

  #follow(): void {
    const sources = this.#isLocalMode() ? this.#sources : [];
    const running = new Set(sources.map(({ id }) => id));
    this.#unfollow([...this.#followed.keys()].filter((id) => !running.has(id)));
    for (const source of sources) if (!this.#followed.has(source.id)) void this.#followOne(source);
  }

  async #followOne({ id, service, serviceId }: LogSource): Promise<void> {
    const end = new AbortController();
    this.#followed.set(id, end);
    try {
      // Not from its start: a container writes some milliseconds before the engine says that it has started.
      const since = Math.max(this.#readSince, (this.#passedOn.get(id) ?? 0) + 1);
      for await (const { message, isStdErr, timestamp } of this.#engine.logs(id, since, end.signal)) {
        this.#passedOn.set(id, timestamp);
        this.#send({ serviceName: service, serviceId, message, isStdErr, timestamp });
      }
    } catch (error) {
      if (!end.signal.aborted) this.#log.warn(`The log of ${service} cannot be followed: ${String(error)}`);
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
