import type { View } from "../reconcile/view.ts";
import type { Logs } from "../events/logs.ts";
import { isOn } from "../model/config.ts";
import type { CloudPorts, Ports } from "../ports/index.ts";
import type { Documents } from "../state/documents.ts";
import type { Targets } from "../state/targets.ts";
import { withoutKeys } from "./answers.ts";
import { OlderReleases } from "./release-images.ts";
import { LogShipper } from "./log-shipper.ts";
import { tellName } from "./name.ts";
import { Poll } from "./poll.ts";
import { Registration, type Newcomer, type Provisioning } from "./registration.ts";
import { Reachability } from "./reachability.ts";
import type { DeviceStatus } from "./report.ts";
import { Reporter } from "./reporter.ts";
import { Tags } from "./tags.ts";
import { messageOf } from "../model/show.ts";

const interruptionMs = 60_000;

/** What a device is given to find its cloud with, besides the address. */
export interface CloudSettings {
  readonly provisioning?: Provisioning;
  /** The host of the cloud's registry, if it has one. */
  readonly registry?: string | undefined;
  /** How often to ask for the target state, until that says so itself. */
  readonly pollIntervalMs?: number;
  /** What the device is to be called in the cloud, from when it has registered on. */
  readonly initialName?: string;
}

interface Parts {
  readonly ports: Ports & { readonly cloud: CloudPorts };
  readonly documents: Documents;
  readonly targets: Targets;
  readonly settings: CloudSettings;
  readonly endpoint: string;
  /** Empty: to be got by registering. */
  readonly givenKey: string;
  readonly newcomer: () => Newcomer;
  readonly status: () => DeviceStatus;
  readonly activity: ReadonlyMap<string, string>;
}

/** What the conversation and the rest of the agent need of each other. */
export interface Surroundings {
  readonly logs: Logs;
  readonly view: () => View | undefined;
  /** There is a new target state. */
  readonly changed: (force: boolean) => void;
}

/**
 * The device's conversation with its cloud: each part at its own pace, and none of them in the way of anything else. An
 * outage of the cloud is nothing but their waiting.
 */
export class Conversation {
  readonly registration: Registration;
  readonly shipper: LogShipper;
  readonly tags: Tags;
  readonly #releases: OlderReleases;
  readonly #reachability: Reachability;
  readonly #parts: Parts;
  readonly #end = new AbortController();
  #poll: Poll | undefined;
  #reporter: Reporter | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    const { ports, documents, settings, givenKey, newcomer, targets } = parts;
    const endpoint = parts.endpoint.replace(/\/+$/, "");
    const { clock, log, cloud } = ports;
    const { uuid } = newcomer();
    this.#reachability = new Reachability(clock, withoutKeys(cloud.ask));
    const { ask, pause } = this.#reachability;
    const { ring } = cloud;
    const { provisioning, initialName } = settings;
    this.registration = new Registration({
      documents,
      clock,
      ask,
      pause,
      log,
      newcomer,
      endpoint,
      givenKey,
      provisioning,
      initialName,
    });
    const wants = () => !targets.isLocalMode() && isOn(targets.cloudConfig(), "SUPERVISOR_LOG_CONTROL");
    this.shipper = new LogShipper({ clock, documents, ask, pause, ring, log, uuid, wants });
    this.#releases = new OlderReleases(documents, uuid);
    this.tags = new Tags({ clock, documents, log, ask, pause, uuid, key: () => this.registration.key() });
  }

  async load(): Promise<void> {
    await Promise.all([this.registration.load(), this.shipper.load(), this.#releases.load()]);
  }

  start({ logs, view, changed }: Surroundings): void {
    const { ports, targets, settings, newcomer, status, activity } = this.#parts;
    const { clock, log, metrics } = ports;
    const { ask, pause } = this.#reachability;
    const { uuid } = newcomer();
    const { pollIntervalMs: givenIntervalMs } = settings;
    const olderImages = () => this.#releases.images();
    const reporter = new Reporter({
      clock,
      ask,
      pause,
      log,
      targets,
      metrics,
      uuid,
      status,
      view,
      activity,
      olderImages,
    });
    const poll = new Poll({
      clock,
      ask,
      pause,
      logs,
      targets,
      uuid,
      givenIntervalMs,
      useDerivedKeys: () => this.registration.useDerivedKeys(),
      followed: (body) => this.#releases.follow(body, view()?.current.containers ?? []),
      changed: (force) => {
        reporter.forgive();
        changed(force);
      },
    });
    this.#reporter = reporter;
    this.#poll = poll;
    const { signal } = this.#end;
    const { documents } = this.#parts;
    void this.#keepUp(() => this.registration.run(signal));
    void this.registration.known().then((key) => {
      void this.#keepUp(() => poll.run(key, signal));
      void this.#keepUp(() => reporter.run(key, signal));
      void this.#keepUp(() => this.shipper.run(key, signal));
      void this.#keepUp(() => this.tags.run(key, signal));
      void this.#keepUp(() => tellName({ clock, ask, pause, log, documents, key }, signal));
    });
  }

  /** A full disk, or whatever else nobody has thought of, must not end a part of the conversation for good. */
  async #keepUp(part: () => Promise<void>): Promise<void> {
    const { clock, log } = this.#parts.ports;
    const { signal } = this.#end;
    for (let broken = true; broken && !signal.aborted;)
      try {
        await part();
        broken = false;
      } catch (error) {
        if (signal.aborted) return;
        log.warn(`The conversation with the cloud is interrupted: ${messageOf(error)}`);
        await clock.sleep(interruptionMs, signal);
      }
  }

  /** Asks for the target state now; `force` holds for a new one that this brings. */
  update({ force }: { force: boolean }): void {
    this.#poll?.now({ force });
  }

  /** Something may have changed that the cloud should know. */
  reportSoon(): void {
    this.#reporter?.soon();
  }

  async stop(): Promise<void> {
    this.#end.abort();
    await this.shipper.stop();
  }
}
