import { showDuration } from "../model/duration.ts";
import type { EventKind, EventLevel } from "../model/event.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log, LogFields } from "../ports/log.ts";

type FailureLevel = Exclude<EventLevel, "info">;

interface Failure {
  readonly level: FailureLevel;
  /** The last sentence, and what it is about. Its numbers may differ from those of the sentences before. */
  message: string;
  fields: LogFields;
  lastAt: number;
  /** When the last line about it was written. */
  writtenAt: number;
  /** The number of lines that say how often it has repeated. */
  sums: number;
  /** How often it has happened since the last line. */
  times: number;
  timer?: AbortController | undefined;
}

const minute = 60_000;
/** The time between two lines about a failure. The last one repeats. */
const intervalsMs = [minute, 5 * minute, 30 * minute];
const longestMs = 60 * minute;

export const mostFailures = 100;

/** Events that end failures of the same subject. */
const endings: Partial<Record<EventKind, readonly EventKind[]>> = {
  imageDownloaded: ["imageDownloadFailed"],
  engineReachable: ["engineUnreachable"],
  registered: ["registrationFailed"],
  problemEnded: ["problemFound", "stepFailed", "locked", "imageDownloadFailed"],
};
const endingsOf: ReadonlyMap<string, readonly string[]> = new Map(Object.entries(endings));

/**
 * Passes on lines. A failure that repeats is written once; then its repetitions are counted, and the count is written at
 * growing intervals. There is a timer only while a count waits.
 */
export class FailureLog implements Log {
  readonly #log: Log;
  readonly #clock: Pick<Clock, "now" | "sleep">;
  /** By what makes two failures the same one; the one that has not happened for the longest time is the first. */
  readonly #failures = new Map<string, Failure>();
  #stopped = false;

  constructor(log: Log, clock: Pick<Clock, "now" | "sleep">) {
    this.#log = log;
    this.#clock = clock;
  }

  error(message: string, fields: LogFields = {}): void {
    this.#fail("error", message, fields);
  }

  warn(message: string, fields: LogFields = {}): void {
    this.#fail("warn", message, fields);
  }

  info(message: string, fields: LogFields = {}): void {
    const ended = endingsOf.get(fields.kind ?? "") ?? [];
    for (const [key, failure] of this.#failures)
      if (ended.includes(failure.fields.kind ?? "") && isAbout(failure.fields, fields))
        this.#forget(key, failure, true);
    this.#log.info(message, fields);
  }

  /** Writes the counts that wait. Later lines are passed on at once. */
  stop(): void {
    this.#stopped = true;
    for (const [key, failure] of this.#failures) this.#forget(key, failure);
  }

  #fail(level: FailureLevel, message: string, fields: LogFields): void {
    const now = this.#clock.now();
    const key = JSON.stringify([level, fields.kind, fields.appId, fields.service, withoutAmounts(message)]);
    const known = this.#failures.get(key);
    if (this.#stopped) return this.#log[level](message, fields);
    if (!known || now - known.lastAt > longestMs) {
      if (known) this.#forget(key, known);
      this.#log[level](message, fields);
      this.#failures.set(key, { level, message, fields, lastAt: now, writtenAt: now, sums: 0, times: 0 });
      const [oldest] = this.#failures;
      if (oldest && this.#failures.size > mostFailures) this.#forget(...oldest);
      return;
    }
    Object.assign(known, { message, fields, lastAt: now, times: known.times + 1 });
    this.#failures.delete(key);
    this.#failures.set(key, known);
    if (!known.timer) this.#writeLater(known, now);
  }

  #writeLater(failure: Failure, now: number): void {
    const ms = failure.writtenAt + (intervalsMs[failure.sums] ?? longestMs) - now;
    if (ms <= 0) return this.#write(failure);
    const timer = new AbortController();
    failure.timer = timer;
    void this.#clock.sleep(ms, timer.signal).then(() => {
      if (!timer.signal.aborted) this.#write(failure);
    });
  }

  #write(failure: Failure, isOver = false): void {
    const { level, message, fields, times, writtenAt } = failure;
    failure.timer?.abort();
    failure.timer = undefined;
    if (times === 0) return;
    const now = this.#clock.now();
    const often = `${times === 1 ? "once more" : `${times} times`} in ${showDuration(now - writtenAt)}`;
    this.#log[isOver ? "info" : level](`The same failure ${often}${isOver ? ", and it is over" : ""}: ${message}`, {
      ...fields,
      times,
    });
    Object.assign(failure, { writtenAt: now, sums: failure.sums + 1, times: 0 });
  }

  #forget(key: string, failure: Failure, isOver = false): void {
    this.#failures.delete(key);
    this.#write(failure, isOver);
  }
}

/** A failure of an application may be about each of its services. */
const isAbout = (failure: LogFields, success: LogFields): boolean =>
  failure.appId === success.appId && (failure.service === undefined || failure.service === success.service);

/**
 * Two sentences that differ only in times, durations, amounts, container ids and the ports of connections are the same
 * failure. Names, versions, codes and the ports of services stay.
 */
const withoutAmounts = (sentence: string): string =>
  sentence
    .replace(/\d{4}[-/]\d\d[-/]\d\d[T ]|\d\d:\d\d:\d\d(?:\.\d+)?Z?/g, "#")
    .replace(/:\d+->/g, ":#->")
    .replace(/(?<!sha256:)\b[0-9a-f]{64}\b/g, "#")
    .replace(/\b(?:\d+(?:\.\d+)?[hm])*\d+(?:\.\d+)?(?:[nµm]?s|m|h)\b/g, "#")
    .replace(/\b\d+ (?:s|ms|min|h|seconds|minutes|hours|times|attempts|bytes|[kMG]i?B|log lines)\b/g, "#");
