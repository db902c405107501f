import type { Difference } from "../compose/container.ts";
import { sameJson } from "../model/json.ts";
import type { Documents } from "../state/documents.ts";
import type { ImageRecord } from "./current.ts";

/** What the agent itself remembers. Some of it outlives the agent; the rest is meant to end with it. */
export class Memory {
  /** Containers that this run has started or seen running. */
  readonly seen = new Set<string>();
  /** Services that an earlier run had stopped on request: a stop lasts until the agent restarts. */
  stoppedBefore: ReadonlySet<string> = new Set();
  /** What is being done to a service right now ("Starting"), by `serviceKey`. */
  readonly activity = new Map<string, string>();
  #stopped = new Set<string>();
  #images: readonly ImageRecord[] = [];
  #tolerated: Readonly<Record<string, readonly Difference[]>> = {};
  readonly #documents: Documents;

  constructor(documents: Documents) {
    this.#documents = documents;
  }

  async load(): Promise<void> {
    const [stopped, images, tolerated] = await Promise.all([
      this.#documents.read("stopped"),
      this.#documents.read("images"),
      this.#documents.read("tolerated"),
    ]);
    this.stoppedBefore = new Set(stopped);
    this.#stopped = new Set(stopped);
    this.#images = images ?? [];
    this.#tolerated = tolerated ?? {};
  }

  get images(): readonly ImageRecord[] {
    return this.#images;
  }

  get tolerated(): ReadonlyMap<string, readonly Difference[]> {
    return new Map(Object.entries(this.#tolerated));
  }

  /** Adds these, each service and image once. */
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
    await this.#documents.write({ images });
  }

  /** What the engine made of our wishes for a container; it would be no other if it were made again. */
  async tolerate(id: string, found: readonly Difference[], existing: ReadonlySet<string>): Promise<void> {
    const kept = Object.entries(this.#tolerated).filter(([other]) => existing.has(other));
    if (found.length === 0 && kept.length === Object.keys(this.#tolerated).length) return;
    this.#tolerated = { ...Object.fromEntries(kept), ...(found.length > 0 && { [id]: found }) };
    await this.#documents.write({ tolerated: this.#tolerated });
  }

  async setStopped(key: string, stopped: boolean): Promise<void> {
    if (this.#stopped.has(key) === stopped) return;
    if (stopped) this.#stopped.add(key);
    else this.#stopped.delete(key);
    await this.#documents.write({ stopped: [...this.#stopped] });
  }
}
