import type { Clock } from "../ports/clock.ts";
import type { Engine, PullRequest } from "../ports/engine.ts";
import { delayMs, type RetryPolicy } from "../model/retry.ts";
import { failureRetry, lastingMs } from "./backoff.ts";
import type { Download } from "./current.ts";
import { redact } from "../model/secrets.ts";
import { messageOf } from "../model/show.ts";

interface Entry {
  download: Download;
  failures: number;
  readonly abort: AbortController;
}

/** What downloads must leave free. */
interface Guard {
  readonly isOn: () => boolean;
  /** Why all downloads must end now; undefined if they may go on. */
  readonly whyShort: () => Promise<string | undefined>;
}

/** How long a download goes on when the space is used up. Measuring takes less than a millisecond. */
const guardMs = 1_000;

/** What an engine says when a download has filled the disk. */
const fullDisk = /no space left on device|disk quota exceeded/i;

/** A download that has filled the disk may do so again, and each time it uses the network in vain. */
const shortRetry: RetryPolicy = { firstMs: 10_000, maxMs: 6 * 3_600_000 };

/** More parallel downloads would only be slower each. */
const atOnce = 3;

/** Downloads of images, which continue in the background. */
export class Downloads {
  readonly #entries = new Map<string, Entry>();
  /** By image name: when it was fetched last, and how many times in a row. */
  readonly #fetched = new Map<string, { readonly at: number; readonly times: number }>();
  readonly #queue: (() => void)[] = [];
  #taken = 0;
  readonly #engine: Engine;
  readonly #clock: Clock;
  /** Called when a download makes progress or ends. */
  readonly #moved: () => void;
  readonly #guard: Guard | undefined;
  /** Fires when no download is left to be watched. */
  #watching: AbortController | undefined;

  constructor(engine: Engine, clock: Clock, moved: () => void, guard?: Guard) {
    this.#engine = engine;
    this.#clock = clock;
    this.#moved = moved;
    this.#guard = guard;
  }

  /** The downloads that run or have failed, by image name. */
  state(): ReadonlyMap<string, Download> {
    return new Map([...this.#entries].map(([name, { download }]) => [name, download]));
  }

  /** Starts a download and returns. `ended` gets the reason if the download fails. */
  start(image: PullRequest, ended: (failure?: string) => void): void {
    const before = this.#entries.get(image.name);
    if (before?.download.is === "running") return;
    if (this.#wasInVain(image.name, ended)) return;
    const entry: Entry = {
      download: {
        ...{ is: "running", percent: 0 },
        lastFailure: before?.download.is === "failed" ? before.download.reason : undefined,
      },
      failures: before?.failures ?? 0,
      abort: new AbortController(),
    };
    this.#entries.set(image.name, entry);
    void this.#run(image, entry, ended);
    if (this.#guard && !this.#watching) void this.#watch(this.#guard);
  }

  /** While there are downloads: ends all of them when too little space is left. Nothing else would stop the engine. */
  async #watch({ isOn, whyShort }: Guard): Promise<void> {
    const { signal } = (this.#watching = new AbortController());
    while (!signal.aborted) {
      await this.#clock.sleep(guardMs, signal);
      const why = signal.aborted || !isOn() ? undefined : await whyShort();
      if (why !== undefined) for (const { abort } of this.#running()) abort.abort(new DiskShort(why));
    }
  }

  #running(): readonly Entry[] {
    return [...this.#entries.values()].filter(({ download }) => download.is === "running");
  }

  #endWatch(): void {
    if (this.#running().length > 0) return;
    this.#watching?.abort();
    this.#watching = undefined;
  }

  /** The image was fetched a moment ago and is missing: the engine has it under another name, or it was removed. */
  #wasInVain(name: string, ended: (failure: string) => void): boolean {
    const fetched = this.#fetched.get(name);
    if (!fetched) return false;
    const now = this.#clock.monotonic();
    if (!this.#entries.has(name) && now - fetched.at >= lastingMs) {
      this.#fetched.delete(name);
      return false;
    }
    // The first retry has no delay: a person may have removed the image.
    const retryAt = fetched.at + (fetched.times > 1 ? delayMs(failureRetry, fetched.times - 1) : 0);
    if (retryAt <= now) return false;
    const reason = "it was downloaded, and the engine has no image of this name";
    const download = { is: "failed", reason, retryAt } as const;
    this.#entries.set(name, { download, failures: 0, abort: new AbortController() });
    ended(reason);
    this.#moved();
    return true;
  }

  /** Cancels the downloads of all other images, and forgets their failures. */
  keep(names: ReadonlySet<string>): void {
    for (const [name, { abort }] of this.#entries)
      if (!names.has(name)) {
        this.#entries.delete(name);
        abort.abort();
      }
    for (const name of this.#fetched.keys()) if (!names.has(name)) this.#fetched.delete(name);
    this.#endWatch();
  }

  /** Allows failed downloads to be tried again at once. */
  forgetFailures(): void {
    for (const [name, { download }] of this.#entries) if (download.is === "failed") this.#entries.delete(name);
    this.#fetched.clear();
  }

  /** Cancels all downloads. The next round starts those that are still needed. */
  cancel(): void {
    this.keep(new Set());
  }

  async #run(image: PullRequest, entry: Entry, ended: (failure?: string) => void): Promise<void> {
    const { signal } = entry.abort;
    await this.#turn();
    try {
      if (!signal.aborted) await this.#engine.pull(image, (percent) => this.#progress(entry, percent), signal);
      // It was ended before its turn came.
      else if (signal.reason instanceof DiskShort) throw signal.reason;
      if (this.#entries.get(image.name) === entry) {
        this.#entries.delete(image.name);
        const times = (this.#fetched.get(image.name)?.times ?? 0) + 1;
        this.#fetched.set(image.name, { at: this.#clock.monotonic(), times });
        ended();
      }
    } catch (error) {
      if (this.#entries.get(image.name) !== entry) return;
      const secrets = [image.auth, image.fallback].flatMap((one) => one?.password ?? []);
      const isEnded = signal.reason instanceof DiskShort;
      const reason = isEnded ? signal.reason.message : redact(messageOf(error), { secrets });
      const isShort = isEnded || (fullDisk.test(reason) && this.#guard?.isOn() === true);
      entry.failures++;
      entry.download = {
        is: "failed",
        reason,
        retryAt: this.#clock.monotonic() + delayMs(isShort ? shortRetry : failureRetry, entry.failures),
      };
      ended(reason);
    } finally {
      this.#endWatch();
      this.#pass();
      this.#moved();
    }
  }

  #progress(entry: Entry, percent: number): void {
    if (entry.download.is !== "running" || percent <= entry.download.percent) return;
    entry.download = { ...entry.download, percent };
    this.#moved();
  }

  async #turn(): Promise<void> {
    if (this.#taken < atOnce) this.#taken++;
    else await new Promise<void>((resolve) => this.#queue.push(resolve));
  }

  /** Starts the next download in the queue. `#taken` stays the same, so that no other download takes this slot. */
  #pass(): void {
    const next = this.#queue.shift();
    if (next) next();
    else this.#taken--;
  }
}

/** A download is ended, since it uses up the disk. */
class DiskShort extends Error {
  constructor(why: string) {
    super(`the disk has too little space left: ${why}`);
  }
}
