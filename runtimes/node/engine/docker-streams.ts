import { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import type { ContainerLine } from "../../../core/ports/engine.ts";

export { Readable };

type Bytes = AsyncIterable<Buffer | string>;

/** Longer lines are returned in pieces. */
const longestLine = 64 * 1024;

/** Parses a stream with one JSON value on each line. */
export async function* jsonLines(stream: Bytes): AsyncIterable<unknown> {
  for await (const line of textLines(stream)) if (line.trim() !== "") yield JSON.parse(line);
}

async function* textLines(stream: Bytes): AsyncIterable<string> {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.write(Buffer.from(chunk))).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  yield rest + decoder.end();
}

/**
 * Parses the engine's log stream with timestamps. Without a terminal, each piece has a header of eight bytes: the stream
 * (2 is stderr), three zero bytes, and the length. Source: Engine API, "Attach to a container".
 */
export async function* logLines(stream: Bytes, tty: boolean): AsyncIterable<ContainerLine> {
  const [stdout, stderr] = [new LineReader(false), new LineReader(true)];
  if (tty) for await (const chunk of stream) yield* stdout.take(Buffer.from(chunk));
  else
    for await (const { isStdErr, bytes } of frames(stream)) {
      const reader = isStdErr ? stderr : stdout;
      // The engine splits a long line into pieces, and each piece begins with the time.
      yield* reader.take(reader.isWithinLine ? bytes.subarray(bytes.indexOf(" ") + 1) : bytes);
    }
  yield* stdout.end();
  yield* stderr.end();
}

interface Frame {
  readonly isStdErr: boolean;
  readonly bytes: Buffer;
}

export async function* frames(stream: Bytes): AsyncIterable<Frame> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, Buffer.from(chunk)]);
    while (rest.length >= 8) {
      const end = 8 + rest.readUInt32BE(4);
      if (rest.length < end) break;
      yield { isStdErr: rest[0] === 2, bytes: rest.subarray(8, end) };
      rest = rest.subarray(end);
    }
  }
}

/** Splits one stream of a container into lines. Each line is a time, a space and a message. */
class LineReader {
  readonly #isStdErr: boolean;
  readonly #decoder = new StringDecoder("utf8");
  /** The received part of the current line, without the pieces already returned. */
  #text = "";
  /** The current line's time. Set once a piece of the line was returned. */
  #timestamp: number | undefined;

  constructor(isStdErr: boolean) {
    this.#isStdErr = isStdErr;
  }

  get isWithinLine(): boolean {
    return this.#text !== "" || this.#timestamp !== undefined;
  }

  *take(bytes: Buffer): Iterable<ContainerLine> {
    const lines = (this.#text + this.#decoder.write(bytes)).split("\n");
    this.#text = lines.pop() ?? "";
    for (const line of lines) {
      yield* this.#piece(line);
      this.#timestamp = undefined;
    }
    if (this.#text.length > longestLine) yield* this.#passOn();
  }

  /** Returns the last line if it has no line break. */
  *end(): Iterable<ContainerLine> {
    if (this.#text !== "") yield* this.#passOn();
  }

  *#passOn(): Iterable<ContainerLine> {
    const text = this.#text;
    this.#text = "";
    yield* this.#piece(text);
  }

  *#piece(text: string): Iterable<ContainerLine> {
    // A terminal ends its lines with \r\n.
    const message = text.replace(/\r$/, "");
    if (this.#timestamp !== undefined) {
      if (message !== "") yield { message, isStdErr: this.#isStdErr, timestamp: this.#timestamp };
      return;
    }
    const space = message.indexOf(" ");
    this.#timestamp = Date.parse(message.slice(0, space)) || 0;
    yield { message: message.slice(space + 1), isStdErr: this.#isStdErr, timestamp: this.#timestamp };
  }
}
