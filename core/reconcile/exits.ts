import type { EventSink } from "../events/events.ts";
import { parseContainerName, serviceKey } from "../model/names.ts";
import type { Clock } from "../ports/clock.ts";
import type { Engine, ExitedContainer } from "../ports/engine.ts";
import type { Memory } from "../state/memory.ts";

interface Parts {
  readonly clock: Pick<Clock, "monotonic">;
  readonly engine: Pick<Engine, "onEvent">;
  readonly events: EventSink;
  readonly memory: Pick<Memory, "activity" | "stoppedNow">;
}

/** A service that ends again and again is told this often, and then not until it has stayed up for `quietMs`: see `Problems`. */
const mostTold = 3;
const quietMs = 600_000;

/** Tells of containers that end without having been stopped by the agent, as soon as the engine says so. */
export class Exits {
  readonly #parts: Parts;
  /** The exits of each service since it stayed up last. */
  readonly #exits = new Map<string, { readonly count: number; readonly lastMs: number }>();
  #unsubscribe: (() => void) | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  start(): void {
    this.#unsubscribe = this.#parts.engine.onEvent((event) => {
      if (event.what === "exited") this.#note(event.exited);
    });
  }

  stop(): void {
    this.#unsubscribe?.();
  }

  #note({ appId, service, name, image, exitCode }: ExitedContainer): void {
    const key = serviceKey(appId, service);
    const { activity, stoppedNow } = this.#parts.memory;
    if (activity.get(key) === "Stopping" || stoppedNow.has(key)) return;
    const nowMs = this.#parts.clock.monotonic();
    for (const [one, { lastMs }] of this.#exits) if (lastMs <= nowMs - quietMs) this.#exits.delete(one);
    const count = (this.#exits.get(key)?.count ?? 0) + 1;
    this.#exits.set(key, { count, lastMs: nowMs });
    if (count > mostTold) return;
    const commit = parseContainerName(name, service)?.commit;
    const reason = `exit code ${exitCode}`;
    this.#parts.events.emit({ kind: "serviceExited", appId, service, image, commit, cause: "exit", reason });
  }
}
