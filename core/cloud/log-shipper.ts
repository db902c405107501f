import { ndjson, sendLogStream, type LogLine } from "../api/cloud/logs.ts";
import type { Container } from "../model/container.ts";
import { afterPosition, nextPosition } from "../model/log-position.ts";
import type { TransientError } from "../model/retry.ts";
import { messageOf } from "../model/show.ts";
import type { Clock } from "../ports/clock.ts";
import type { ContainerLine } from "../ports/engine.ts";
import type { EventSink } from "../events/events.ts";
import type { LogPosition, LogRing } from "../ports/log-ring.ts";
import type { Attempt } from "../retry.ts";
import type { Documents } from "../state/documents.ts";
import { retry, type DeviceApiClient } from "./device-api-client.ts";
import { batchBody, batchBytes, batchLines, batchPauseMs, containerLine, lossLine, systemLine } from "./log-lines.ts";
import { Waker } from "./waker.ts";

interface Parts {
  readonly clock: Clock;
  readonly documents: Pick<Documents, "read" | "write">;
  readonly client: DeviceApiClient;
  readonly ring: LogRing;
  readonly events: EventSink;
  readonly uuid: string;
  /** Whether the cloud wants the logs now. */
  readonly wants: () => boolean;
}

/** Lines within this time are stored and sent together. */
const lingerMs = 1000;
/** If a container writes more than this within that time, its log is read further only after the lines are stored. */
const bufferBytes = 64 * 1024;
/** The agent's own lines do not wait. While the disk is full, this many bytes are buffered. */
const longestBufferBytes = 256 * 1024;
const fullDiskMs = 30_000;
/** Source: the reference implementation. */
const retryPolicy = { firstMs: 5_000, maxMs: 300_000 };
/** The public cloud needs 55 seconds to refuse a device. */
const timeoutMs = 60_000;

/**
 * Stores the lines until the cloud has accepted them, and sends each line once and in order. The protocol has no sequence
 * numbers, so up to one batch arrives twice if the agent or the cloud stops before the acceptance is stored.
 */
export class LogShipper {
  readonly #parts: Parts;
  readonly #waker: Waker;
  #positions = new Map<string, LogPosition>();
  /** Lines that were written before this time are not sent. */
  #since = 0;
  /** Lines that were written before this time are not sent, since the cloud did not want the logs then. */
  #unwantedUntil = 0;
  #buffer: string[] = [];
  #bufferedBytes = 0;
  #moved = new Map<string, LogPosition | undefined>();
  #flushing: Promise<void> | undefined;
  #flushNow = new AbortController();
  /** Lines lost because the buffer was full. */
  #lost = 0;
  readonly #stopped = new AbortController();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#waker = new Waker(parts.clock);
  }

  async load(): Promise<void> {
    const { ring, documents, clock } = this.#parts;
    this.#positions = new Map(await ring.positions());
    const now = clock.now();
    // The reference implementation has sent the lines that were written before Fairlead was installed.
    const since = await documents.read("logs-since");
    if (since === undefined) await documents.write({ "logs-since": now });
    // If the clock was ahead when the time was stored, no lines would be sent until then.
    this.#since = since !== undefined && since > now ? 0 : (since ?? now);
  }

  wants(): boolean {
    return this.#parts.wants();
  }

  open({ id, serviceId }: Pick<Container, "id" | "serviceId">): {
    since: number;
    take: (line: ContainerLine) => Promise<void> | undefined;
  } {
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
      // This is stored together with the next lines, to save a write.
      this.#moved.set(id, undefined);
    }
  }

  /** Stores the buffered lines. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#flushNow.abort();
    await this.#flushing;
  }

  /** Buffers a line. Returns a promise to wait for if the buffer is full. */
  #keep(line: LogLine): Promise<void> | undefined {
    if (this.#bufferedBytes >= longestBufferBytes) {
      this.#lost++;
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
    const { clock, events } = this.#parts;
    await clock.sleep(lingerMs, this.#flushNow.signal);
    for (let isLogged = false; this.#buffer.length > 0; isLogged = true)
      try {
        await this.#flush();
      } catch (error) {
        if (!isLogged) events.emit({ kind: "logsNotKept", reason: messageOf(error) });
        if (this.#stopped.signal.aborted) break;
        await clock.sleep(fullDiskMs, this.#stopped.signal);
      }
    this.#flushing = undefined;
    if (!this.#stopped.signal.aborted) this.#flushNow = new AbortController();
  }

  /** Stores the buffered lines. If that fails, they remain buffered. */
  async #flush(): Promise<void> {
    const { ring, clock } = this.#parts;
    const count = this.#buffer.length;
    const lost = this.#lost;
    const lines = lost === 0 ? this.#buffer : [...this.#buffer, JSON.stringify(lossLine(lost, clock.now()))];
    const moved = [...this.#moved];
    await ring.append([...lines], new Map(moved));
    this.#buffer = this.#buffer.slice(count);
    this.#bufferedBytes = this.#buffer.reduce((sum, text) => sum + text.length, 0);
    this.#lost -= lost;
    for (const [id, position] of moved) if (this.#moved.get(id) === position) this.#moved.delete(id);
    this.#waker.wake();
  }

  async run(key: string, signal: AbortSignal): Promise<void> {
    const { clock, ring, events, client } = this.#parts;
    signal.addEventListener("abort", () => this.#waker.wake(), { once: true });
    const onFailure = ({ why }: TransientError, failures: number) => {
      if (failures === 1) events.emit({ kind: "logsDelayed", reason: why });
    };
    while (!signal.aborted) {
      const tried = await client.keepTrying(
        retryPolicy,
        async (): Promise<Attempt<"delivered" | "nothing to send">> => {
          const { lines, lost } = await ring.read({ lines: batchLines - 1, bytes: batchBytes });
          const last = lines.at(-1);
          if (!last) return { ok: true, value: "nothing to send" };
          const sent = await this.#send(batchBody(lines, lost, clock.now()), key, signal);
          if (!sent.ok) return sent;
          if (sent.value === "rejected") events.emit({ kind: "logLinesRefused", count: lines.length });
          await ring.acknowledge(last.number, lost);
          return { ok: true, value: "delivered" };
        },
        { signal, onFailure },
      );
      if (tried.is !== "done") continue;
      if (tried.value === "delivered") await clock.sleep(batchPauseMs, signal);
      else await this.#waker.wait();
    }
  }

  #send(body: string, key: string, signal: AbortSignal): Promise<Attempt<"accepted" | "rejected">> {
    const { client, uuid } = this.#parts;
    const call = { params: { uuid }, key, body, timeoutMs, headers: { "content-type": ndjson } };
    return client.attempt(sendLogStream, call, signal, (answer) => {
      if (answer.status === 201 || answer.status === 200) return { ok: true, value: "accepted" };
      return answer.status === 400 || answer.status === 413 ? { ok: true, value: "rejected" } : retry(answer);
    });
  }
}
