import type { Clock } from "../ports/clock.ts";

/** Bytes that wait for a reader. When they are that many, nothing is added. */
const bufferBytes = 64 * 1024;

const heartbeatMs = 15_000;

/** A reader that has taken nothing for so many heartbeats is disconnected. */
const longestSilence = 20;

interface PacedStreamOptions {
  readonly clock: Pick<Clock, "sleep">;
  /** What is sent when nothing else was; the format must allow it anywhere. */
  readonly heartbeat: string;
  /** Called when there is room. */
  readonly pull: () => void;
  readonly closed: () => void;
}

/** A response that is written at the pace of its reader: what there is no room for, the writer keeps or leaves out. */
export class PacedStream {
  readonly stream: ReadableStream<Uint8Array>;
  /** Aborted at the end. */
  readonly signal: AbortSignal;
  readonly #options: PacedStreamOptions;
  readonly #end = new AbortController();
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #isQuiet = false;

  constructor(options: PacedStreamOptions) {
    this.#options = options;
    this.signal = this.#end.signal;
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => void (this.#controller = controller),
        pull: () => options.pull(),
        cancel: () => this.#leave(),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: bufferBytes }),
    );
    void this.#keepBeating();
  }

  get hasRoom(): boolean {
    return (this.#controller?.desiredSize ?? 0) > 0;
  }

  send(text: string): void {
    this.#isQuiet = false;
    this.#controller?.enqueue(encoder.encode(text));
  }

  /** Sends the heartbeat. The reader may have left unnoticed: a relay notices it when it passes something on. */
  beat(): void {
    if (this.hasRoom) this.send(this.#options.heartbeat);
  }

  close(): void {
    const controller = this.#controller;
    this.#leave();
    controller?.close();
  }

  async #keepBeating(): Promise<void> {
    let silence = 0;
    for (;;) {
      this.#isQuiet = true;
      await this.#options.clock.sleep(heartbeatMs, this.signal);
      if (this.signal.aborted) return;
      silence = this.hasRoom ? 0 : silence + 1;
      if (silence >= longestSilence) return this.close();
      if (this.#isQuiet) this.beat();
    }
  }

  #leave(): void {
    if (this.signal.aborted) return;
    this.#controller = undefined;
    this.#end.abort();
    this.#options.closed();
  }
}

const encoder = new TextEncoder();
