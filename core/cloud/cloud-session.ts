import type { EventSink } from "../events/events.ts";
import { isOn } from "../model/config.ts";
import type { Container } from "../model/container.ts";
import type { CloudPorts, Ports } from "../ports/index.ts";
import type { Documents } from "../state/documents.ts";
import type { Targets } from "../state/targets.ts";
import { keepTrying } from "../retry.ts";
import { DeviceApiClient } from "./device-api-client.ts";
import { DeviceRegistration, type Provisioning, type RegistrationFacts } from "./device-registration.ts";
import { sendInitialName } from "./initial-name.ts";
import { LogShipper } from "./log-shipper.ts";
import { Poll } from "./poll.ts";
import { OlderReleases } from "./release-images.ts";
import type { DeviceStatus } from "./report-fields.ts";
import { Reporter, type ReadApps, type ReadProblems } from "./reporter.ts";
import { Tags } from "./tags.ts";
import { messageOf } from "../model/show.ts";

const restartPolicy = { firstMs: 60_000, maxMs: 60_000 };

/** The settings of a device for its cloud, without the address. */
export interface CloudSettings {
  readonly provisioning?: Provisioning;
  /** The host of the cloud's registry, if it has one. */
  readonly registry?: string | undefined;
  /** The poll interval until the target state sets one. */
  readonly pollIntervalMs?: number;
  /** The name that the device gets in the cloud after it has registered. */
  readonly initialName?: string;
}

interface Parts {
  readonly events: EventSink;
  readonly ports: Pick<Ports, "clock" | "metrics"> & { readonly cloud: CloudPorts };
  readonly documents: Documents;
  readonly targets: Targets;
  readonly settings: CloudSettings;
  readonly endpoint: string;
  /** Empty: the device gets its key when it registers. */
  readonly givenKey: string;
  readonly device: () => RegistrationFacts;
  readonly status: () => DeviceStatus;
}

/** The functions of the agent that the session calls. */
export interface SessionContext {
  readonly apps: ReadApps;
  readonly problems: ReadProblems;
  readonly containers: () => readonly Container[];
  /** Called when there is a new target state. */
  readonly changed: (force: boolean) => void;
}

/** Everything between the device and its cloud. Each part retries at its own pace and blocks no other part. */
export class CloudSession {
  readonly registration: DeviceRegistration;
  readonly shipper: LogShipper;
  readonly tags: Tags;
  readonly #releases: OlderReleases;
  readonly #client: DeviceApiClient;
  readonly #parts: Parts;
  readonly #end = new AbortController();
  #poll: Poll | undefined;
  #reporter: Reporter | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    const { ports, documents, settings, givenKey, device, targets } = parts;
    const endpoint = parts.endpoint.replace(/\/+$/, "");
    const { clock, cloud } = ports;
    const { events } = parts;
    const { uuid } = device();
    const client = new DeviceApiClient(clock, cloud.ask);
    this.#client = client;
    const { provisioning, initialName } = settings;
    this.registration = new DeviceRegistration({
      ...{ documents, clock, client, events, device, endpoint, givenKey, provisioning, initialName },
    });
    const wants = () => !targets.isLocalMode() && isOn(targets.cloudConfig(), "SUPERVISOR_LOG_CONTROL");
    this.shipper = new LogShipper({ clock, documents, client, ring: cloud.ring, events, uuid, wants });
    this.#releases = new OlderReleases(documents, uuid);
    this.tags = new Tags({ clock, documents, events, client, uuid, key: () => this.registration.key() });
  }

  async load(): Promise<void> {
    await Promise.all([this.registration.load(), this.shipper.load(), this.#releases.load()]);
  }

  start({ apps, problems, containers, changed }: SessionContext): void {
    const { ports, events, targets, settings, device, status, documents } = this.#parts;
    const { clock, metrics } = ports;
    const client = this.#client;
    const { uuid } = device();
    const olderImages = () => this.#releases.images();
    const reporter = new Reporter({
      clock,
      client,
      events,
      targets,
      metrics,
      uuid,
      status,
      apps,
      problems,
      olderImages,
    });
    const poll = new Poll({
      ...{ clock, client, events, targets, uuid, givenIntervalMs: settings.pollIntervalMs },
      useDerivedKeys: () => this.registration.useDerivedKeys(),
      takesProblems: (takes) => reporter.setTakesProblems(takes),
      accepted: (body) => this.#releases.follow(body, containers()),
      changed: (force) => {
        reporter.forgetRejections();
        changed(force);
      },
    });
    this.#reporter = reporter;
    this.#poll = poll;
    const { signal } = this.#end;
    void this.#keepRunning(() => this.registration.run(signal));
    void this.registration.registered().then((key) => {
      void this.#keepRunning(() => poll.run(key, signal));
      void this.#keepRunning(() => reporter.run(key, signal));
      void this.#keepRunning(() => this.shipper.run(key, signal));
      void this.#keepRunning(() => this.tags.run(key, signal));
      void this.#keepRunning(() => sendInitialName({ client, events, documents, key }, signal));
    });
  }

  /** A full disk, or another unforeseen error, must not end a part of the session for good. */
  async #keepRunning(part: () => Promise<void>): Promise<void> {
    const { events, ports } = this.#parts;
    const { clock } = ports;
    const { signal } = this.#end;
    await keepTrying(
      restartPolicy,
      () =>
        part().then(
          () => ({ ok: true, value: undefined }),
          (error: unknown) => ({ ok: false, why: messageOf(error) }),
        ),
      {
        clock,
        signal,
        onFailure: ({ why }) => {
          if (!signal.aborted) events.emit({ kind: "cloudInterrupted", reason: why });
        },
      },
    );
  }

  /** Polls now; `force` applies to a new target state that this brings. */
  update({ force }: { force: boolean }): void {
    this.#poll?.now({ force });
  }

  /** When the cloud answered last, on the monotonic clock. */
  reachedAt(): number | undefined {
    return this.#client.answeredAt();
  }

  /** Called when a reported field may have changed. */
  reportSoon(): void {
    this.#reporter?.soon();
  }

  async stop(): Promise<void> {
    this.#end.abort();
    await this.shipper.stop();
  }
}
