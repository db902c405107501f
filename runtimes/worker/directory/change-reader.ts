import type { Grant } from "../auth/grant.ts";
import { lostChange, type ChangeFilter, type Changes } from "./changes.ts";

const aheadBytes = 64 * 1024;
const readAtOnce = 100;
const gatherMs = 1000;
const heartbeatMs = 58_000;
/** A reader prevents hibernation, and that is billed. */
const longestMs = 60 * 60 * 1000;

interface ReaderOptions {
  readonly changes: Changes;
  readonly filter: ChangeFilter & { readonly grant: Grant };
  readonly after: number;
  /** Whether the reader's token may still read. */
  readonly isValid: () => boolean;
  readonly closed: () => void;
}

/** A response that follows the changes at the pace of its client. */
export class ChangeReader {
  readonly stream: ReadableStream<Uint8Array>;
  readonly #options: ReaderOptions;
  readonly #leave: () => void;
  readonly #heartbeat: ReturnType<typeof setInterval>;
  readonly #end: ReturnType<typeof setTimeout>;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #gathering: ReturnType<typeof setTimeout> | undefined;
  #after: number;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#after = options.after;
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => void (this.#controller = controller),
        pull: () => this.#send(),
        cancel: () => this.#stop(),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: aheadBytes }),
    );
    this.#leave = options.changes.subscribe(() => {
      this.#gathering ??= setTimeout(() => {
        this.#gathering = undefined;
        this.#send();
      }, gatherMs);
    });
    this.#heartbeat = setInterval(() => this.sendHeartbeat(), heartbeatMs);
    this.#end = setTimeout(() => this.close(), longestMs);
    // The client sees that the stream is open.
    this.#write("\n");
  }

  /** A client that has left is noticed when something is sent. */
  sendHeartbeat(): void {
    if (!this.#options.isValid()) this.close();
    else if (this.#hasRoom()) this.#write("\n");
  }

  close(): void {
    const controller = this.#controller;
    this.#stop();
    controller?.close();
  }

  #send(): void {
    const { changes, filter, isValid } = this.#options;
    if (!isValid()) return this.close();
    while (this.#hasRoom()) {
      const oldest = changes.oldestAfter(this.#after);
      if (oldest !== undefined && oldest > this.#after + 1) {
        this.#write(`${JSON.stringify(lostChange(this.#after, oldest, Date.now()))}\n`);
        this.#after = oldest - 1;
      }
      const last = changes.last();
      const found = changes.next(this.#after, filter, readAtOnce);
      // What the reader may not see is passed over.
      this.#after = found.length < readAtOnce ? Math.max(this.#after, last) : (found.at(-1)?.id ?? last);
      if (found.length === 0) return;
      this.#write(found.map((change) => `${JSON.stringify(change)}\n`).join(""));
    }
  }

  #hasRoom(): boolean {
    return (this.#controller?.desiredSize ?? 0) > 0;
  }

  #write(text: string): void {
    this.#controller?.enqueue(new TextEncoder().encode(text));
  }

  #stop(): void {
    this.#controller = undefined;
    this.#leave();
    clearInterval(this.#heartbeat);
    clearTimeout(this.#end);
    if (this.#gathering !== undefined) clearTimeout(this.#gathering);
    this.#options.closed();
  }
}
