import { Inflow, Outflow, readEach, type Piece, type Read } from "./flow.ts";
import {
  decodeFrame,
  encodeFrame,
  HeadTooLarge,
  limits,
  noBytes,
  ProtocolError,
  unbundle,
  type Bytes,
  type Frame,
  type RequestHead,
  type ResponseHead,
} from "./frame.ts";
import { Outbox, type OutboxOptions } from "./outbox.ts";

/** A request for the device. */
export interface Outgoing {
  readonly head: RequestHead;
  readonly body: Bytes | ReadableStream<Bytes>;
  /** Whether whoever asks still may, which `review` looks at again; absent: always. */
  readonly allowed?: () => boolean;
}

/** What became of a request. Nothing is ever sent twice. */
export type Outcome =
  /** A body that came whole is bytes, one that still comes a stream; a cut socket is an error on it, never a clean end. */
  | { readonly is: "answered"; readonly head: ResponseHead; readonly body: Bytes | ReadableStream<Bytes> }
  /** Nothing was sent, so the device cannot have acted. */
  | { readonly is: "busy" }
  | { readonly is: "too large"; readonly reason: string }
  /** Sent, and no answer will come: whether the device acted is not known. */
  | { readonly is: "broken"; readonly reason: string }
  /** By the signal, whose reason this is. Sent, too. */
  | { readonly is: "aborted"; readonly reason: unknown };

interface Call {
  readonly allowed: () => boolean;
  readonly settle: (outcome: Outcome) => void;
  /** Of the body of the request, unless that left whole. */
  readonly outflow: Outflow | undefined;
  /** Once the head of the answer is here. */
  inflow: Inflow | undefined;
  /** Gives back what the call holds. */
  readonly release: () => void;
}

export interface RequesterOptions extends OutboxOptions {
  /**
   * A random one where the socket may be older than this object: after a hibernation, what the device still says about
   * streams of the life before must fit none of ours.
   */
  readonly firstId?: number;
}

/** The cloud's end of one socket: any number of requests at a time, up to the limit. */
export class Requester {
  readonly #calls = new Map<number, Call>();
  readonly #outbox: Outbox;
  /** How many requests wait for the head of their answer. */
  #unanswered = 0;
  #id: number;

  constructor({ firstId = 1, ...options }: RequesterOptions) {
    this.#outbox = new Outbox(options);
    this.#id = firstId - 1;
  }

  /** How many requests are under way. */
  get size(): number {
    return this.#calls.size;
  }

  /** Tells the device to give up whatever it still does for the life before. */
  forgetOthers(): void {
    this.#reset(0, "the cloud's end has begun anew");
  }

  call({ head, body, allowed = () => true }: Outgoing, signal?: AbortSignal): Promise<Outcome> {
    if (signal?.aborted) return Promise.resolve({ is: "aborted", reason: signal.reason });
    if (this.#calls.size >= limits.streams) return Promise.resolve({ is: "busy" });
    this.#id = this.#id >= 0xffffffff ? 1 : this.#id + 1;
    const id = this.#id;
    const whole = body instanceof Uint8Array && body.length <= limits.chunkBytes ? body : undefined;
    let frame: Bytes;
    try {
      frame = encodeFrame({ is: "request", id, head, body: whole ?? noBytes, end: whole !== undefined });
    } catch (error) {
      if (error instanceof HeadTooLarge) return Promise.resolve({ is: "too large", reason: error.message });
      throw error;
    }

    return new Promise((settle) => {
      const rest = whole ? undefined : body instanceof Uint8Array ? once(body) : streamed(body);
      const abort = () => {
        this.#reset(id, "the caller has gone");
        this.#fail(id, { is: "aborted", reason: signal?.reason }, "the caller has gone");
      };
      const call: Call = {
        allowed,
        settle,
        outflow: rest && new Outflow(),
        inflow: undefined,
        release: () => {
          this.#calls.delete(id);
          if (!call.inflow) this.#unanswered--;
          signal?.removeEventListener("abort", abort);
          // What the device has not taken by now, it does not want.
          rest?.cancel();
        },
      };
      signal?.addEventListener("abort", abort);
      this.#calls.set(id, call);
      this.#unanswered++;
      this.#outbox.push(frame, { now: this.#unanswered < busy });
      if (rest) this.#upload(id, call, rest.read);
    });
  }

  /** A message of the device. Throws `ProtocolError`: then `close`, and cut the socket. */
  receive(message: ArrayBuffer): void {
    for (const bytes of unbundle(message)) {
      const frame = decodeFrame(bytes);
      if (frame.is === "request") throw new ProtocolError("A request, which only the cloud sends");
      // Late words about a call that has ended here are no fault of the device.
      const call = this.#calls.get(frame.id);
      if (call) this.#take(call, frame);
    }
  }

  /** Ends the calls of those who may call no more, however long their answers would go on. */
  review(): void {
    const reason = "whoever asked may not ask any more";
    for (const [id, { allowed }] of [...this.#calls])
      if (!allowed()) {
        this.#reset(id, reason);
        this.#fail(id, { is: "broken", reason }, reason);
      }
  }

  /** The socket is gone: every call fails. */
  close(reason: string): void {
    for (const id of [...this.#calls.keys()]) this.#fail(id, { is: "broken", reason }, reason);
  }

  #take(call: Call, frame: Exclude<Frame, { is: "request" }>): void {
    const { id } = frame;
    switch (frame.is) {
      case "response": {
        if (call.inflow) throw new ProtocolError(`A second response on stream ${id}`);
        const { head } = frame;
        if (frame.end) {
          call.release();
          call.outflow?.fail(new Error(answered));
          return call.settle({ is: "answered", head, body: frame.body });
        }
        const inflow = new Inflow({
          credit: (bytes) => this.#send({ is: "credit", id, bytes }),
          cancel: () => {
            if (!this.#calls.has(id)) return;
            this.#reset(id, "the reader has gone");
            this.#fail(id, { is: "aborted", reason: "the reader has gone" }, "the reader has gone");
          },
        });
        call.inflow = inflow;
        this.#unanswered--;
        inflow.push(frame.body);
        return call.settle({ is: "answered", head, body: inflow.stream });
      }
      case "data":
        if (!call.inflow) throw new ProtocolError(`Data before a response on stream ${id}`);
        call.inflow.push(frame.body);
        if (!frame.end) return;
        call.inflow.end();
        call.outflow?.fail(new Error(answered));
        return call.release();
      case "credit":
        if (!call.outflow) throw new ProtocolError(`Credit on stream ${id}, whose request has left whole`);
        return call.outflow.grant(frame.bytes);
      case "reset":
        return this.#fail(id, { is: "broken", reason: frame.reason }, frame.reason);
    }
  }

  #upload(id: number, call: Call, read: Read): void {
    const send = ({ bytes, end }: Piece) => this.#send({ is: "data", id, body: bytes, end });
    call.outflow?.pump(read, send).catch((error: unknown) => {
      // Has it ended otherwise, then that is why the upload failed.
      if (this.#calls.get(id) !== call) return;
      const reason = `the request broke off: ${error instanceof Error ? error.message : String(error)}`;
      this.#reset(id, reason);
      this.#fail(id, { is: "broken", reason }, reason);
    });
  }

  #fail(id: number, outcome: Outcome, reason: string): void {
    const call = this.#calls.get(id);
    if (!call) return;
    call.release();
    call.outflow?.fail(new Error(reason));
    call.inflow?.fail(new Error(reason));
    call.settle(outcome);
  }

  #send(frame: Frame): void {
    this.#outbox.push(encodeFrame(frame), { now: true });
  }

  #reset(id: number, reason: string): void {
    this.#send({ is: "reset", id, reason });
  }
}

/**
 * With so many requests unanswered, the next waits a turn for others to share its message. With fewer, the turn would
 * take longer than the message: up to some milliseconds where nothing else goes on.
 */
const busy = 8;

const answered = "The device has answered without the rest of the request";

interface Source {
  readonly read: Read;
  readonly cancel: () => void;
}

const once = (bytes: Bytes): Source => ({ read: async () => ({ bytes, end: true }), cancel: () => {} });

function streamed(body: ReadableStream<Bytes>): Source {
  const reader = body.getReader();
  return { read: readEach(reader), cancel: () => void reader.cancel().catch(() => {}) };
}
