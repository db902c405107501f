import { StringDecoder } from "node:string_decoder";
import type { ContainerLine } from "../../core/ports/engine.ts";

type Bytes = AsyncIterable<Buffer | string>;

/** Longer lines are passed on in pieces. */
const longestLine = 64 * 1024;

/** The values of a stream of JSON, one on each line. */
export async function* jsonLines(stream: Bytes): AsyncIterable<unknown> {
  const splitter = new LineSplitter();
  for await (const chunk of stream)
    for (const line of splitter.take(Buffer.from(chunk))) if (line.trim() !== "") yield JSON.parse(line);
}

/**
 * The engine's log stream with timestamps → lines. Without a terminal, the engine writes each piece with a header of
 * eight bytes: the stream (2 is stderr), three zeros, the length. Source: Engine API, "Attach to a container".
 */
export async function* logLines(stream: Bytes, tty: boolean): AsyncIterable<ContainerLine> {
  const splitters = [new LineSplitter(), new LineSplitter()] as const;
  for await (const { isStdErr, bytes } of tty ? plainPieces(stream) : framedPieces(stream))
    for (const line of splitters[isStdErr ? 1 : 0].take(bytes)) yield toLine(line, isStdErr);
}

const toLine = (text: string, isStdErr: boolean): ContainerLine => {
  const space = text.indexOf(" ");
  // A terminal ends its lines with \r\n.
  return {
    message: text.slice(space + 1).replace(/\r$/, ""),
    isStdErr,
    timestamp: Date.parse(text.slice(0, space)) || 0,
  };
};

interface Piece {
  readonly isStdErr: boolean;
  readonly bytes: Buffer;
}

async function* plainPieces(stream: Bytes): AsyncIterable<Piece> {
  for await (const chunk of stream) yield { isStdErr: false, bytes: Buffer.from(chunk) };
}

async function* framedPieces(stream: Bytes): AsyncIterable<Piece> {
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

class LineSplitter {
  readonly #decoder = new StringDecoder("utf8");
  #rest = "";

  take(bytes: Buffer): string[] {
    const lines = (this.#rest + this.#decoder.write(bytes)).split("\n");
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length <= longestLine) return lines;
    lines.push(this.#rest);
    this.#rest = "";
    return lines;
  }
}
