import * as z from "zod";
import type { Container } from "../model/container.ts";
import { sameJson } from "../model/json.ts";
import { parseContainerName } from "../model/names.ts";
import type { Documents } from "../state/documents.ts";

/** The images of releases in the cloud's spelling, by application uuid, commit and service. */
export type ReleaseImages = Readonly<Record<string, ImagesByCommit>>;
type ImagesByCommit = Readonly<Record<string, Readonly<Record<string, string>>>>;

const Body = z.record(
  z.string(),
  z.object({
    apps: z.record(
      z.string(),
      z.object({
        releases: z
          .record(z.string(), z.object({ services: z.record(z.string(), z.object({ image: z.string() })).default({}) }))
          .default({}),
      }),
    ),
  }),
);

/** The images of a target state's releases, rejected releases included. */
export function imagesOf(body: object, uuid: string): ReleaseImages {
  const apps = Body.safeParse(body).data?.[uuid]?.apps ?? {};
  return mapValues(apps, ({ releases }) =>
    mapValues(releases, ({ services }) => mapValues(services, ({ image }) => image)),
  );
}

/** The releases of both; a release of `newer` replaces the same release of `older`. */
export const withNewer = (older: ReleaseImages, newer: ReleaseImages): ReleaseImages =>
  mapValues({ ...older, ...newer }, (_, app) => ({ ...older[app], ...newer[app] }));

/** The release that a container was made for. */
export const commitOf = ({ name, service }: Pick<Container, "name" | "service">): string | undefined =>
  parseContainerName(name, service)?.commit;

/** Stores the images of older releases while containers of them exist, since reports use these names. */
export class OlderReleases {
  #images: ReleaseImages = {};
  /** The commits of the last target state. Their containers may have been created after the last observation. */
  #latest: ReadonlySet<string> = new Set();
  readonly #documents: Documents;
  readonly #uuid: string;

  constructor(documents: Documents, uuid: string) {
    this.#documents = documents;
    this.#uuid = uuid;
  }

  async load(): Promise<void> {
    this.#images = (await this.#documents.read("release-images")) ?? {};
    this.#latest = commitsOf(this.#images);
  }

  images(): ReleaseImages {
    return this.#images;
  }

  /** Called with a new target state and the containers of the device. */
  async follow(body: object, containers: readonly Container[]): Promise<void> {
    const target = imagesOf(body, this.#uuid);
    const needed = new Set([...commitsOf(target), ...this.#latest, ...containers.map(commitOf)]);
    this.#latest = commitsOf(target);
    const images = mapValues(withNewer(this.#images, target), (releases) =>
      Object.fromEntries(Object.entries(releases).filter(([commit]) => needed.has(commit))),
    );
    if (sameJson(images, this.#images)) return;
    this.#images = images;
    await this.#documents.write({ "release-images": images });
  }
}

const commitsOf = (images: ReleaseImages): ReadonlySet<string> =>
  new Set(Object.values(images).flatMap((releases) => Object.keys(releases)));

const mapValues = <T, U>(record: Readonly<Record<string, T>>, map: (value: T, key: string) => U): Record<string, U> =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value, key)]));
