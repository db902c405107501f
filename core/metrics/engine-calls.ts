import type { Clock } from "../ports/clock.ts";
import type { Engine } from "../ports/engine.ts";
import type { Distribution, Sample } from "./exposition.ts";

/** Upper bounds in seconds: from an answer of the local socket to a download of some minutes. */
const bounds = [0.005, 0.025, 0.1, 0.5, 2.5, 10, 60];

type Operation = Exclude<keyof Engine, "name" | "onEvent">;

interface Calls {
  readonly counts: number[];
  sum: number;
  failures: number;
}

/** How often each operation of the engine was called, and how long that took. Reading a log counts without its time. */
export class EngineCalls {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #calls = new Map<Operation, Calls>();

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#clock = clock;
  }

  /** The engine with each call counted. */
  counted(engine: Engine): Engine {
    const timed =
      <A extends readonly unknown[], R>(operation: Operation, call: (...args: A) => Promise<R>) =>
      (...args: A): Promise<R> =>
        this.#time(operation, () => call(...args));
    return {
      get name() {
        return engine.name;
      },
      onEvent: (listener) => engine.onEvent(listener),
      look: timed("look", (options) => engine.look(options)),
      imageConfig: timed("imageConfig", (id) => engine.imageConfig(id)),
      pull: timed("pull", (image, onProgress, signal) => engine.pull(image, onProgress, signal)),
      tagImage: timed("tagImage", (id, name) => engine.tagImage(id, name)),
      removeImage: timed("removeImage", (name) => engine.removeImage(name)),
      createContainer: timed("createContainer", (name, spec) => engine.createContainer(name, spec)),
      startContainer: timed("startContainer", (id) => engine.startContainer(id)),
      stopContainer: timed("stopContainer", (id) => engine.stopContainer(id)),
      removeContainer: timed("removeContainer", (id) => engine.removeContainer(id)),
      renameContainer: timed("renameContainer", (id, name) => engine.renameContainer(id, name)),
      setRestartPolicy: timed("setRestartPolicy", (id, policy) => engine.setRestartPolicy(id, policy)),
      createNetwork: timed("createNetwork", (name, spec) => engine.createNetwork(name, spec)),
      removeNetwork: timed("removeNetwork", (id) => engine.removeNetwork(id)),
      createVolume: timed("createVolume", (name, spec) => engine.createVolume(name, spec)),
      removeVolume: timed("removeVolume", (name) => engine.removeVolume(name)),
      copyVolume: timed("copyVolume", (from, to, image, signal) => engine.copyVolume(from, to, image, signal)),
      volumeSize: timed("volumeSize", (name) => engine.volumeSize(name)),
      logs: (id, since, signal, options) => {
        this.#count("logs", 0);
        return engine.logs(id, since, signal, options);
      },
      top: timed("top", (id) => engine.top(id)),
      exec: timed("exec", (id, request) => engine.exec(id, request)),
      stats: timed("stats", (id) => engine.stats(id)),
    };
  }

  durations(): readonly Distribution[] {
    return [...this.#calls].map(([operation, { counts, sum }]) => ({ labels: { operation }, bounds, counts, sum }));
  }

  failures(): readonly Sample[] {
    return [...this.#calls].map(([operation, { failures: value }]) => ({ labels: { operation }, value }));
  }

  /** Returns the promise of the call: a counted call resolves no later than another. */
  #time<R>(operation: Operation, call: () => Promise<R>): Promise<R> {
    const begun = this.#clock.monotonic();
    const answer = call();
    const ended = () => this.#count(operation, (this.#clock.monotonic() - begun) / 1000);
    answer.then(ended, () => {
      this.#of(operation).failures++;
      ended();
    });
    return answer;
  }

  #count(operation: Operation, seconds: number): void {
    const calls = this.#of(operation);
    const bucket = bounds.findIndex((bound) => seconds <= bound);
    const n = bucket < 0 ? bounds.length : bucket;
    calls.counts[n] = (calls.counts[n] ?? 0) + 1;
    calls.sum += seconds;
  }

  #of(operation: Operation): Calls {
    const known = this.#calls.get(operation);
    if (known) return known;
    const made = { counts: Array.from({ length: bounds.length + 1 }, () => 0), sum: 0, failures: 0 };
    this.#calls.set(operation, made);
    return made;
  }
}
