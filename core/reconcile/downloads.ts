import type { ImageReference } from "../model/image.ts";
import type { Clock } from "../ports/clock.ts";
import type { Engine } from "../ports/engine.ts";
import { backoffMs, failureRetryLimitMs } from "./backoff.ts";
import type { Download } from "./current.ts";
import { redact } from "../model/secrets.ts";
import { messageOf } from "../model/show.ts";

interface Entry {
  download: Download;
  failures: number;
  readonly abort: AbortController;
}

/** More at once only makes each of them slower. */
const atOnce = 3;

/** Downloads go on by themselves while everything else happens. */
export class Downloads {
  readonly #entries = new Map<string, Entry>();
  readonly #queue: (() => void)[] = [];
  #running = 0;
  readonly #engine: Engine;
  readonly #clock: Clock;
  /** Called when one has made progress. */
  readonly #moved: () => void;

  constructor(engine: Engine, clock: Clock, moved: () => void) {
    this.#engine = engine;
    this.#clock = clock;
    this.#moved = moved;
  }

  /** By image name; those that are done are no longer among them. */
  state(): ReadonlyMap<string, Download> {
    return new Map([...this.#entries].map(([name, { download }]) => [name, download]));
  }

  /** Starts one and returns; `ended` gets the reason if it fails. */
  start(image: ImageReference, ended: (failure?: string) => void): void {
    const before = this.#entries.get(image.name);
    if (before?.download.is === "running") return;
    const entry: Entry = {
      download: { is: "running", percent: 0 },
      failures: before?.failures ?? 0,
      abort: new AbortController(),
    };
    this.#entries.set(image.name, entry);
    void this.#run(image, entry, ended);
  }

  /** Ends those that nobody wants any more, and forgets their failures. */
  keep(names: ReadonlySet<string>): void {
    for (const [name, { abort }] of this.#entries)
      if (!names.has(name)) {
        this.#entries.delete(name);
        abort.abort();
      }
  }

  /** What has failed may be tried again at once. */
  forgetFailures(): void {
    for (const [name, { download }] of this.#entries) if (download.is === "failed") this.#entries.delete(name);
  }

  /** Ends all of them; what is still wanted starts anew at once. */
  cancel(): void {
    this.keep(new Set());
  }

  async #run(image: ImageReference, entry: Entry, ended: (failure?: string) => void): Promise<void> {
    const { signal } = entry.abort;
    await this.#turn();
    try {
      if (!signal.aborted) await this.#engine.pull(image, (percent) => this.#progress(entry, percent), signal);
      if (this.#entries.get(image.name) === entry) {
        this.#entries.delete(image.name);
        ended();
      }
    } catch (error) {
      if (this.#entries.get(image.name) !== entry) return;
      const reason = redact(messageOf(error), { secrets: image.auth ? [image.auth.password] : [] });
      entry.failures++;
      entry.download = {
        is: "failed",
        reason,
        retryAt: this.#clock.now() + backoffMs(entry.failures, failureRetryLimitMs),
      };
      ended(reason);
    } finally {
      this.#pass();
      this.#moved();
    }
  }

  #progress(entry: Entry, percent: number): void {
    if (entry.download.is !== "running" || percent <= entry.download.percent) return;
    entry.download = { is: "running", percent };
    this.#moved();
  }

  async #turn(): Promise<void> {
    if (this.#running < atOnce) this.#running++;
    else await new Promise<void>((resolve) => this.#queue.push(resolve));
  }

  /** The turn goes straight to the next one: nobody who comes meanwhile can take it too. */
  #pass(): void {
    const next = this.#queue.shift();
    if (next) next();
    else this.#running--;
  }
}
