import { DurableObject } from "cloudflare:workers";
import {
  cloudLine,
  parseLine,
  toLine,
  withArrival,
  withoutRepeated,
  type ParsedLine,
} from "../../core/fleet/log-lines.ts";
import { readBody } from "../../core/http/body.ts";
import { coversFleet } from "./access.ts";
import { Database } from "./database.ts";
import { Asker } from "./desk.ts";
import type { Enrolled } from "./device-session.ts";
import { askerHeader, type Env } from "./env.ts";

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

/** A reader who is that far behind misses lines, and is told. */
const behindBytes = 1024 * 1024;
const heartbeatMs = 58_000;
/** A reader keeps the object awake, and that is billed. */
const longestReadMs = 60 * 60 * 1000;

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
    for (const reader of this.#readers) if (!this.#mayRead(reader.asker)) reader.close();
  }

  async forget(): Promise<void> {
    for (const reader of this.#readers) reader.close();
    this.#enrolled = undefined;
    this.#db = undefined;
    await this.ctx.storage.deleteAll();
  }

  /** `/device/v2/:uuid/log-stream` and `/device/v2/:uuid/logs`; the Worker says who asks. */
  override async fetch(request: Request): Promise<Response> {
    const asker = Asker.parse(JSON.parse(request.headers.get(askerHeader) ?? '{"is":"nobody"}'));
    const url = new URL(request.url);
    if (request.method === "GET" && url.pathname.endsWith("/logs")) return this.#read(url, asker);
    if (request.method !== "POST") return Response.json("Expected GET or POST", { status: 405 });
    if (asker.is !== "key") return Response.json({ error: "API key required" }, { status: 401 });
    if (asker.digest !== this.#enrolled?.keyDigest) return new Response(null, { status: 401 });
    return url.pathname.endsWith("/logs") ? this.#takeBatch(request) : this.#takeStream(request);
  }

  #open(): void {
    this.#db = new Database(this.ctx.storage, migrations);
    this.#bytes = this.#db.one<{ bytes: number }>("SELECT ifnull(sum(bytes), 0) AS bytes FROM arrivals")?.bytes ?? 0;
  }

  #mayRead(asker: Asker): boolean {
    const enrolled = this.#enrolled;
    return (
      enrolled !== undefined &&
      asker.is === "person" &&
      !enrolled.revoked.includes(asker.caller.tokenId) &&
      coversFleet(asker.caller, enrolled.fleetId)
    );
  }

  #isTooFast(): boolean {
    const now = Date.now();
    this.#batchTimes = [...this.#batchTimes.filter((at) => now - at < batches.withinMs), now].slice(-batches.most - 1);
    return this.#batchTimes.length > batches.most;
  }

  async #takeBatch(request: Request): Promise<Response> {
    if (this.#isTooFast()) return Response.json("Too Many Requests", { status: 429, headers: { "retry-after": "10" } });
    const sent = await readBody(request);
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

  /** NDJSON, as long as it lasts. The answer comes when all of it is kept. */
  async #takeStream(request: Request): Promise<Response> {
    if (request.headers.get("content-type") !== "application/x-ndjson")
      return Response.json("Streaming requests require Content-Type application/x-ndjson", { status: 415 });
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
      for await (const line of linesOf(request)) {
        const parsed = parseLine(line);
        if (parsed.is === "broken") broken ??= line;
        pending.push(parsed);
        pendingBytes += line.length;
        if (pendingBytes > writtenBytes) flush();
        else if (!isWhole) timer ??= setTimeout(flush, lingerMs);
      }
    } catch (error) {
      flush();
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
    for (const reader of this.#readers) reader.write(lines.map((line) => withArrival(line, at)));
  }

  #dropOldest(db: Database, now: number): void {
    for (;;) {
      const oldest = db.one<Arrival>("SELECT id, at, bytes, '' AS lines FROM arrivals ORDER BY id LIMIT 1");
      if (!oldest || (this.#bytes <= mostBytes && now - oldest.at <= longestMs)) return;
      db.run("DELETE FROM arrivals WHERE id = ?", oldest.id);
      this.#bytes -= oldest.bytes;
    }
  }

  #read({ pathname, searchParams }: URL, asker: Asker): Response {
    if (asker.is !== "person") return new Response(null, { status: 401 });
    if (!this.#mayRead(asker)) return Response.json(`No device with uuid ${pathname.split("/")[3]}`, { status: 404 });
    const isStream = isOn(searchParams.get("stream"));
    const history = this.#history(
      countOf(searchParams.get("count"), isStream ? 0 : defaultCount),
      startOf(searchParams.get("start")),
    );
    if (!isStream)
      return new Response(`[${history.join(",")}]`, {
        headers: { "content-type": "application/json; charset=utf-8", "cache-control": "no-cache" },
      });
    const reader = new Reader(asker, () => this.#readers.delete(reader));
    this.#readers.add(reader);
    reader.write(history);
    return new Response(reader.stream, {
      headers: { "content-type": "application/x-ndjson", "cache-control": "no-cache" },
    });
  }

  /** The latest lines, oldest first. */
  #history(count: number, start: number): readonly string[] {
    if (count === 0) return [];
    const rows = this.#db?.all<Arrival>(
      "SELECT * FROM arrivals WHERE at >= ? ORDER BY id DESC LIMIT ?",
      ...[start, Math.min(count, Number.MAX_SAFE_INTEGER)],
    );
    return (rows ?? [])
      .toReversed()
      .flatMap(({ at, lines }) => lines.split("\n").map((line) => withArrival(line, at)))
      .slice(-count);
  }
}

/** Somebody who follows the log: what comes, a line break now and then, and an end after an hour. */
class Reader {
  readonly stream: ReadableStream<Uint8Array>;
  readonly asker: Asker;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #missed = 0;
  readonly #left: () => void;
  readonly #heartbeat: ReturnType<typeof setInterval>;
  readonly #end: ReturnType<typeof setTimeout>;

  constructor(asker: Asker, left: () => void) {
    this.asker = asker;
    this.#left = left;
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        cancel: () => this.#leave(),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: behindBytes }),
    );
    // At once as well: who waits for the first line sees that the stream is open.
    this.#heartbeat = setInterval(() => this.#send("\n"), heartbeatMs);
    this.#end = setTimeout(() => this.close(), longestReadMs);
    this.#send("\n");
  }

  write(lines: readonly string[]): void {
    if (lines.length === 0) return;
    if ((this.#controller?.desiredSize ?? 0) <= 0) {
      this.#missed += lines.length;
      return;
    }
    const missed = this.#missed;
    this.#missed = 0;
    const now = Date.now();
    const told =
      missed > 0 ? [withArrival(cloudLine(`Warning: ${missed} lines were too many to follow`, now), now)] : [];
    this.#send([...told, ...lines].map((line) => `${line}\n`).join(""));
  }

  close(): void {
    const controller = this.#controller;
    this.#leave();
    controller?.close();
  }

  #send(text: string): void {
    this.#controller?.enqueue(new TextEncoder().encode(text));
  }

  #leave(): void {
    this.#controller = undefined;
    clearInterval(this.#heartbeat);
    clearTimeout(this.#end);
    this.#left();
  }
}

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

/** The lines of a body, as they come. Throws for what is no gzip though it says so, and for a line without an end. */
async function* linesOf(request: Request): AsyncGenerator<string> {
  if (!request.body) return;
  const isGzip = request.headers.get("content-encoding")?.toLowerCase() === "gzip";
  const plain = isGzip ? request.body.pipeThrough(new DecompressionStream("gzip")) : request.body;
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of plain) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > longestLine) throw new Error(`a line is longer than ${longestLine} characters`);
    yield* lines.filter((line) => line.trim() !== "");
  }
  rest += decoder.decode();
  if (rest.trim() !== "") yield rest;
}
