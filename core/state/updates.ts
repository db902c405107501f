import type { EventSink } from "../events/events.ts";
import { findImage, keptImageName, type Image } from "../model/image.ts";
import { messageOf } from "../model/show.ts";
import { fingerprintOf } from "../model/fingerprint.ts";
import { findApp, type App } from "../model/target.ts";
import type { UpdateFailure, UpdateRecord } from "../model/update.ts";
import type { UpdateFacts } from "../model/update-facts.ts";
import type { Clock } from "../ports/clock.ts";
import type { CommittedRelease, Documents } from "./documents.ts";
import { oneByOne } from "./one-by-one.ts";
import type { Targets } from "./targets.ts";

interface Parts {
  readonly documents: Documents;
  readonly clock: Pick<Clock, "monotonic">;
  readonly events: EventSink;
  readonly targets: Pick<Targets, "current" | "sourceOf" | "parseSource">;
  /** Whether releases are committed: not in local mode, unless the target asks for it. */
  readonly isOn: () => boolean;
  /** When the cloud answered last, on the monotonic clock; undefined: never in this run. */
  readonly cloudReachedAt: () => number | undefined;
  /** Called when an update begins to be tried, and when its trial begins anew. */
  readonly onTrial: (appId: number) => void;
}

/** What this run of the agent knows of an update that it tries. */
interface Trial {
  readonly since: number;
  /** When an image of the target was missing last: a strategy that kills first downloads during the trial. */
  readonly incompleteAt?: number;
  readonly cloudWasReached: boolean;
  readonly told?: UpdateFailure;
}

/**
 * The committed release of each application, and where its update stands. Stored before the device acts on it, so that
 * whatever interrupts the agent, the next start goes on to the target or back to the committed release.
 */
export class Updates {
  readonly #parts: Parts;
  #committed: Readonly<Record<string, CommittedRelease>> = {};
  #records: Readonly<Record<string, UpdateRecord>> = {};
  readonly #trials = new Map<number, Trial>();
  /** The committed releases as parsed by this version of the agent. */
  readonly #apps = new Map<CommittedRelease, App | undefined>();
  readonly #inOrder = oneByOne();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async load(): Promise<void> {
    const { documents } = this.#parts;
    const [committed, records] = await Promise.all([documents.read("committed"), documents.read("updates")]);
    this.#committed = committed ?? {};
    this.#records = records ?? {};
  }

  isOn(): boolean {
    return this.#parts.isOn();
  }

  recordOf(appId: number): UpdateRecord | undefined {
    return this.isOn() ? this.#records[appId] : undefined;
  }

  /** The release that the application returns to if its update fails. */
  committedOf(appId: number): CommittedRelease | undefined {
    return this.isOn() ? this.#committed[appId] : undefined;
  }

  /** What the planner needs to know, for these and all other applications with a committed release. */
  states(appIds: readonly number[], images: readonly Image[]): ReadonlyMap<number, UpdateFacts> {
    if (!this.isOn()) return new Map();
    const ids = new Set([...appIds, ...[this.#committed, this.#records].flatMap(Object.keys).map(Number)]);
    return new Map([...ids].map((appId) => [appId, this.#stateOf(appId, images)]));
  }

  #stateOf(appId: number, images: readonly Image[]): UpdateFacts {
    const { clock, cloudReachedAt } = this.#parts;
    const committed = this.#committed[appId];
    const app = committed && this.#parse(committed);
    const trial = this.#noteImages(appId, images);
    const now = clock.monotonic();
    const reachedAt = cloudReachedAt();
    return {
      ...(committed &&
        app && {
          committed: {
            app: withImages(app, committed.images, images),
            fingerprint: committed.fingerprint,
            images: Object.fromEntries(
              Object.entries(committed.images).map(([service, id]) => [service, keptImageName(id)]),
            ),
          },
        }),
      record: this.#records[appId],
      ...(trial && {
        begunMs: now - trial.since,
        triedMs: now - (trial.incompleteAt ?? trial.since),
        ...(trial.cloudWasReached && { cloudReached: reachedAt !== undefined && reachedAt >= trial.since }),
        told: trial.told,
      }),
    };
  }

  #noteImages(appId: number, images: readonly Image[]): Trial | undefined {
    const trial = this.#trials.get(appId);
    const services = trial ? (findApp(this.#parts.targets.current(), appId)?.services ?? []) : [];
    if (!trial || services.every(({ image }) => findImage(images, image.name))) return trial;
    const incomplete = { ...trial, incompleteAt: this.#parts.clock.monotonic() };
    this.#trials.set(appId, incomplete);
    return incomplete;
  }

  /** The images of the committed releases. */
  images(): readonly { readonly id: string; readonly name: string }[] {
    if (!this.isOn()) return [];
    return Object.values(this.#committed).flatMap((committed) =>
      (this.#parse(committed)?.services ?? []).map(({ name: service, image: { name } }) => ({
        id: committed.images[service] ?? "",
        name,
      })),
    );
  }

  #parse(committed: CommittedRelease): App | undefined {
    if (!this.#apps.has(committed)) this.#apps.set(committed, this.#parts.targets.parseSource(committed.source));
    return this.#apps.get(committed);
  }

  /** The contents of the committed releases' files. */
  fileOf(id: string): NonNullable<App["files"]>[string] | undefined {
    for (const committed of Object.values(this.#committed)) {
      const files = this.#parse(committed)?.files;
      if (files && Object.hasOwn(files, id)) return files[id];
    }
    return undefined;
  }

  /** Throws if it cannot be stored: an update that nobody remembers must not begin. A return begins all the same. */
  setRecord(appId: number, record: UpdateRecord | undefined): Promise<void> {
    return this.#inOrder(() => this.#setRecord(appId, record && withSnapshotsOf(this.#records[appId], record)));
  }

  async #setRecord(appId: number, record: UpdateRecord | undefined): Promise<void> {
    const { [appId]: before, ...others } = this.#records;
    const records = record ? { ...others, [appId]: record } : others;
    if (record?.phase === "back") this.#records = records;
    try {
      await this.#parts.documents.write({ updates: records });
    } catch (error) {
      if (record?.phase !== "back") throw error;
      this.#parts.events.emit({ kind: "memoryNotSaved", reason: messageOf(error) });
    }
    this.#records = records;
    if (record?.phase !== "trying") this.#trials.delete(appId);
    else if (before?.phase !== "trying" || before.attempts !== record.attempts || !this.#trials.has(appId))
      this.#begin(appId);
  }

  /** Notes that the copy of a volume is made; undefined: it has been restored, or is not needed. */
  setSnapshot(appId: number, volume: string, is: "made" | undefined): Promise<void> {
    return this.#inOrder(async () => {
      const record = this.#records[appId];
      if (record?.snapshots?.[volume] === undefined) return;
      const { [volume]: _, ...others } = record.snapshots;
      await this.#setRecord(appId, { ...record, snapshots: is ? { ...others, [volume]: is } : others });
      // The time of the copy is not the release's.
      if (record.phase === "trying") this.#begin(appId);
    });
  }

  #begin(appId: number): void {
    const { clock, cloudReachedAt, onTrial } = this.#parts;
    onTrial(appId);
    this.#trials.set(appId, { since: clock.monotonic(), cloudWasReached: cloudReachedAt() !== undefined });
  }

  /** The trials begin anew: for some time, nobody could see whether their services proved themselves. */
  restartTrials(): void {
    for (const appId of this.#trials.keys()) this.#begin(appId);
  }

  /** A service says that the update has failed. It is lost with the agent, and then the gates decide. */
  tell(appId: number, failure: UpdateFailure): void {
    const trial = this.#trials.get(appId);
    if (trial) this.#trials.set(appId, { ...trial, told: failure });
  }

  /** Records in one write that the target has proved itself. `images`: the image ids of its services. */
  commit(
    appId: number,
    { commit, fingerprint, images }: Pick<CommittedRelease, "commit" | "fingerprint" | "images">,
  ): Promise<void> {
    const { targets } = this.#parts;
    const app = findApp(targets.current(), appId);
    const source = targets.sourceOf(appId);
    // The target has changed since the plan was made.
    if (!source || !app || fingerprintOf(app) !== fingerprint) return Promise.resolve();
    return this.#settle(appId, { commit, fingerprint, images, source });
  }

  forget(appId: number): Promise<void> {
    return this.#settle(appId, undefined);
  }

  /** Forgets all applications if releases are not committed any more; undefined: there is nothing to forget. */
  forgetUnlessOn(): Promise<unknown> | undefined {
    const known = new Set([this.#committed, this.#records].flatMap(Object.keys));
    return this.isOn() || known.size === 0 ? undefined : Promise.all([...known].map((id) => this.forget(Number(id))));
  }

  #settle(appId: number, release: CommittedRelease | undefined): Promise<void> {
    return this.#inOrder(async () => {
      const { [appId]: _, ...updates } = this.#records;
      const { [appId]: __, ...others } = this.#committed;
      const committed = release ? { ...others, [appId]: release } : others;
      await this.#parts.documents.write({ committed, updates });
      this.#committed = committed;
      this.#records = updates;
      this.#trials.delete(appId);
      for (const known of this.#apps.keys()) if (!Object.values(committed).includes(known)) this.#apps.delete(known);
    });
  }
}

/** The copies of volumes stay those of the update until it has ended, whoever writes how it goes on. */
const withSnapshotsOf = (before: UpdateRecord | undefined, record: UpdateRecord): UpdateRecord =>
  before?.snapshots && !record.snapshots && record.phase !== "rejected" && record.fingerprint === before.fingerprint
    ? { ...record, snapshots: before.snapshots }
    : record;

/** A release with the names that its images have now: a tag may have moved since. */
const withImages = (app: App, ids: Readonly<Record<string, string>>, images: readonly Image[]): App => ({
  ...app,
  services: app.services.map((service) => {
    const id = ids[service.name];
    if (id === undefined || findImage(images, service.image.name)?.id === id) return service;
    const image = images.find((one) => one.id === id);
    const name = image?.tags[0] ?? image?.digests[0];
    return name === undefined ? service : { ...service, image: { ...service.image, name } };
  }),
});
