import { onTestFinished } from "vitest";
import { EmbeddedEngine, type EmbeddedOptions } from "../../core/embedded/engine.ts";
import type { ContainerLine } from "../../core/ports/engine.ts";
import type { Clock } from "../../core/ports/clock.ts";
import type { ImageReference } from "../../core/model/image.ts";

/** A clock that only a test moves. Its random numbers are a counter, so that tokens differ and are predictable. */
export class HandClock implements Clock {
  #now: number;
  #jumpedMs = 0;
  #tokens = 0;
  readonly #sleepers = new Set<{ readonly until: number; readonly wake: () => void }>();

  constructor(now = 1_000_000) {
    this.#now = now;
  }

  now(): number {
    return this.#now + this.#jumpedMs;
  }
  monotonic(): number {
    return this.#now;
  }
  /** The time of the machine is set. */
  jump(ms: number): void {
    this.#jumpedMs += ms;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (ms <= 0 || signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const sleeper = {
        until: this.#now + ms,
        wake: () => {
          this.#sleepers.delete(sleeper);
          signal?.removeEventListener("abort", sleeper.wake);
          resolve();
        },
      };
      this.#sleepers.add(sleeper);
      signal?.addEventListener("abort", sleeper.wake);
    });
  }

  random(): number {
    return 0.5;
  }

  token(bytes: number): string {
    this.#tokens++;
    return this.#tokens.toString(16).padStart(bytes * 2, "0");
  }

  pass(ms: number): void {
    this.#now += ms;
    const due = [...this.#sleepers].filter(({ until }) => until <= this.#now);
    for (const { wake } of due.toSorted((a, b) => a.until - b.until)) wake();
  }
}

/** Lets pending promises and immediates run. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Pull {
  readonly name: string;
  readonly signal: AbortSignal;
  readonly progress: (percent: number) => void;
  readonly finish: () => void;
  readonly fail: (reason: string) => void;
}

/** The engine in memory, with a registry whose downloads the test controls. */
export class SlowRegistry extends EmbeddedEngine {
  /** Every running pull, oldest first. */
  readonly pulls: Pull[] = [];
  /** The highest number of pulls at the same time. */
  most = 0;

  override pull({ name }: ImageReference, onProgress: (percent: number) => void, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (act: () => void) => {
        const at = this.pulls.indexOf(pull);
        if (at >= 0) this.pulls.splice(at, 1);
        act();
      };
      const pull: Pull = {
        name,
        signal,
        progress: onProgress,
        finish: () => end(resolve),
        fail: (reason) => end(() => reject(new Error(reason))),
      };
      this.pulls.push(pull);
      this.most = Math.max(this.most, this.pulls.length);
      signal.addEventListener("abort", () => pull.fail("aborted"));
    });
  }

  running(): string[] {
    return this.pulls.map(({ name }) => name);
  }

  of(name: string): Pull {
    const pull = this.pulls.find((one) => one.name === name);
    if (!pull) throw new Error(`${name} is not being pulled`);
    return pull;
  }
}

/** The engine in memory, which shows whose logs are being followed. */
export class WatchedLogs extends EmbeddedEngine {
  readonly followed: string[] = [];

  constructor(options: EmbeddedOptions) {
    super(options);
  }

  override async *logs(id: string, since: number, signal: AbortSignal): AsyncIterable<ContainerLine> {
    this.followed.push(id);
    try {
      yield* super.logs(id, since, signal);
    } finally {
      this.followed.splice(this.followed.indexOf(id), 1);
    }
  }
}

/** The lines of a stream of NDJSON. The reader disconnects when the test ends. */
export function linesOf(stream: ReadableStream<Uint8Array> | undefined) {
  if (!stream) throw new Error("There are readers enough");
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  const lines: unknown[] = [];
  let rest = "";
  let ended = false;
  onTestFinished(() => reader.cancel().catch(() => undefined));
  const read = async (): Promise<boolean> => {
    const { done, value } = await reader.read();
    if (done) {
      ended = true;
      return false;
    }
    const parts = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts.map((text): unknown => JSON.parse(text)));
    return true;
  };
  return {
    /** Waits until there are this many lines. */
    take: async (count: number): Promise<unknown[]> => {
      while (lines.length < count && (await read()));
      return lines.splice(0, count);
    },
    /** Reads to the end. */
    all: async (): Promise<unknown[]> => {
      while (await read());
      return lines.splice(0);
    },
    hasEnded: () => ended,
    leave: () => reader.cancel(),
  };
}
