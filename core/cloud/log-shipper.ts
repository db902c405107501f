import type { LogKeeper, LogSource } from "../events/logs.ts";
import type { Clock } from "../ports/clock.ts";
import type { Cloud } from "../ports/cloud.ts";
import type { Log } from "../ports/log.ts";
import type { LogPosition, LogRing } from "../ports/log-ring.ts";
import type { Documents } from "../state/documents.ts";
import type { ContainerLine } from "../ports/engine.ts";
import { setback, type Setback } from "./answers.ts";
import {
  afterPosition,
  batchBody,
  batchBytes,
  batchLines,
  batchPauseMs,
  containerLine,
  lossLine,
  nextPosition,
  systemLine,
  type CloudLine,
} from "./log-lines.ts";
import type { RetryPause } from "./reachability.ts";
import { Alarm, waitMs } from "./pace.ts";
import { messageOf } from "../model/show.ts";

interface Parts {
  readonly clock: Clock;
  readonly documents: Documents;
  readonly ask: Cloud;
  /** Between an attempt that failed and the next one. */
  readonly pause: RetryPause;
  readonly ring: LogRing;
  readonly log: Log;
  readonly uuid: string;
  /** Whether the cloud is to have the logs now. */
  readonly wants: () => boolean;
}

/** Lines that come within this time are written down, and sent, together. */
const lingerMs = 1000;
/** Who writes more than that within this time waits until it is written down. */
const bufferBytes = 64 * 1024;
/** What the agent says does not wait; on a full disk, this much of it does. */
const longestBufferBytes = 256 * 1024;
const fullDiskMs = 30_000;
/** The original's. */
const patience = { firstMs: 5_000, limitMs: 300_000 };
/** The cloud takes 55 seconds to refuse a device. */
const timeoutMs = 60_000;

/**
 * Keeps the lines for the cloud until it has them: in order, each once. Only if the agent or the cloud ends between the
 * cloud's taking lines and our noting that, up to one batch of them arrives twice: the protocol has no number by which the
 * cloud could tell.
 */
export class LogShipper implements LogKeeper {
  readonly #parts: Parts;
  readonly #alarm: Alarm;
  #positions = new Map<string, LogPosition>();
  /** Nothing that was written before is sent. */
  #since = 0;
  /** Nor what was written while nobody wanted it. */
  #unwantedUntil = 0;
  #buffer: string[] = [];
  #bufferedBytes = 0;
  #moved = new Map<string, LogPosition | undefined>();
  #flushing: Promise<void> | undefined;
  #flushNow = new AbortController();
  /** Lines for which there was not even room to wait. */
  #unkept = 0;
  readonly #stopped = new AbortController();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#alarm = new Alarm(parts.clock);
  }

  async load(): Promise<void> {
    const { ring, documents, clock } = this.#parts;
    this.#positions = new Map(await ring.positions());
    const now = clock.now();
    // What was written before an agent of ours was here, the original has sent.
    const since = await documents.read("logs-since");
    if (since === undefined) await documents.write({ "logs-since": now });
    // A clock that was ahead then would have us send nothing until it is that time again.
    this.#since = since !== undefined && since > now ? 0 : (since ?? now);
  }

  wants(): boolean {
    return this.#parts.wants();
  }

  open({ id, serviceId }: LogSource): { since: number; take: (line: ContainerLine) => Promise<void> | undefined } {
    const position = this.#positions.get(id);
    const isNew = afterPosition(position);
    return {
      since: Math.max(position?.timestamp ?? this.#since, this.#unwantedUntil),
      take: (line) => {
        if (!isNew(line.timestamp)) return undefined;
        const moved = nextPosition(this.#positions.get(id), line.timestamp);
        this.#positions.set(id, moved);
        this.#moved.set(id, moved);
        return this.#keep(containerLine(line, serviceId));
      },
    };
  }

  system(message: string, isStdErr: boolean): void {
    void this.#keep(systemLine(message, this.#parts.clock.now(), isStdErr));
  }

  retain(ids: ReadonlySet<string>): void {
    if (!this.wants()) this.#unwantedUntil = this.#parts.clock.now();
    for (const id of [...this.#positions.keys()].filter((one) => !ids.has(one))) {
      this.#positions.delete(id);
      // Written down with the next lines: by itself it is not worth waking the disk.
      this.#moved.set(id, undefined);
    }
  }

  /** Writes down what is still waiting for that. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#flushNow.abort();
    await this.#flushing;
  }

  /** Undefined as long as there is room. */
  #keep(line: CloudLine): Promise<void> | undefined {
    if (this.#bufferedBytes >= longestBufferBytes) {
      this.#unkept++;
      return this.#flushing;
    }
    const text = JSON.stringify(line);
    this.#buffer.push(text);
    this.#bufferedBytes += text.length;
    if (this.#bufferedBytes >= bufferBytes) this.#flushNow.abort();
    this.#flushing ??= this.#flushSoon();
    return this.#bufferedBytes >= bufferBytes ? this.#flushing : undefined;
  }

  async #flushSoon(): Promise<void> {
    const { clock, log } = this.#parts;
    await clock.sleep(lingerMs, this.#flushNow.signal);
    for (let isSaid = false; this.#buffer.length > 0; isSaid = true)
      try {
        await this.#flush();
      } catch (error) {
        if (!isSaid) log.warn(`Log lines for the cloud cannot be kept: ${messageOf(error)}`);
        if (this.#stopped.signal.aborted) break;
        await clock.sleep(fullDiskMs, this.#stopped.signal);
      }
    this.#flushing = undefined;
    if (!this.#stopped.signal.aborted) this.#flushNow = new AbortController();
  }

  /** Writes down what waits for it; if that fails, it waits on. */
  async #flush(): Promise<void> {
    const { ring, clock } = this.#parts;
    const count = this.#buffer.length;
    const unkept = this.#unkept;
    const lines = unkept === 0 ? this.#buffer : [...this.#buffer, JSON.stringify(lossLine(unkept, clock.now()))];
    const moved = [...this.#moved];
    await ring.append([...lines], new Map(moved));
    this.#buffer = this.#buffer.slice(count);
    this.#bufferedBytes = this.#buffer.reduce((sum, text) => sum + text.length, 0);
    this.#unkept -= unkept;
    for (const [id, position] of moved) if (this.#moved.get(id) === position) this.#moved.delete(id);
    this.#alarm.ring();
  }

  async run(key: string, signal: AbortSignal): Promise<void> {
    const { clock, ring, log, pause } = this.#parts;
    signal.addEventListener("abort", () => this.#alarm.ring(), { once: true });
    let failures = 0;
    while (!signal.aborted) {
      const { lines, lost } = await ring.read({ lines: batchLines - 1, bytes: batchBytes });
      const last = lines.at(-1);
      if (!last) {
        await this.#alarm.wait();
        continue;
      }
      const outcome = await this.#send(batchBody(lines, lost, clock.now()), key, signal);
      if (outcome === "delivered" || outcome === "refused") {
        failures = 0;
        if (outcome === "refused") log.warn(`The cloud does not take ${lines.length} log lines`);
        await ring.acknowledge(last.number, lost);
        await clock.sleep(batchPauseMs, signal);
        continue;
      }
      failures++;
      if (failures === 1 && !signal.aborted) log.warn(`The logs wait for the cloud: ${outcome.why}`);
      await pause(waitMs(failures, outcome, patience, clock.random()), outcome, signal);
    }
  }

  async #send(body: string, key: string, signal: AbortSignal): Promise<"delivered" | "refused" | Setback> {
    const { ask, uuid } = this.#parts;
    const path = `/device/v2/${uuid}/log-stream`;
    // Letter by letter: with a charset behind it, the cloud refuses it.
    const headers = { "content-type": "application/x-ndjson" };
    try {
      const answer = await ask({ method: "POST", path, key, headers, body, timeoutMs }, signal);
      if (answer.status === 201 || answer.status === 200) return "delivered";
      return answer.status === 400 || answer.status === 413 ? "refused" : setback(answer);
    } catch (error) {
      return { why: messageOf(error) };
    }
  }
}
