import { DurableObject } from "cloudflare:workers";
import {
  cloudLine,
  parseLine,
  toLine,
  withArrival,
  withoutRepeated,
  type ParsedLine,
} from "../../../core/fleet/log-lines.ts";
import { readBody } from "../../../core/http/body.ts";
import { coversFleet } from "../auth/access.ts";
import { Database } from "../directory/database.ts";
import { Authentication } from "../directory/context.ts";
import type { Enrolled } from "../relay/device-session.ts";
import { authenticationHeader, type Env } from "../env.ts";

/** The oldest lines go when a device's log is larger than that, or older. */
const mostBytes = 4 * 1024 * 1024;
const longestMs = 30 * 24 * 60 * 60 * 1000;

/** Lines that come within this time are written together, and so are as many as this. */
const lingerMs = 500;
const writtenBytes = 512 * 1024;
/** What has no end by then is no line. */
const longestLine = 1024 * 1024;

const defaultCount = 1000;
const batchLines = 10;
/** Recorded: of batches that many pass in this time. */
const batches = { most: 14, withinMs: 10_000 };

/** Of a batch, once it is unpacked. */
const batchBytes = 1024 * 1024;
/** What a device may bring within a time, unpacked: more than an agent ever sends (512 KB a second), and than a log holds. */
const intake = { mostBytes: 8 * 1024 * 1024, withinMs: 10_000 };
/** A device that has lost its connection begins the next stream while the old one is still open here. */
const mostStreams = 8;

/** Of each kind: those who follow the log, and those who read what there is. */
const mostReaders = 10;
/** What waits for a reader at most, beside the row that went beyond it; then the next row is read from the log. */
const aheadBytes = 64 * 1024;
const heartbeatMs = 58_000;
/** A reader keeps the object awake, and that is billed. */
const longestFollowMs = 60 * 60 * 1000;
const longestReadMs = 5 * 60 * 1000;

const migrations: readonly string[] = [
  `
  -- One row for what came together: lines as JSON, without the time of their arrival.
  CREATE TABLE arrivals (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    lines TEXT NOT NULL
  ) STRICT;
  `,
];

interface Arrival extends Record<string, SqlStorageValue> {
  readonly id: number;
  readonly at: number;
  readonly bytes: number;
  readonly lines: string;
}

/**
 * The log of a device: a ring of bytes, and whoever follows it. An object of its own for each device, so that a device that
 * writes much does not stand in the way of those that call it.
 */
export class DeviceLogs extends DurableObject<Env> {
  #enrolled: Enrolled | undefined;
  /** Absent for a device that is not known: nothing is stored on a stranger's account. */
  #db: Database | undefined;
  #bytes = 0;
  readonly #readers = new Set<Reader>();
  #streams = 0;
  /** What has come since then. */
  #taken = { sinceMs: 0, bytes: 0 };
  #batchTimes: readonly number[] = [];

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#enrolled = state.storage.kv.get<Enrolled>("enrolled");
    if (this.#enrolled) this.#open();
  }

  enroll(record: Enrolled): void {
    this.#enrolled = record;
    this.ctx.storage.kv.put("enrolled", record);
    if (!this.#db) this.#open();
    for (const reader of this.#readers) if (!this.#mayRead(reader.authentication)) reader.close();
  }

  async forget(): Promise<void> {
    for (const reader of this.#readers) reader.close();
    this.#enrolled = undefined;
    this.#db = undefined;
    await this.ctx.storage.deleteAll();
  }

  /** `/device/v2/:uuid/log-stream` and `/device/v2/:uuid/logs`; the Worker says who asks. */
  override async fetch(request: Request): Promise<Response> {
    const authentication = Authentication.parse(
      JSON.parse(request.headers.get(authenticationHeader) ?? '{"is":"nobody"}'),
    );
    const url = new URL(request.url);
    if (request.method === "GET" && url.pathname.endsWith("/logs")) return this.#read(request, url, authentication);
    if (request.method !== "POST") return Response.json("Expected GET or POST", { status: 405 });
    if (authentication.is !== "key") return Response.json({ error: "API key required" }, { status: 401 });
    if (authentication.digest !== this.#enrolled?.keyDigest) return new Response(null, { status: 401 });
    return url.pathname.endsWith("/logs") ? this.#takeBatch(request) : this.#takeStream(request);
  }

  #open(): void {
    this.#db = new Database(this.ctx.storage, migrations);
    this.#bytes = this.#db.one<{ bytes: number }>("SELECT ifnull(sum(bytes), 0) AS bytes FROM arrivals")?.bytes ?? 0;
  }

  #mayRead(authentication: Authentication): boolean {
    const enrolled = this.#enrolled;
    return (
      enrolled !== undefined &&
      authentication.is === "person" &&
      !enrolled.revoked.includes(authentication.grant.tokenId) &&
      coversFleet(authentication.grant, enrolled.fleetId)
    );
  }

  #isTooFast(): boolean {
    const now = Date.now();
    this.#batchTimes = [...this.#batchTimes.filter((at) => now - at < batches.withinMs), now].slice(-batches.most - 1);
    return this.#batchTimes.length > batches.most;
  }

  async #takeBatch(request: Request): Promise<Response> {
    if (this.#isTooFast()) return Response.json("Too Many Requests", { status: 429, headers: { "retry-after": "10" } });
    const sent = await readBody(request, { limitBytes: batchBytes });
    if (!sent.ok) return Response.json(sent.message, { status: sent.status });
    if (!Array.isArray(sent.value)) return Response.json("Expected a list of log lines", { status: 400 });
    if (sent.value.length > batchLines)
      return Response.json(`Batches cannot include more than ${batchLines} logs`, { status: 400 });
    const lines = sent.value.map(toLine);
    if (lines.some(({ is }) => is !== "line"))
      return Response.json("Expected each line to have a message, a text, and a timestamp in milliseconds", {
        status: 400,
      });
    this.#keep(lines, []);
    return new Response(null, { status: 201 });
  }

  /** Throws `TooMuch` for what is more than a device may bring. */
  readonly #take = (bytes: number): void => {
    const now = Date.now();
    if (now - this.#taken.sinceMs >= intake.withinMs) this.#taken = { sinceMs: now, bytes: 0 };
    this.#taken.bytes += bytes;
    if (this.#taken.bytes > intake.mostBytes) throw new TooMuch();
  };

  /** NDJSON, as long as it lasts. The answer comes when all of it is kept. */
  async #takeStream(request: Request): Promise<Response> {
    if (request.headers.get("content-type") !== "application/x-ndjson")
      return Response.json("Streaming requests require Content-Type application/x-ndjson", { status: 415 });
    if (this.#streams >= mostStreams)
      return tooMany(`This device sends ${mostStreams} streams of log lines already: end one of them first`);
    this.#streams++;
    try {
      return await this.#takeLines(request);
    } finally {
      this.#streams--;
    }
  }

  async #takeLines(request: Request): Promise<Response> {
    const isWhole = request.headers.has("content-length");
    let pending: ParsedLine[] = [];
    let pendingBytes = 0;
    let broken: string | undefined;
    let last = this.#last();
    let timer: ReturnType<typeof setTimeout> | null = null;
    const flush = () => {
      clearTimeout(timer);
      timer = null;
      this.#keep(pending, last);
      [pending, pendingBytes, last] = [[], 0, []];
    };
    try {
      for await (const line of linesOf(request, this.#take)) {
        const parsed = parseLine(line);
        if (parsed.is === "broken") broken ??= line;
        pending.push(parsed);
        pendingBytes += line.length;
        if (pendingBytes > writtenBytes) flush();
        else if (!isWhole) timer ??= setTimeout(flush, lingerMs);
      }
    } catch (error) {
      flush();
      if (error instanceof TooMuch)
        return tooMany(
          `More than ${intake.mostBytes} bytes of log lines within ${intake.withinMs / 1000} s: the rest was not read`,
        );
      const reason = error instanceof Error ? error.message : String(error);
      return Response.json(`The lines could not be read to their end: ${reason}`, { status: 400 });
    }
    flush();
    if (broken === undefined) return new Response(null, { status: 201 });
    // Recorded, with the beginning of the line. What was around it is kept.
    return new Response(`Could not parse row ${broken.slice(0, 20)}...`, {
      status: 400,
      headers: { "content-type": "text/plain; charset=utf-8" },
    });
  }

  #last(): readonly string[] {
    const [row] = this.#db?.all<Arrival>("SELECT * FROM arrivals ORDER BY id DESC LIMIT 1") ?? [];
    return row ? row.lines.split("\n") : [];
  }

  /** Writes lines down, those aside that are in `last`, and hands them on. Lines that are none are counted, and told of. */
  #keep(parsed: readonly ParsedLine[], last: readonly string[]): void {
    const at = Date.now();
    const all = parsed.flatMap((one) => (one.is === "line" ? [one.text] : []));
    const odd = parsed.filter(({ is }) => is === "odd").length;
    const lines = [
      ...withoutRepeated(all, last),
      ...(odd > 0 ? [cloudLine(`Warning: ${odd} log lines were not of the expected shape, and are left out`, at)] : []),
    ];
    const db = this.#db;
    if (!db || lines.length === 0) return;
    const text = lines.join("\n");
    const bytes = new TextEncoder().encode(text).length;
    db.run("INSERT INTO arrivals (at, bytes, lines) VALUES (?, ?, ?)", at, bytes, text);
    this.#bytes += bytes;
    this.#dropOldest(db, at);
    for (const reader of this.#readers) reader.look();
  }

  #dropOldest(db: Database, now: number): void {
    for (;;) {
      const oldest = db.one<Arrival>("SELECT id, at, bytes, '' AS lines FROM arrivals ORDER BY id LIMIT 1");
      if (!oldest || (this.#bytes <= mostBytes && now - oldest.at <= longestMs)) return;
      const gone = db.one<Counted>(
        `DELETE FROM arrivals WHERE id = ? RETURNING id, ${countOfLines} AS count`,
        oldest.id,
      );
      this.#bytes -= oldest.bytes;
      if (gone) for (const reader of this.#readers) reader.dropped(gone);
    }
  }

  #read({ signal }: Request, { pathname, searchParams }: URL, authentication: Authentication): Response {
    if (authentication.is !== "person") return new Response(null, { status: 401 });
    if (!this.#mayRead(authentication))
      return Response.json(`No device with uuid ${pathname.split("/")[3]}`, { status: 404 });
    const isStream = isOn(searchParams.get("stream"));
    const readers = [...this.#readers].filter((one) => one.follows === isStream);
    if (readers.length >= mostReaders) {
      // Who has left without a word is noticed when something is sent to him, and makes room.
      for (const one of readers) one.beat();
      return tooMany(
        isStream
          ? `This log is followed by ${mostReaders} readers already: end one of them first`
          : `This log is being read by ${mostReaders} readers already: try again soon`,
      );
    }
    const from = this.#begin(
      countOf(searchParams.get("count"), isStream ? 0 : defaultCount),
      startOf(searchParams.get("start")),
    );
    const reader: Reader = new Reader({
      authentication,
      follows: isStream,
      from,
      next: (after) => this.#db?.one<Arrival>("SELECT * FROM arrivals WHERE id > ? ORDER BY id LIMIT 1", after),
      left: () => this.#readers.delete(reader),
    });
    this.#readers.add(reader);
    // A stream on which nothing is sent is not cancelled when its reader leaves.
    signal.addEventListener("abort", () => reader.close());
    return new Response(reader.stream, {
      headers: {
        "content-type": isStream ? "application/x-ndjson" : "application/json; charset=utf-8",
        "cache-control": "no-cache",
      },
    });
  }

  /** Where the latest `count` lines begin that came at `start` or later. */
  #begin(count: number, start: number): Position {
    const newest = this.#db?.one<{ id: number }>("SELECT ifnull(max(id), 0) AS id FROM arrivals")?.id ?? 0;
    let from: Position = { after: newest, skip: 0, last: newest };
    let missing = count;
    if (count === 0) return from;
    for (const row of this.#db?.each<Counted>(
      `SELECT id, ${countOfLines} AS count FROM arrivals WHERE at >= ? ORDER BY id DESC`,
      start,
    ) ?? []) {
      from = { ...from, after: row.id - 1, skip: Math.max(0, row.count - missing) };
      missing -= row.count;
      if (missing <= 0) break;
    }
    return from;
  }
}

interface Counted extends Record<string, SqlStorageValue> {
  readonly id: number;
  readonly count: number;
}

/** SQL: of a row. */
const countOfLines = "length(lines) - length(replace(lines, char(10), '')) + 1";

/** Where a reader begins: after that row, without so many lines of the next one; and the newest row that there is. */
interface Position {
  readonly after: number;
  readonly skip: number;
  readonly last: number;
}

interface ReaderOptions {
  readonly authentication: Authentication;
  readonly follows: boolean;
  readonly from: Position;
  /** The next row after that one. */
  readonly next: (after: number) => Arrival | undefined;
  readonly left: () => void;
}

/**
 * Somebody who reads the log, at a pace of his own: row by row, from the log itself. Who follows it gets lines as they come,
 * a line break now and then, and an end after an hour; others get what there was as one JSON list.
 */
class Reader {
  readonly stream: ReadableStream<Uint8Array>;
  readonly authentication: Authentication;
  readonly follows: boolean;
  readonly #options: ReaderOptions;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #after: number;
  #skip: number;
  #missed = 0;
  #isFirst = true;
  #heartbeat: ReturnType<typeof setInterval> | null = null;
  readonly #end: ReturnType<typeof setTimeout>;

  constructor(options: ReaderOptions) {
    const { authentication, follows, from } = options;
    this.authentication = authentication;
    this.follows = follows;
    this.#options = options;
    [this.#after, this.#skip] = [from.after, from.skip];
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.look(),
        cancel: () => this.#leave(),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: aheadBytes }),
    );
    this.#end = setTimeout(() => this.close(), follows ? longestFollowMs : longestReadMs);
    if (!follows) return;
    // At once as well: who waits for the first line sees that the stream is open.
    this.#send("\n");
    this.#heartbeat = setInterval(() => this.beat(), heartbeatMs);
  }

  /** White space, which both kinds of answers may have between lines. */
  beat(): void {
    if (this.#hasRoom()) this.#send("\n");
  }

  /** Sends the next row, if there is one and room for it. */
  look(): void {
    if (!this.#hasRoom()) return;
    const { next, from } = this.#options;
    const row = this.follows || this.#after < from.last ? next(this.#after) : undefined;
    if (row && (this.follows || row.id <= from.last)) {
      this.#after = row.id;
      const lines = row.lines.split("\n").slice(this.#skip);
      this.#skip = 0;
      this.#write(lines.map((line) => withArrival(line, row.at)));
    } else if (!this.follows) {
      if (this.#missed > 0) this.#write([]);
      this.#send(this.#isFirst ? "[]" : "]");
      this.close();
    }
  }

  /** A row goes that may not have been read. */
  dropped({ id, count }: Counted): void {
    const { last } = this.#options.from;
    if (id <= this.#after || (!this.follows && id > last)) return;
    this.#after = id;
    this.#missed += count - this.#skip;
    this.#skip = 0;
  }

  close(): void {
    const controller = this.#controller;
    this.#leave();
    controller?.close();
  }

  #write(lines: readonly string[]): void {
    const now = Date.now();
    const told =
      this.#missed > 0
        ? [withArrival(cloudLine(`Warning: ${this.#missed} lines were too many to follow`, now), now)]
        : [];
    this.#missed = 0;
    const all = [...told, ...lines];
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

  #leave(): void {
    this.#controller = undefined;
    clearInterval(this.#heartbeat);
    clearTimeout(this.#end);
    this.#options.left();
  }
}

const tooMany = (sentence: string): Response =>
  Response.json(sentence, { status: 429, headers: { "retry-after": "10" } });

/** A device brings more than it may. */
class TooMuch extends Error {}

const isOn = (text: string | null): boolean => text === "1" || text === "true";

function countOf(text: string | null, otherwise: number): number {
  if (text === "all") return Infinity;
  const count = Number(text ?? otherwise);
  return Number.isInteger(count) && count >= 0 ? count : otherwise;
}

/** Milliseconds since the epoch, or ISO 8601. */
function startOf(text: string | null): number {
  if (text === null) return 0;
  const ms = /^\d+$/.test(text) ? Number(text) : Date.parse(text);
  return Number.isNaN(ms) ? 0 : ms;
}

/**
 * The lines of a body, as they come; `take` is told of each part of it, unpacked. Throws for what is no gzip though it says
 * so, and for a line without an end.
 */
async function* linesOf(request: Request, take: (bytes: number) => void): AsyncGenerator<string> {
  if (!request.body) return;
  const isGzip = request.headers.get("content-encoding")?.toLowerCase() === "gzip";
  const plain = isGzip ? request.body.pipeThrough(new DecompressionStream("gzip")) : request.body;
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of plain) {
    take(chunk.byteLength);
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
