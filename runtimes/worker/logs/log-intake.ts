import { batchLines } from "../../../core/api/cloud/logs.ts";
import { parseLine, toLine, type ParsedLine } from "../../../core/fleet/log-lines.ts";
import { readBody } from "../../../core/http/body.ts";
import { messageOf } from "../../../core/model/show.ts";

/** Lines that arrive within this time are written together, up to this size. */
const lingerMs = 500;
const writtenBytes = 512 * 1024;
/** A longer line is rejected. */
const longestLine = 1024 * 1024;

/** Recorded: the number of batches that are accepted in this time. */
const batches = { most: 14, withinMs: 10_000 };

/** Of a batch, once it is unpacked. */
const batchBytes = 1024 * 1024;
/** Unpacked bytes that a device may send within a time: more than an agent sends (512 KB a second), and than a log holds. */
const intake = { mostBytes: 8 * 1024 * 1024, withinMs: 10_000 };
/** A device that has lost its connection opens a new stream while the old one is still open here. */
const mostStreams = 8;

/** Errors of the log's endpoints: a sentence as a JSON string, as the public cloud answers. */
export const refuse = (status: number, message: string): Response =>
  Response.json(message, { status, ...(status === 429 && { headers: { "retry-after": "10" } }) });

interface LogIntakeOptions {
  /** Stores lines, without those that `last` has already. */
  readonly store: (lines: readonly ParsedLine[], last: readonly string[]) => void;
  /** The lines that were stored last. */
  readonly last: () => readonly string[];
}

/** What a device sends to its log, within limits. */
export class LogIntake {
  readonly #options: LogIntakeOptions;
  #streams = 0;
  /** The bytes that have arrived since then. */
  #received = { sinceMs: 0, bytes: 0 };
  #batchTimes: readonly number[] = [];

  constructor(options: LogIntakeOptions) {
    this.#options = options;
  }

  async takeBatch(request: Request): Promise<Response> {
    if (this.#isTooFast()) return refuse(429, "Too Many Requests");
    const sent = await readBody(request, { limitBytes: batchBytes });
    if (!sent.ok) return refuse(sent.status, sent.message);
    if (!Array.isArray(sent.value)) return refuse(400, "Expected a list of log lines");
    if (sent.value.length > batchLines) return refuse(400, `Batches cannot include more than ${batchLines} logs`);
    const lines = sent.value.map(toLine);
    if (lines.some(({ is }) => is !== "line"))
      return refuse(400, "Expected each line to have a message, a text, and a timestamp in milliseconds");
    this.#options.store(lines, []);
    return new Response(null, { status: 201 });
  }

  #isTooFast(): boolean {
    const now = Date.now();
    this.#batchTimes = [...this.#batchTimes.filter((at) => now - at < batches.withinMs), now].slice(-batches.most - 1);
    return this.#batchTimes.length > batches.most;
  }

  /** NDJSON, until the device ends it. The answer is sent when all of it is stored. */
  async takeStream(request: Request): Promise<Response> {
    if (request.headers.get("content-type") !== "application/x-ndjson")
      return refuse(415, "Streaming requests require Content-Type application/x-ndjson");
    if (this.#streams >= mostStreams)
      return refuse(429, `This device sends ${mostStreams} streams of log lines already: end one of them first`);
    this.#streams++;
    try {
      return await this.#takeLines(request);
    } finally {
      this.#streams--;
    }
  }

  async #takeLines(request: Request): Promise<Response> {
    const { store } = this.#options;
    const isWhole = request.headers.has("content-length");
    let pending: ParsedLine[] = [];
    let pendingBytes = 0;
    let broken: string | undefined;
    let last = this.#options.last();
    let timer: ReturnType<typeof setTimeout> | null = null;
    const flush = () => {
      clearTimeout(timer);
      timer = null;
      store(pending, last);
      [pending, pendingBytes, last] = [[], 0, []];
    };
    try {
      for await (const line of linesOf(request, this.#count)) {
        const parsed = parseLine(line);
        if (parsed.is === "broken") broken ??= line;
        pending.push(parsed);
        pendingBytes += line.length;
        if (pendingBytes > writtenBytes) flush();
        else if (!isWhole) timer ??= setTimeout(flush, lingerMs);
      }
    } catch (error) {
      flush();
      if (error instanceof IntakeExceeded)
        return refuse(
          429,
          `More than ${intake.mostBytes} bytes of log lines within ${intake.withinMs / 1000} s: the rest was not read`,
        );
      return refuse(400, `The lines could not be read to their end: ${messageOf(error)}`);
    }
    flush();
    if (broken === undefined) return new Response(null, { status: 201 });
    // Recorded, with the beginning of the line. The lines around it are stored.
    return new Response(`Could not parse row ${broken.slice(0, 20)}...`, {
      status: 400,
      headers: { "content-type": "text/plain; charset=utf-8" },
    });
  }

  /** Throws `IntakeExceeded`. */
  readonly #count = (bytes: number): void => {
    const now = Date.now();
    if (now - this.#received.sinceMs >= intake.withinMs) this.#received = { sinceMs: now, bytes: 0 };
    this.#received.bytes += bytes;
    if (this.#received.bytes > intake.mostBytes) throw new IntakeExceeded();
  };
}

/** A device sends more bytes than it may. */
class IntakeExceeded extends Error {}

/**
 * The lines of a body, as they arrive; `count` is called with the size of each unpacked part. Throws for a body that is not
 * the gzip that it claims to be, and for a line without an end.
 */
async function* linesOf(request: Request, count: (bytes: number) => void): AsyncGenerator<string> {
  if (!request.body) return;
  const isGzip = request.headers.get("content-encoding")?.toLowerCase() === "gzip";
  const plain = isGzip ? request.body.pipeThrough(new DecompressionStream("gzip")) : request.body;
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of plain) {
    count(chunk.byteLength);
    const [end = "", ...lines] = decoder.decode(chunk, { stream: true }).split("\n");
    rest += end;
    if (rest.length > longestLine) throw new Error(`a line is longer than ${longestLine} characters`);
    const last = lines.pop();
    if (last === undefined) continue;
    yield* [rest, ...lines].filter((line) => line.trim() !== "");
    rest = last;
  }
  rest += decoder.decode();
  if (rest.trim() !== "") yield rest;
}
