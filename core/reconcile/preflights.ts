import { platformsOf, runsImageOf } from "../model/architecture.ts";
import { findImage, type Credentials, type ImageConfig, type ImageReference, type Manifest } from "../model/image.ts";
import { messageOf } from "../model/show.ts";
import type { Service } from "../model/target.ts";
import type { Clock } from "../ports/clock.ts";
import type { EngineHost } from "../ports/engine-host.ts";
import type { Engine, EngineState } from "../ports/engine.ts";
import { isMissing, type Missing } from "../ports/index.ts";
import type { Registry } from "../ports/registry.ts";
import { whyShort } from "../model/disk.ts";
import type { Download, PreflightFacts } from "./current.ts";
import { downloadSizes, fitsAnyway } from "./plan-preflight.ts";

interface Parts {
  readonly engine: Pick<Engine, "imageConfig" | "volumeSize">;
  readonly engineHost: EngineHost | Missing;
  readonly registry: Registry | Missing;
  readonly clock: Clock;
  /** The device's architecture, by balena's name. */
  readonly arch: string;
  readonly credentialsFor: (image: string) => Credentials | undefined;
  /** Called when a registry has answered. */
  readonly moved: () => void;
}

/** A registry that does not answer within this time does not delay an update any longer. */
const answerMs = 5_000;

/** A caller may name any number of images. */
const mostAsked = 20;

/** Gathers what is known about images before they are downloaded. Each registry is asked once for each image of a target. */
export class Preflights {
  readonly #parts: Parts;
  readonly #manifests = new Map<string, Manifest>();
  readonly #asked = new Map<string, AbortController>();
  readonly #failures = new WeakSet<Download>();
  /** The bytes of volumes, by name; undefined: the engine has been asked. */
  readonly #volumes = new Map<string, number | undefined>();
  /** By image id. */
  #layers: ReadonlyMap<string, readonly string[]> = new Map();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Undefined if no download is due, or if the space is not known. `services`, `volumes`: of the target. */
  async facts(
    { services, volumes }: { readonly services: readonly Service[]; readonly volumes: readonly string[] },
    { images }: Pick<EngineState, "images">,
    downloads: ReadonlyMap<string, Download>,
  ): Promise<PreflightFacts | undefined> {
    const { engineHost, registry } = this.#parts;
    this.#keep(new Set(services.map(({ image }) => image.name)));
    const absent = services.filter(({ image }) => !findImage(images, image.name));
    const isDue = absent.some(({ image }) => downloads.get(image.name)?.is !== "running");
    if (!isDue) this.#volumes.clear();
    if (!isDue || isMissing(engineHost) || isMissing(registry)) return undefined;
    const space = await engineHost.space();
    if (!space) return undefined;
    for (const { image } of absent) this.#forgetAfterFailure(image.name, downloads.get(image.name));
    for (const { image } of absent)
      if (!this.#manifests.has(image.name) && !this.#asked.has(image.name)) void this.#ask(image, registry);
    for (const name of volumes) if (!this.#volumes.has(name)) void this.#measure(name);
    const manifests = new Map(this.#manifests);
    const layers = fitsAnyway(space, manifests, absent) ? new Map() : await this.#layersOf(images.map(({ id }) => id));
    const known = [...this.#volumes].flatMap(([name, bytes]): [string, number][] =>
      bytes === undefined ? [] : [[name, bytes]],
    );
    return { space, asked: new Set(this.#asked.keys()), manifests, layers, volumes: new Map(known) };
  }

  /** The bytes to download, by image; images are left out whose registry does not answer in time. Asks at most 20 of them. */
  async downloadSizes(
    wanted: readonly Pick<Service, "image">[],
    { images }: Pick<EngineState, "images">,
  ): Promise<ReadonlyMap<string, number>> {
    const { registry } = this.#parts;
    if (isMissing(registry) || wanted.length === 0) return new Map();
    const read = wanted.slice(0, mostAsked).map(async ({ image }): Promise<[string, Manifest]> => {
      const end = new AbortController();
      return [image.name, this.#manifests.get(image.name) ?? (await this.#manifestOf(image, registry, end))];
    });
    const manifests = new Map(await Promise.all(read));
    return downloadSizes(wanted, { manifests, layers: await this.#layersOf(images.map(({ id }) => id)) });
  }

  /** Of the architectures of these images, those that the machine runs by an interpreter; undefined if it is not known. */
  emulated(configs: readonly ImageConfig[]): ReadonlySet<string> | undefined {
    const { engineHost, arch } = this.#parts;
    if (isMissing(engineHost)) return undefined;
    const ofManifest = (one: Manifest): readonly (string | undefined)[] =>
      one.is === "foreign" ? one.architectures : one.is === "known" ? [one.architecture] : [];
    const all = [...[...this.#manifests.values()].flatMap(ofManifest), ...configs.map((one) => one.architecture)];
    return new Set(all.flatMap((one) => (one && !runsImageOf(arch, one) && engineHost.emulates(one) ? [one] : [])));
  }

  /** Why downloads that are under way must end; undefined if there is space. */
  async whyShort(): Promise<string | undefined> {
    const { engineHost } = this.#parts;
    const space = isMissing(engineHost) ? undefined : await engineHost.space();
    return space && whyShort(space, 0);
  }

  isAsking(): boolean {
    return this.#asked.size > 0 || [...this.#volumes.values()].includes(undefined);
  }

  /** Asks again what could not be known. */
  forgetUnknown(): void {
    for (const [name, { is }] of this.#manifests) if (is === "unknown") this.#manifests.delete(name);
    this.#volumes.clear();
  }

  /** A registry that could not be reached when the target came may answer now. It is asked once for each failed download. */
  #forgetAfterFailure(name: string, download: Download | undefined): void {
    if (download?.is !== "failed" || this.#failures.has(download)) return;
    this.#failures.add(download);
    if (this.#manifests.get(name)?.is === "unknown") this.#manifests.delete(name);
  }

  /** Ends the requests to registries. */
  cancel(): void {
    this.#keep(new Set());
  }

  #keep(names: ReadonlySet<string>): void {
    for (const name of this.#manifests.keys()) if (!names.has(name)) this.#manifests.delete(name);
    for (const [name, end] of this.#asked)
      if (!names.has(name)) {
        this.#asked.delete(name);
        end.abort();
      }
  }

  /** Once for each update: the engine reads the whole volume. One of an unknown size does not count. */
  async #measure(name: string): Promise<void> {
    this.#volumes.set(name, undefined);
    const bytes = (await this.#parts.engine.volumeSize(name).catch(() => undefined)) ?? 0;
    if (!this.#volumes.has(name)) return;
    this.#volumes.set(name, bytes);
    this.#parts.moved();
  }

  async #ask(image: ImageReference, registry: Registry): Promise<void> {
    const end = new AbortController();
    this.#asked.set(image.name, end);
    const manifest = await this.#manifestOf(image, registry, end);
    if (this.#asked.get(image.name) !== end) return;
    this.#asked.delete(image.name);
    this.#manifests.set(image.name, manifest);
    this.#parts.moved();
  }

  /** Asks for a limited time, and then aborts `end`. */
  async #manifestOf(image: ImageReference, registry: Registry, end: AbortController): Promise<Manifest> {
    const { clock, arch, credentialsFor } = this.#parts;
    const unknown = (reason: string): Manifest => ({ is: "unknown", reason });
    const late = clock.sleep(answerMs, end.signal).then(() => unknown(`no answer within ${answerMs / 1000} s`));
    const request = { ...image, fallback: credentialsFor(image.name) };
    const answer = registry
      .manifest(request, platformsOf(arch), end.signal)
      .catch((error: unknown) => unknown(messageOf(error)));
    const manifest = await Promise.race([answer, late]);
    end.abort();
    return manifest;
  }

  /** An image's layers never change, so each image is inspected once. One that is removed meanwhile has none. */
  async #layersOf(ids: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>> {
    const read = ids.map(async (id) => {
      const known = this.#layers.get(id);
      if (known) return [id, known] as const;
      const { layers = [] } = await this.#parts.engine.imageConfig(id).catch(() => ({ layers: [] }));
      return [id, layers] as const;
    });
    this.#layers = new Map(await Promise.all(read));
    return this.#layers;
  }
}
