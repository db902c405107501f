import { createMemoryDevice, memoryIdentity, type MemoryDevice } from "../../core/embedded/device.ts";
import { EmbeddedEngine } from "../../core/embedded/engine.ts";
import { MemoryFolders, MemoryLog, MemoryLogRing, MemoryStore } from "../../core/embedded/ports.ts";
import type { Ports } from "../../core/ports/index.ts";
import type { Identity } from "../../core/supervisor.ts";
import { Chance, SimClock } from "../simulation/clock.ts";
import { Hostile } from "../simulation/hostile.ts";
import { FakeCloud } from "../support/fake-cloud.ts";

/** A cloud and one of its devices on a clock that only the test moves, so that an hour takes only the time of its work. */

export const uuid = memoryIdentity.uuid ?? "";

export interface Attempt {
  readonly at: number;
  /** "PATCH /device/v3/state" */
  readonly what: string;
  /** Undefined if there was no answer. */
  readonly status: number | undefined;
}

export interface SimulatedOptions {
  readonly identity?: Partial<Identity>;
  readonly ports?: Partial<Ports>;
}

export class Simulated {
  readonly #chance = new Chance(1);
  readonly clock = new SimClock(this.#chance);
  readonly cloud = new FakeCloud({ now: () => this.clock.now() });
  readonly engine = new EmbeddedEngine({
    clock: this.clock,
    pullMs: 6_000,
    stopMs: 300,
    registry: this.cloud.registry,
  });
  folders = new MemoryFolders();
  readonly log = new MemoryLog();
  readonly attempts: Attempt[] = [];
  /** The device while its agent runs. */
  agent: MemoryDevice | undefined;
  readonly #options: SimulatedOptions;
  readonly #store = new MemoryStore();
  readonly #ring = new MemoryLogRing();
  #run: Hostile | undefined;

  constructor(options: SimulatedOptions = {}) {
    this.#options = options;
  }

  /** Starts the agent with the state that earlier agents have stored. */
  async boot(): Promise<void> {
    const { id: applicationId, key } = this.cloud.fleet;
    const run = new Hostile(this.clock, this.#chance, { faults: 0, delays: 0 });
    this.#run = run;
    this.folders = this.folders.restarted();
    this.agent = await createMemoryDevice({
      clock: run.clock(),
      identity: { cloudUrl: "https://api.example.com", ...this.#options.identity },
      cloudSettings: { provisioning: { key, applicationId }, registry: "registry.example" },
      ports: {
        engine: run.engine(this.engine),
        ...run.folders(this.folders),
        store: run.store(this.#store),
        log: this.log,
        cloud: { ask: (request, signal) => run.call("ask", () => this.#asked(request, signal)), ring: this.#ring },
        ...this.#options.ports,
      },
    });
  }

  /** Like kill -9: the agent stops at once and stores nothing more. */
  async kill(): Promise<void> {
    if (this.#run) this.#run.dead = true;
    void this.agent?.stop();
    this.agent = undefined;
    await this.clock.advance(0);
  }

  async #asked(...[request, signal]: Parameters<FakeCloud["ask"]>): ReturnType<FakeCloud["ask"]> {
    const attempt = { at: this.clock.now(), what: `${request.method} ${request.path.replace(/\?.*$/, "")}` };
    const note = (status?: number) => void this.attempts.push({ ...attempt, status });
    try {
      const answer = await this.cloud.ask(request, signal);
      note(answer.status);
      return answer;
    } catch (error) {
      note();
      throw error;
    }
  }

  /** Moves the clock by seconds until the condition holds, and returns the milliseconds. */
  async until(what: string, isSo: () => boolean | Promise<boolean>, limitMs = 1_200_000): Promise<number> {
    const from = this.clock.now();
    while (!(await isSo())) {
      if (this.clock.now() - from >= limitMs) throw new Error(`It never came about: ${what}`);
      await this.clock.advance(1000);
      // Threads derive the key for services and do not use this clock: let them run once for each second.
      await crypto.subtle.digest("SHA-256", new Uint8Array());
    }
    return this.clock.now() - from;
  }
}
