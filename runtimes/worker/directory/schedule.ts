/** Work of the directory that a Durable Object's alarm does. What is to be done is stored: it survives an eviction. */
export interface Job {
  /** Milliseconds since the epoch; Infinity: there is nothing to do. */
  readonly dueAt: () => number;
  /** Does what is due, with at most this number of subrequests. Resolves with the number that it has sent. */
  readonly run: (mostSubrequests: number) => Promise<number>;
}

/** In one alarm. Cloudflare's free plan allows 1,000 to objects of the same Worker, and paid plans more. */
const mostSubrequests = 800;

/** Shares the only alarm of a Durable Object among several jobs. */
export class Schedule {
  readonly #storage: Pick<DurableObjectStorage, "setAlarm">;
  readonly #now: () => number;
  readonly #jobs: readonly Job[];

  constructor(storage: Pick<DurableObjectStorage, "setAlarm">, now: () => number, jobs: readonly Job[]) {
    this.#storage = storage;
    this.#now = now;
    this.#jobs = jobs;
  }

  /** Called when a job may have become due earlier. The alarm is stored together with the changes of the same turn. */
  plan(): void {
    const at = Math.min(...this.#jobs.map((job) => job.dueAt()));
    if (at !== Infinity) void this.#storage.setAlarm(at);
  }

  /** The alarm: runs what is due, in the order of the jobs. What remains is for the next alarm, which may send as much again. */
  async run(): Promise<void> {
    let left = mostSubrequests;
    for (const job of this.#jobs) if (job.dueAt() <= this.#now()) left -= await job.run(left);
    this.plan();
  }
}
