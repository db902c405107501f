import { bundle, limits, type Bytes } from "./frame.ts";

export interface OutboxOptions {
  readonly send: (message: Bytes) => void;
  /** Resolves after everything that is ready now has run. */
  readonly tick: () => Promise<void>;
}

/** Sends frames in order; those that are ready within one turn share a message. */
export class Outbox {
  readonly #options: OutboxOptions;
  readonly #waiting: Bytes[] = [];
  #waitingBytes = 0;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** `now`: sends at once, together with waiting frames. */
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
