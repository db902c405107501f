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
  /** Whether the request is still allowed, which `review` checks again; absent: always. */
  readonly allowed?: () => boolean;
}

/** The result of a request. No request is sent twice. */
export type Outcome =
  /** The body is bytes if it has arrived, else a stream; on a closed socket the stream fails instead of ending. */
  | { readonly is: "answered"; readonly head: ResponseHead; readonly body: Bytes | ReadableStream<Bytes> }
  /** Not sent: the device cannot have acted. */
  | { readonly is: "busy" }
  | { readonly is: "too large"; readonly reason: string }
  /** Sent, but no answer will arrive: the device may have acted. */
  | { readonly is: "broken"; readonly reason: string }
  /** Sent, and aborted by the signal, with its reason. */
  | { readonly is: "aborted"; readonly reason: unknown };

interface Call {
  readonly allowed: () => boolean;
  readonly settle: (outcome: Outcome) => void;
  /** For the body of the request, unless it was sent with the head. */
  readonly outflow: Outflow | undefined;
  /** Set once the head of the answer has arrived. */
  inflow: Inflow | undefined;
  /** Releases the call's resources. */
  readonly release: () => void;
}

export interface RequesterOptions extends OutboxOptions {
  /**
   * Random if the socket may be older than this object: the device may still send frames for streams from before a
   * hibernation, and these must not match new streams.
   */
  readonly firstId?: number;
}

/** The cloud's end of one socket, with any number of concurrent requests up to the limit. */
export class Requester {
  readonly #calls = new Map<number, Call>();
  readonly #outbox: Outbox;
  /** The number of requests without the head of their answer. */
  #unanswered = 0;
  #id: number;

  constructor({ firstId = 1, ...options }: RequesterOptions) {
    this.#outbox = new Outbox(options);
    this.#id = firstId - 1;
  }

  /** The number of requests in progress. */
  get size(): number {
    return this.#calls.size;
  }

  /** Cancels requests on the device from before a hibernation. */
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
          // The device does not read the rest of the body.
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
      // The device may send frames for a call that has just ended here.
      const call = this.#calls.get(frame.id);
      if (call) this.#take(call, frame);
    }
  }

  /** Ends calls that are no longer allowed, open streams included. */
  review(): void {
    const reason = "whoever asked may not ask any more";
    for (const [id, { allowed }] of [...this.#calls])
      if (!allowed()) {
        this.#reset(id, reason);
        this.#fail(id, { is: "broken", reason }, reason);
      }
  }

  /** The socket is closed: every call fails. */
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
        if (!call.outflow) throw new ProtocolError(`Credit on stream ${id}, whose request is complete`);
        return call.outflow.grant(frame.bytes);
      case "reset":
        return this.#fail(id, { is: "broken", reason: frame.reason }, frame.reason);
    }
  }

  #upload(id: number, call: Call, read: Read): void {
    const send = ({ bytes, end }: Piece) => this.#send({ is: "data", id, body: bytes, end });
    call.outflow?.pump(read, send).catch((error: unknown) => {
      // If the call has ended, the upload failed because of that.
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
 * With this many unanswered requests, the next one waits a turn to share a message with others. With fewer, waiting would
 * take longer than sending a separate message: up to some milliseconds on an idle object.
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
