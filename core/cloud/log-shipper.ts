import type { LogKeeper, LogSource } from "../logs.ts";
import type { Clock } from "../ports/clock.ts";
import type { Cloud } from "../ports/cloud.ts";
import type { Log } from "../ports/log.ts";
import type { LogPosition, LogRing } from "../ports/log-ring.ts";
import type { ContainerLine } from "../ports/engine.ts";
import {
  afterPosition,
  batchBody,
  batchBytes,
  batchLines,
  batchPauseMs,
  containerLine,
  nextPosition,
  systemLine,
  type CloudLine,
} from "./log-lines.ts";
import { Alarm, setback, waitMs, type Setback } from "./pace.ts";
import { messageOf } from "./registration.ts";

interface Parts {
  readonly clock: Clock;
  readonly ask: Cloud;
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
  #buffer: string[] = [];
  #bufferedBytes = 0;
  #moved = new Map<string, LogPosition | undefined>();
  #flushing: Promise<void> | undefined;
  #flushNow = new AbortController();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#alarm = new Alarm(parts.clock);
  }

  async load(): Promise<void> {
    this.#positions = new Map(await this.#parts.ring.positions());
  }

  wants(): boolean {
    return this.#parts.wants();
  }

  open({ id, serviceId }: LogSource): { since: number; take: (line: ContainerLine) => Promise<void> | undefined } {
    const position = this.#positions.get(id);
    const isNew = afterPosition(position);
    return {
      since: position?.timestamp ?? 0,
      take: (line) => {
        if (!isNew(line.timestamp)) return undefined;
        const moved = nextPosition(this.#positions.get(id), line.timestamp);
        this.#positions.set(id, moved);
        this.#moved.set(id, moved);
        return this.#keep(containerLine(line, serviceId));
      },
    };
  }

  system(message: string): void {
    void this.#keep(systemLine(message, this.#parts.clock.now()));
  }

  retain(ids: ReadonlySet<string>): void {
    for (const id of [...this.#positions.keys()].filter((one) => !ids.has(one))) {
      this.#positions.delete(id);
      // Written down with the next lines: by itself it is not worth waking the disk.
      this.#moved.set(id, undefined);
    }
  }

  /** Writes down what is still waiting for that. */
  async stop(): Promise<void> {
    this.#flushNow.abort();
    await this.#flushing;
  }

  /** Undefined as long as there is room. */
  #keep(line: CloudLine): Promise<void> | undefined {
    const text = JSON.stringify(line);
    this.#buffer.push(text);
    this.#bufferedBytes += text.length;
    if (this.#bufferedBytes >= bufferBytes) this.#flushNow.abort();
    this.#flushing ??= this.#flushSoon();
    return this.#bufferedBytes >= bufferBytes ? this.#flushing : undefined;
  }

  async #flushSoon(): Promise<void> {
    const { clock, ring, log } = this.#parts;
    await clock.sleep(lingerMs, this.#flushNow.signal);
    if (this.#bufferedBytes >= bufferBytes) this.#flushNow = new AbortController();
    const [lines, moved] = [this.#buffer, this.#moved];
    this.#buffer = [];
    this.#bufferedBytes = 0;
    this.#moved = new Map();
    this.#flushing = undefined;
    try {
      await ring.append(lines, moved);
      this.#alarm.ring();
    } catch (error) {
      log.warn(`${lines.length} log lines for the cloud cannot be kept: ${messageOf(error)}`);
    }
  }

  async run(key: string, signal: AbortSignal): Promise<void> {
    const { clock, ring, log } = this.#parts;
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
      await clock.sleep(waitMs(failures, outcome, patience, clock.random()), signal);
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
