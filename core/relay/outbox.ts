import { bundle, limits, type Bytes } from "./frame.ts";

export interface OutboxOptions {
  readonly send: (message: Bytes) => void;
  /** Resolves when everything that is ready by now has had its turn. */
  readonly tick: () => Promise<void>;
}

/** Frames on their way to a socket: what is ready within one turn leaves as one message, in order. */
export class Outbox {
  readonly #options: OutboxOptions;
  readonly #waiting: Bytes[] = [];
  #waitingBytes = 0;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** `now`: it waits for no others, but goes with those that wait. */
  push(frame: Bytes, { now = false } = {}): void {
    this.#waitingBytes += frame.length;
    const { length } = this.#waiting;
    this.#waiting.push(frame);
    if (now || this.#waitingBytes >= limits.chunkBytes) this.#flush();
    else if (length === 0) void this.#options.tick().then(() => this.#flush());
  }

  #flush(): void {
    const frames = this.#waiting.splice(0);
    this.#waitingBytes = 0;
    if (frames.length > 0) this.#options.send(bundle(frames));
  }
}
