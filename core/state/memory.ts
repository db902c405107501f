import type { ImageRecord } from "../model/image.ts";
import { serviceKey } from "../model/names.ts";
import type { Difference } from "../compose/differences.ts";
import type { Container, InterruptedContainer } from "../model/container.ts";
import { sameJson } from "../model/json.ts";
import type { EventSink } from "../events/events.ts";
import type { Documents } from "./documents.ts";

type Kept = "images" | "commits" | "stopped" | "tolerated";

/** What the agent remembers. The parts named in `Kept` survive a restart of the agent; the others are lost on purpose. */
export class Memory {
  readonly #seen = new Set<string>();
  readonly #activity = new Map<string, string>();
  readonly #stoppedNow = new Set<string>();
  readonly #interrupted = new Map<string, InterruptedContainer>();
  readonly #keptImages = new Set<string>();
  readonly #announcedVolumes = new Set<string>();
  /** Containers that this run has started or seen running. */
  readonly seen: ReadonlySet<string> = this.#seen;
  /** Services that an earlier run had stopped on request. A stop lasts until the agent restarts. */
  stoppedBefore: ReadonlySet<string> = new Set();
  /** The operation in progress on a service, such as "Starting", by `serviceKey`. */
  readonly activity: ReadonlyMap<string, string> = this.#activity;
  /** Services that this run has stopped on request. */
  readonly stoppedNow: ReadonlySet<string> = this.#stoppedNow;
  /** Containers that a restart or a purge has removed, by `serviceKey`. */
  readonly interrupted: ReadonlyMap<string, InterruptedContainer> = this.#interrupted;
  /** Images that the engine refused to remove in this run, by name. */
  readonly keptImages: ReadonlySet<string> = this.#keptImages;
  /** The refusals of config variables that this run has logged last. */
  refusedConfig: readonly string[] = [];
  /** The volumes whose removal this run has announced in the log. */
  readonly announcedVolumes: ReadonlySet<string> = this.#announcedVolumes;
  #stopped = new Set<string>();
  #images: readonly ImageRecord[] = [];
  #commits: Readonly<Record<string, string>> = {};
  #tolerated: Readonly<Record<string, readonly Difference[]>> = {};
  readonly #unsaved = new Set<Kept>();
  readonly #documents: Documents;
  readonly #events: EventSink;

  constructor(documents: Documents, events: EventSink) {
    this.#documents = documents;
    this.#events = events;
  }

  async load(): Promise<void> {
    const [stopped, images, commits, tolerated] = await Promise.all([
      this.#documents.read("stopped"),
      this.#documents.read("images"),
      this.#documents.read("commits"),
      this.#documents.read("tolerated"),
    ]);
    this.stoppedBefore = new Set(stopped);
    this.#stopped = new Set(stopped);
    this.#images = images ?? [];
    this.#commits = commits ?? {};
    this.#tolerated = tolerated ?? {};
  }

  get images(): readonly ImageRecord[] {
    return this.#images;
  }

  get tolerated(): ReadonlyMap<string, readonly Difference[]> {
    return new Map(Object.entries(this.#tolerated));
  }

  /** Adds records. There is one record for each service and image. */
  async recordImages(records: readonly ImageRecord[]): Promise<void> {
    const key = ({ appId, serviceName, name }: ImageRecord) => `${appId}/${serviceName}/${name}`;
    const merged = [...new Map([...this.#images, ...records].map((record) => [key(record), record])).values()];
    await this.#saveImages(merged);
  }

  async forgetImage(name: string): Promise<void> {
    await this.#saveImages(this.#images.filter((record) => record.name !== name));
  }

  async #saveImages(images: readonly ImageRecord[]): Promise<void> {
    if (sameJson(images, this.#images)) return;
    this.#images = images;
    await this.#keep("images");
  }

  /** The release that an application reached last. It may have been removed or replaced since. */
  commitOf(appId: number): string | undefined {
    return this.#commits[appId];
  }

  async setCommits(reached: Readonly<Record<string, string>>): Promise<void> {
    const commits = { ...this.#commits, ...reached };
    if (sameJson(commits, this.#commits)) return;
    this.#commits = commits;
    await this.#keep("commits");
  }

  /** Records the differences that the engine made when it created a container. A new container would have them again. */
  async tolerate(id: string, found: readonly Difference[], existing: ReadonlySet<string>): Promise<void> {
    const kept = Object.entries(this.#tolerated).filter(([other]) => existing.has(other));
    if (found.length === 0 && kept.length === Object.keys(this.#tolerated).length) return;
    this.#tolerated = { ...Object.fromEntries(kept), ...(found.length > 0 && { [id]: found }) };
    await this.#keep("tolerated");
  }

  /** Records that a container runs. If it stops now, it was stopped on purpose. */
  markSeen(id: string): void {
    this.#seen.add(id);
  }

  /** Containers that stop after this are started again. */
  forgetSeen(...ids: readonly string[]): void {
    for (const id of ids) this.#seen.delete(id);
  }

  /**
   * Records which containers run, and forgets those that are gone. A container of an application for which something is
   * being done may be about to stop, and is not recorded.
   */
  recordRunning(containers: readonly Container[], isBusy: (appId: number) => boolean): void {
    const ids = new Set(containers.map(({ id }) => id));
    for (const { id, state, appId } of containers) if (state === "running" && !isBusy(appId)) this.#seen.add(id);
    for (const id of this.#seen) if (!ids.has(id)) this.#seen.delete(id);
  }

  /** Undefined: the operation has ended. */
  setActivity(key: string, word: string | undefined): void {
    if (word === undefined) this.#activity.delete(key);
    else this.#activity.set(key, word);
  }

  recordInterrupted(key: string, container: InterruptedContainer): void {
    this.#interrupted.set(key, container);
  }

  recordKeptImage(name: string): void {
    this.#keptImages.add(name);
  }

  recordAnnounced(volumes: readonly string[]): void {
    for (const volume of volumes) this.#announcedVolumes.add(volume);
  }

  /** Forgets removed containers that need not be created again, or have been. */
  forgetInterrupted(mayReturn: ReadonlySet<string>, containers: readonly Container[]): void {
    const back = ([key, { id }]: [string, InterruptedContainer]) =>
      containers.some((one) => serviceKey(one.appId, one.service) === key && one.id !== id);
    for (const entry of this.#interrupted)
      if (!mayReturn.has(entry[0]) || back(entry)) this.#interrupted.delete(entry[0]);
  }

  async setStopped(key: string, stopped: boolean): Promise<void> {
    if (stopped) this.#stoppedNow.add(key);
    else this.#stoppedNow.delete(key);
    if (this.#stopped.has(key) === stopped) return;
    if (stopped) this.#stopped.add(key);
    else this.#stopped.delete(key);
    await this.#keep("stopped");
  }

  /**
   * Stores what is not stored yet. A failure, such as a full disk, does not stop the agent: the values stay in memory until
   * a later call stores them.
   */
  async save(): Promise<void> {
    const names = [...this.#unsaved];
    if (names.length === 0) return;
    this.#unsaved.clear();
    const values = {
      images: this.#images,
      commits: this.#commits,
      stopped: [...this.#stopped],
      tolerated: this.#tolerated,
    };
    try {
      await this.#documents.write(Object.fromEntries(names.map((name) => [name, values[name]])));
    } catch (error) {
      for (const name of names) this.#unsaved.add(name);
      this.#events.emit({ kind: "memoryNotSaved", reason: String(error) });
    }
  }

  async #keep(name: Kept): Promise<void> {
    this.#unsaved.add(name);
    await this.save();
  }
}
