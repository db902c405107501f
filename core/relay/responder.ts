import type { Fetch } from "../http/fetch.ts";
import { everything, type Principal } from "../model/scope.ts";
import { Inflow, Outflow, readGathered, type Piece, type Read } from "./flow.ts";
import {
  decodeFrame,
  encodeFrame,
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

export interface ResponderOptions extends OutboxOptions {
  /** The same function that serves port 48484. */
  readonly fetch: Fetch;
}

interface Serving {
  readonly principal: Principal;
  /** This reference keeps the request: Node ends its signal when the request is garbage collected. */
  readonly request: Request;
  /** Cancels the device's work for the request. */
  readonly abort: AbortController;
  readonly outflow: Outflow;
  /** For the body of the request, unless it came with the head. */
  readonly inflow: Inflow | undefined;
}

/**
 * The device's end of one socket. The cloud has authorized the requests. They have the global scope, without secrets if the
 * request's head excludes them, and with shells if it includes them.
 */
export class Responder {
  readonly #streams = new Map<number, Serving>();
  readonly #options: ResponderOptions;
  readonly #outbox: Outbox;

  constructor(options: ResponderOptions) {
    this.#options = options;
    this.#outbox = new Outbox(options);
  }

  /** Requests in progress. */
  get size(): number {
    return this.#streams.size;
  }

  /** A message of the cloud. Throws `ProtocolError`: then `close`, and cut the socket. */
  receive(message: ArrayBuffer): void {
    for (const bytes of unbundle(message)) this.#take(decodeFrame(bytes));
  }

  /** The socket is closed, or the cloud has restarted: no answer is awaited. */
  close(reason: string): void {
    for (const id of [...this.#streams.keys()]) this.#abort(id, reason);
  }

  #take(frame: Frame): void {
    const { id } = frame;
    const serving = this.#streams.get(id);
    switch (frame.is) {
      case "request":
        if (serving) throw new ProtocolError(`A second request on stream ${id}`);
        if (this.#streams.size >= limits.streams) throw new ProtocolError(`More than ${limits.streams} streams`);
        return this.#begin(frame);
      case "response":
        throw new ProtocolError("A response, which only the device sends");
      case "data":
        // The cloud may send frames for a request that has just ended here.
        if (!serving) return;
        if (!serving.inflow) throw new ProtocolError(`Data on stream ${id} after the end of its request`);
        serving.inflow.push(frame.body);
        return frame.end ? serving.inflow.end() : undefined;
      case "credit":
        return serving?.outflow.grant(frame.bytes);
      case "reset":
        return id === 0 ? this.close(frame.reason) : this.#abort(id, frame.reason);
    }
  }

  #begin({ id, head, body, end }: Extract<Frame, { is: "request" }>): void {
    const inflow = end
      ? undefined
      : new Inflow({
          credit: (bytes) => this.#send({ is: "credit", id, bytes }),
          // The answer continues without the rest of the request; without credit the cloud stops sending it.
          cancel: () => {},
        });
    inflow?.push(body);
    const abort = new AbortController();
    const request = toRequest(head, inflow?.stream ?? body, abort.signal);
    const serving: Serving = { principal: principalOf(head), request, abort, outflow: new Outflow(), inflow };
    this.#streams.set(id, serving);
    void this.#serve(id, serving).catch((error: unknown) => {
      if (this.#streams.get(id) !== serving) return;
      const reason = `the answer broke off: ${error instanceof Error ? error.message : error}`;
      this.#send({ is: "reset", id, reason });
      this.#abort(id, reason);
    });
  }

  async #serve(id: number, serving: Serving): Promise<void> {
    const { fetch, tick } = this.#options;
    const { signal } = serving.abort;
    const response = await fetch(serving.request, serving.principal);
    if (signal.aborted) return response.body?.cancel();
    const head: ResponseHead = {
      status: response.status,
      headers: [...response.headers].filter(([name]) => !ofTheConnection.has(name)),
    };
    const sendOn = ({ bytes, end }: Piece) => {
      if (!signal.aborted) this.#send({ is: "data", id, body: bytes, end });
    };
    if (!response.body) {
      this.#send({ is: "response", id, head, body: noBytes, end: true });
      return this.#finish(id, serving);
    }

    // A body with an entity tag is complete already and is read at once.
    if (response.headers.has("etag")) {
      const body = new Uint8Array(await response.arrayBuffer());
      if (signal.aborted) return;
      if (body.length <= limits.chunkBytes) {
        this.#send({ is: "response", id, head, body, end: true });
        return this.#finish(id, serving);
      }
      this.#send({ is: "response", id, head, body: noBytes, end: false });
      await serving.outflow.pump(async () => ({ bytes: body, end: true }), sendOn);
      return this.#finish(id, serving);
    }

    const reader = response.body.getReader();
    signal.addEventListener("abort", () => void reader.cancel(signal.reason).catch(() => {}));
    const read = readGathered(reader, tick);
    const first = read();
    // The head does not wait for a silent body, such as a log. It waits two turns, since joining pieces takes one.
    const ready = await Promise.race([first, tick().then(tick)]);
    if (signal.aborted) return;
    if (ready?.end && ready.bytes.length <= limits.chunkBytes) {
      this.#send({ is: "response", id, head, body: ready.bytes, end: true });
      return this.#finish(id, serving);
    }
    this.#send({ is: "response", id, head, body: noBytes, end: false });
    await serving.outflow.pump(resumed(first, read), sendOn);
    this.#finish(id, serving);
  }

  #finish(id: number, { inflow }: Serving): void {
    this.#streams.delete(id);
    inflow?.fail(new Error("The request was answered without the rest of its body"));
  }

  #abort(id: number, reason: string): void {
    const serving = this.#streams.get(id);
    if (!serving) return;
    this.#streams.delete(id);
    const error = new Error(reason);
    serving.inflow?.fail(error);
    serving.outflow.fail(error);
    serving.abort.abort(error);
  }

  #send(frame: Frame): void {
    this.#outbox.push(encodeFrame(frame));
  }
}

const principalOf = ({ hideSecrets, shell }: RequestHead): Principal => ({
  scope: { ...everything, secrets: hideSecrets ? "none" : "all", shell: shell !== undefined },
  ...(shell !== undefined && { name: shell }),
});

/** Headers that belong to the connection, not to the message. */
const ofTheConnection = new Set([
  "connection",
  "content-length",
  "keep-alive",
  "proxy-authenticate",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

function toRequest(
  { method, path, headers }: Extract<Frame, { is: "request" }>["head"],
  body: Bytes | ReadableStream<Bytes>,
  signal: AbortSignal,
): Request {
  const bodiless = method === "GET" || method === "HEAD" || (body instanceof Uint8Array && body.length === 0);
  // Node requires `duplex` with a stream.
  const init = { method, headers, signal, duplex: "half" as const };
  return new Request(`http://device${path}`, bodiless ? init : { ...init, body });
}

function resumed(first: Promise<Piece>, read: Read): Read {
  let started = false;
  return () => {
    if (started) return read();
    started = true;
    return first;
  };
}
