import { cloudLine, withArrival } from "../../../core/fleet/log-lines.ts";
import type { Grant } from "../auth/grant.ts";
import type { Arrival, CountedArrival, Position } from "./log-store.ts";

/** What waits for a reader at most, beside the row that exceeds it; then the next row is read from the log. */
const aheadBytes = 64 * 1024;
const heartbeatMs = 58_000;
/** A reader prevents hibernation, and that is billed. */
const longestFollowMs = 60 * 60 * 1000;
const longestReadMs = 5 * 60 * 1000;

interface ReaderOptions {
  readonly grant: Grant;
  /** Whether new lines are sent as they arrive. */
  readonly follows: boolean;
  readonly from: Position;
  /** The next row after a row. */
  readonly next: (after: number) => Arrival | undefined;
  readonly closed: () => void;
}

/**
 * A response that reads the log row by row, at the pace of its client. A follower receives NDJSON lines as they arrive, an
 * empty line now and then, and the end after an hour; others receive the existing lines as one JSON list.
 */
export class LogReader {
  readonly stream: ReadableStream<Uint8Array>;
  readonly grant: Grant;
  readonly follows: boolean;
  readonly #options: ReaderOptions;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #after: number;
  #skip: number;
  /** Lines that were deleted before they were read. */
  #missed = 0;
  #isFirst = true;
  #heartbeat: ReturnType<typeof setInterval> | null = null;
  readonly #end: ReturnType<typeof setTimeout>;

  constructor(options: ReaderOptions) {
    const { grant, follows, from } = options;
    this.grant = grant;
    this.follows = follows;
    this.#options = options;
    [this.#after, this.#skip] = [from.after, from.skip];
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.pull(),
        cancel: () => this.#stop(),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: aheadBytes }),
    );
    this.#end = setTimeout(() => this.close(), follows ? longestFollowMs : longestReadMs);
    if (!follows) return;
    // The first one is sent at once, so that the client sees that the stream is open.
    this.#send("\n");
    this.#heartbeat = setInterval(() => this.sendHeartbeat(), heartbeatMs);
  }

  /** White space, which is allowed between the lines of both formats. */
  sendHeartbeat(): void {
    if (this.#hasRoom()) this.#send("\n");
  }

  /** Sends the next row, if there is one and room for it. */
  pull(): void {
    if (!this.#hasRoom()) return;
    const { next, from } = this.#options;
    const row = this.follows || this.#after < from.last ? next(this.#after) : undefined;
    if (row && (this.follows || row.id <= from.last)) {
      this.#after = row.id;
      const lines = row.lines.split("\n").slice(this.#skip);
      this.#skip = 0;
      this.#sendLines(lines.map((line) => withArrival(line, row.at)));
    } else if (!this.follows) {
      if (this.#missed > 0) this.#sendLines([]);
      this.#send(this.#isFirst ? "[]" : "]");
      this.close();
    }
  }

  /** A row was deleted, which may not have been read. */
  deleted({ id, count }: CountedArrival): void {
    const { last } = this.#options.from;
    if (id <= this.#after || (!this.follows && id > last)) return;
    this.#after = id;
    this.#missed += count - this.#skip;
    this.#skip = 0;
  }

  close(): void {
    const controller = this.#controller;
    this.#stop();
    controller?.close();
  }

  #sendLines(lines: readonly string[]): void {
    const now = Date.now();
    const warning =
      this.#missed > 0
        ? [withArrival(cloudLine(`Warning: ${this.#missed} lines were too many to follow`, now), now)]
        : [];
    this.#missed = 0;
    const all = [...warning, ...lines];
    const before = this.#isFirst ? "[" : ",";
    this.#isFirst = false;
    this.#send(this.follows ? all.map((line) => `${line}\n`).join("") : before + all.join(","));
  }

  #hasRoom(): boolean {
    return (this.#controller?.desiredSize ?? 0) > 0;
  }

  #send(text: string): void {
    this.#controller?.enqueue(new TextEncoder().encode(text));
  }

  #stop(): void {
    this.#controller = undefined;
    clearInterval(this.#heartbeat);
    clearTimeout(this.#end);
    this.#options.closed();
  }
}
