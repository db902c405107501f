import { limits, noBytes, ProtocolError, type Bytes } from "./frame.ts";

/** The next bytes of a body, and whether they are its last. */
export interface Piece {
  readonly bytes: Bytes;
  readonly end: boolean;
}

export type Read = () => Promise<Piece>;

/** The sending half of a stream: no more leaves than the other end has given credit for. */
export class Outflow {
  #credit: number = limits.windowBytes;
  #wake: (() => void) | undefined;
  #failure: Error | undefined;

  /** Throws `ProtocolError` when that is more than has been sent. */
  grant(bytes: number): void {
    this.#credit += bytes;
    if (this.#credit > limits.windowBytes) throw new ProtocolError("Credit for more than was sent");
    this.#wake?.();
  }

  /** Whoever waits for credit waits no longer; every later `pump` fails alike. */
  fail(reason: Error): void {
    this.#failure = reason;
    this.#wake?.();
  }

  /** How many of the wanted bytes may leave now, at once: waits for the first one. Throws what `fail` was given. */
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

  /** Sends a body to its end. Throws what reading throws, and what `fail` was given. */
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
  /** So many bytes have been read. */
  readonly credit: (bytes: number) => void;
  /** The reader wants no more. */
  readonly cancel: (reason: unknown) => void;
}

/** The receiving half: holds at most a window of what nobody has read yet, and gives credit for what is read. */
export class Inflow {
  readonly stream: ReadableStream<Bytes>;
  readonly #events: InflowEvents;
  readonly #queue: Bytes[] = [];
  #controller: ReadableStreamDefaultController<Bytes> | undefined;
  #is: "open" | "ended" | "over" = "open";
  /** The reader waits for bytes. */
  #wanted = false;
  /** What the other end may still send. */
  #allowance: number = limits.windowBytes;
  /** Read, but no credit given yet. */
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
      // What is not asked for stays in our own queue, where it is counted.
      { highWaterMark: 0 },
    );
  }

  /** Throws `ProtocolError` when that is more than there was credit for. */
  push(bytes: Bytes): void {
    this.#allowance -= bytes.length;
    if (this.#allowance < 0) throw new ProtocolError("More bytes than there was credit for");
    if (this.#is !== "open" || bytes.length === 0) return;
    this.#queue.push(bytes);
    this.#deliver();
  }

  /** All has arrived. */
  end(): void {
    if (this.#is !== "open") return;
    this.#is = "ended";
    this.#deliver();
  }

  /** The rest will not come: never a clean end. */
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
      // In large steps: a frame of credit for each frame of data would double their number.
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

type Reader = ReadableStreamDefaultReader<Bytes>;

/** Reads a body as it comes. */
export const readEach =
  (reader: Reader): Read =>
  async () => {
    const { value = noBytes, done } = await reader.read();
    return { bytes: value, end: done };
  };

/**
 * Reads what is there within one tick as one piece: a log becomes a few large frames instead of one for each line, and
 * a body that is there already is one piece together with its end.
 */
export function readGathered(reader: Reader, tick: () => Promise<void>): Read {
  const late = Symbol();
  let ahead: ReturnType<Reader["read"]> | undefined;
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
      // Its failure is told by the next read.
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
