import type { ContainerSpec } from "../../core/model/container.ts";
import type { Clock } from "../../core/ports/clock.ts";
import { EngineError, type Engine } from "../../core/ports/engine.ts";
import type { Ports } from "../../core/ports/index.ts";
import type { MemoryFolders } from "../../core/embedded/ports.ts";
import type { Store } from "../../core/ports/store.ts";
import type { Chance } from "./clock.ts";

/** What the world does to the calls of one run of the agent. */
export interface Hostility {
  /** How often a call fails: half of the time before it had any effect, half of the time after. */
  faults: number;
  /** How often it takes its time, and how often its answer does. */
  delays: number;
  /** The run ends, as by a power cut, at the call with this number. */
  readonly crashAt?: number | undefined;
  readonly onCrash?: () => void;
}

/** Counts and spoils the calls of one run of the agent; after a crash, none of them comes back. */
export class Hostile {
  calls = 0;
  dead = false;
  readonly #clock: Clock;
  readonly #chance: Chance;
  readonly hostility: Hostility;

  constructor(clock: Clock, chance: Chance, hostility: Hostility) {
    this.#clock = clock;
    this.#chance = chance;
    this.hostility = hostility;
  }

  /** `echo`: what a refusal repeats of what was asked for, as engines do. */
  async call<T>(
    name: string,
    act: () => Promise<T>,
    { mayFailDone = true, echo }: { mayFailDone?: boolean; echo?: () => Promise<string> } = {},
  ): Promise<T> {
    if (this.dead) return forever();
    const { faults, delays, crashAt, onCrash } = this.hostility;
    if (++this.calls === crashAt) {
      this.dead = true;
      // The power goes before the call reaches its end, or after it has.
      if (this.#chance.happens(0.5)) await act().catch(() => undefined);
      onCrash?.();
      return forever();
    }
    await this.#mayTakeItsTime(delays);
    if (this.dead) return forever();
    const fail = async (when: string): Promise<never> => {
      throw new EngineError(`${name} failed ${when}${echo ? `: ${await echo()}` : ""}`, 500);
    };
    if (this.#chance.happens(faults / 2)) await fail("before it began");
    const result = await act();
    // What the answer says may be old when it comes.
    await this.#mayTakeItsTime(delays);
    if (this.dead) return forever();
    if (mayFailDone && this.#chance.happens(faults / 2)) await fail("after it was done");
    return result;
  }

  async #mayTakeItsTime(delays: number): Promise<void> {
    if (this.#chance.happens(delays)) await this.#clock.sleep(this.#chance.below(400));
  }

  clock(): Clock {
    const clock = this.#clock;
    return {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      random: () => clock.random(),
      token: (bytes) => clock.token(bytes),
      sleep: async (ms, signal) => {
        await clock.sleep(ms, signal);
        if (this.dead) await forever();
      },
    };
  }

  engine(engine: Engine): Engine {
    const call = <T>(name: string, act: () => Promise<T>, echo?: () => Promise<string>) =>
      this.call(name, act, echo && { echo });
    const pairs = (spec: ContainerSpec | undefined) =>
      `invalid environment: ${JSON.stringify(Object.entries(spec?.environment ?? {}).map((pair) => pair.join("=")))}`;
    const specOf = async (id: string) =>
      (await engine.look({ fresh: true })).containers.find((container) => container.id === id)?.spec;
    return {
      name: engine.name,
      look: (options) => call("look", () => engine.look(options)),
      onEvent: (listener) => engine.onEvent((event) => void (this.dead || listener(event))),
      imageConfig: (id) => call("imageConfig", () => engine.imageConfig(id)),
      pull: (image, onProgress, signal) => call("pull", () => engine.pull(image, onProgress, signal)),
      tagImage: (id, name) => call("tagImage", () => engine.tagImage(id, name)),
      removeImage: (name) => call("removeImage", () => engine.removeImage(name)),
      createContainer: (name, spec) =>
        call(
          "createContainer",
          () => engine.createContainer(name, spec),
          async () => pairs(spec),
        ),
      startContainer: (id) =>
        call(
          "startContainer",
          () => engine.startContainer(id),
          async () => pairs(await specOf(id)),
        ),
      stopContainer: (id) => call("stopContainer", () => engine.stopContainer(id)),
      removeContainer: (id) => call("removeContainer", () => engine.removeContainer(id)),
      renameContainer: (id, name) => call("renameContainer", () => engine.renameContainer(id, name)),
      setRestartPolicy: (id, policy) => call("setRestartPolicy", () => engine.setRestartPolicy(id, policy)),
      createNetwork: (name, spec) => call("createNetwork", () => engine.createNetwork(name, spec)),
      removeNetwork: (id) => call("removeNetwork", () => engine.removeNetwork(id)),
      createVolume: (name, spec) => call("createVolume", () => engine.createVolume(name, spec)),
      removeVolume: (name) => call("removeVolume", () => engine.removeVolume(name)),
      copyVolume: (from, to, image, signal) =>
        call("copyVolume", async () => {
          if (!this.dead) return engine.copyVolume(from, to, image, signal);
          // The power goes when the new volume is there and still empty.
          await engine.removeVolume(to.name);
          await engine.createVolume(to.name, to.spec);
        }),
      volumeSize: (name) => call("volumeSize", () => engine.volumeSize(name)),
      logs: (id, since, signal, options) => engine.logs(id, since, signal, options),
      top: (id) => engine.top(id),
      exec: (id, request) => engine.exec(id, request),
      stats: (id) => engine.stats(id),
    };
  }

  folders(folders: MemoryFolders): Pick<Ports, "folders" | "locks" | "leaseFiles" | "handover"> {
    return {
      folders: {
        root: folders.root,
        prepare: () => this.call("prepare", () => folders.prepare()),
        clearLeftovers: () => folders.clearLeftovers(),
      },
      locks: {
        take: (appId, services, options) => this.call("take", () => folders.take(appId, services, options)),
        release: (appId) => this.call("release", () => folders.release(appId)),
        held: () => folders.held(),
      },
      leaseFiles: {
        putLease: (appId, service) => this.call("putLease", () => folders.putLease(appId, service)),
        removeLease: (appId, service) => this.call("removeLease", () => folders.removeLease(appId, service)),
        lockedServices: () => this.call("lockedServices", () => folders.lockedServices()),
      },
      handover: {
        hasTakenOver: (appId, service) => this.call("hasTakenOver", () => folders.hasTakenOver(appId, service)),
        hasConfirmed: (appId, service) => this.call("hasConfirmed", () => folders.hasConfirmed(appId, service)),
        clearConfirmation: (appId, service) =>
          this.call("clearConfirmation", () => folders.clearConfirmation(appId, service)),
        clearTakeOver: (appId, service) => this.call("clearTakeOver", () => folders.clearTakeOver(appId, service)),
      },
    };
  }

  store(store: Store): Store {
    return {
      read: (name) => store.read(name),
      // What could not be written is not there: that much a store promises.
      write: (documents) => this.call("write", () => store.write(documents), { mayFailDone: false }),
    };
  }
}

const forever = (): Promise<never> => new Promise(() => {});
