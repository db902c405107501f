import { limits, noBytes, ProtocolError, type Bytes } from "./frame.ts";

/** The next bytes of a body, and whether they are its last. */
export interface Piece {
  readonly bytes: Bytes;
  readonly end: boolean;
}

export type Read = () => Promise<Piece>;

/** The sending half of a stream: sends no more bytes than the receiver has granted credit for. */
export class Outflow {
  #credit: number = limits.windowBytes;
  #wake: (() => void) | undefined;
  #failure: Error | undefined;

  /** Throws `ProtocolError` for more credit than was used. */
  grant(bytes: number): void {
    this.#credit += bytes;
    if (this.#credit > limits.windowBytes) throw new ProtocolError("Credit for more than was sent");
    this.#wake?.();
  }

  /** Waiting and later calls of `pump` fail with this error. */
  fail(reason: Error): void {
    this.#failure = reason;
    this.#wake?.();
  }

  /** How many of the wanted bytes may be sent now; waits for at least one. Throws the error of `fail`. */
  async take(wanted: number): Promise<number> {
    while (this.#credit === 0 && !this.#failure)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    if (this.#failure) throw this.#failure;
    const taken = Math.min(wanted, this.#credit, limits.chunkBytes);
    this.#credit -= taken;
    return taken;
  }

  /** Sends a body to its end. Throws errors of reading, and the error of `fail`. */
  async pump(read: Read, send: (piece: Piece) => void): Promise<void> {
    for (;;) {
      const { bytes, end } = await read();
      let sent = 0;
      while (sent < bytes.length) {
        const taken = await this.take(bytes.length - sent);
        const part = bytes.subarray(sent, sent + taken);
        sent += taken;
        send({ bytes: part, end: end && sent === bytes.length });
      }
      if (this.#failure) throw this.#failure;
      if (end && bytes.length === 0) send({ bytes: noBytes, end });
      if (end) return;
    }
  }
}

export interface InflowEvents {
  /** Grants credit for bytes that were read. */
  readonly credit: (bytes: number) => void;
  /** The reader has cancelled. */
  readonly cancel: (reason: unknown) => void;
}

/** The receiving half: buffers at most a window of unread bytes, and grants credit for bytes that are read. */
export class Inflow {
  readonly stream: ReadableStream<Bytes>;
  readonly #events: InflowEvents;
  readonly #queue: Bytes[] = [];
  #controller: ReadableStreamDefaultController<Bytes> | undefined;
  #is: "open" | "ended" | "over" = "open";
  /** The reader is waiting. */
  #wanted = false;
  /** Bytes that the sender may still send. */
  #allowance: number = limits.windowBytes;
  /** Bytes that are read, but not yet granted again. */
  #owed = 0;

  constructor(events: InflowEvents) {
    this.#events = events;
    this.stream = new ReadableStream<Bytes>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => {
          this.#wanted = true;
          this.#deliver();
        },
        cancel: (reason) => {
          this.#is = "over";
          this.#queue.length = 0;
          events.cancel(reason);
        },
      },
      // Unread bytes stay in `#queue`, where they are counted.
      { highWaterMark: 0 },
    );
  }

  /** Throws `ProtocolError` for more bytes than there was credit for. */
  push(bytes: Bytes): void {
    this.#allowance -= bytes.length;
    if (this.#allowance < 0) throw new ProtocolError("More bytes than the credit allows");
    if (this.#is !== "open" || bytes.length === 0) return;
    this.#queue.push(bytes);
    this.#deliver();
  }

  /** The body is complete. */
  end(): void {
    if (this.#is !== "open") return;
    this.#is = "ended";
    this.#deliver();
  }

  /** The rest will not arrive: the stream fails instead of ending. */
  fail(reason: Error): void {
    if (this.#is === "over") return;
    this.#is = "over";
    this.#queue.length = 0;
    this.#controller?.error(reason);
  }

  #deliver(): void {
    const next = this.#wanted ? this.#queue.shift() : undefined;
    if (next) {
      this.#wanted = false;
      this.#controller?.enqueue(next);
      this.#owed += next.length;
      // In large steps: a credit frame for each data frame would double the number of frames.
      if (this.#owed >= limits.windowBytes / 4 && this.#is === "open") {
        this.#allowance += this.#owed;
        this.#events.credit(this.#owed);
        this.#owed = 0;
      }
    }
    if (this.#is === "ended" && this.#queue.length === 0) {
      this.#is = "over";
      this.#controller?.close();
    }
  }
}

type BodyReader = ReadableStreamDefaultReader<Bytes>;

/** Reads a body as it arrives. */
export const readEach =
  (reader: BodyReader): Read =>
  async () => {
    const { value = noBytes, done } = await reader.read();
    return { bytes: value, end: done };
  };

/**
 * Joins pieces that arrive within one tick. A log becomes a few large frames instead of one for each line. A complete body
 * becomes one piece that includes its end.
 */
export function readGathered(reader: BodyReader, tick: () => Promise<void>): Read {
  const late = Symbol();
  let ahead: ReturnType<BodyReader["read"]> | undefined;
  return async () => {
    const parts: Bytes[] = [];
    let size = 0;
    const first = await (ahead ?? reader.read());
    ahead = undefined;
    if (first.done) return { bytes: noBytes, end: true };
    parts.push(first.value);
    size += first.value.length;
    while (size < limits.chunkBytes) {
      ahead = reader.read();
      // The next read throws its error.
      ahead.catch(() => {});
      const next = await Promise.race([ahead, tick().then(() => late)]);
      if (typeof next === "symbol") break;
      ahead = undefined;
      if (next.done) return { bytes: joined(parts, size), end: true };
      parts.push(next.value);
      size += next.value.length;
    }
    return { bytes: joined(parts, size), end: false };
  };
}

export function joined(parts: readonly Bytes[], size: number): Bytes {
  if (parts.length === 1 && parts[0]) return parts[0];
  const all = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
