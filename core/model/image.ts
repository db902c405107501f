/** An image on the engine. */
export interface Image {
  /** `sha256:…`. Containers refer to their image by it. */
  readonly id: string;
  /** `name:tag`, as the engine lists them. */
  readonly tags: readonly string[];
  /** `name@sha256:…`, known for images that came from a registry. */
  readonly digests: readonly string[];
  /** Its bytes on the disk, with the layers that it shares with other images. Absent: not known. */
  readonly bytes?: number;
}

/** An image's defaults for its containers. */
export interface ImageConfig {
  readonly command: readonly string[];
  readonly entrypoint: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly user: string;
  readonly workingDir: string;
  readonly stopSignal: string;
  readonly healthcheck: Healthcheck | null;
  /** Go's name, such as amd64 or arm64; absent if it is not known. */
  readonly architecture?: string;
  /** The `diffId` of each layer, the lowest first; absent if they are not known. */
  readonly layers?: readonly string[];
}

/** A layer of an image in a registry. */
export interface Layer {
  /** Of the unpacked layer. The engine has a layer already if an image has it with the same layers below. */
  readonly diffId: string;
  /** As it is downloaded, compressed. */
  readonly bytes: number;
}

/** What a registry says about an image. */
export type Manifest =
  | { readonly is: "known"; readonly layers: readonly Layer[]; readonly architecture?: string }
  /** The registry has it only for other architectures. */
  | { readonly is: "foreign"; readonly architectures: readonly string[] }
  | { readonly is: "unknown"; readonly reason: string };

/** Durations in nanoseconds, as the engine keeps them; 0 is the engine's default. */
export interface Healthcheck {
  readonly test: readonly string[];
  readonly interval: number;
  readonly timeout: number;
  readonly startPeriod: number;
  readonly retries: number;
  /** Absent: the engine's default. Engines before API 1.44 do not have it. */
  readonly startInterval?: number;
}

/** Credentials for a registry. */
export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** An image's name in a target state, normalized. */
export interface ImageReference {
  /** `name:tag` or `name@digest`, without credentials: safe to show. */
  readonly name: string;
  /** Credentials that were written into the reference (`user:password@registry/name`). */
  readonly auth?: Credentials;
}

/** An image that was fetched or used for a service, as the state endpoints list it. */
export interface ImageRecord {
  readonly name: string;
  readonly appId: number;
  readonly serviceName: string;
  readonly imageId: number;
  /** Empty until the image has been seen on the engine. */
  readonly dockerImageId: string;
  /** The last release that needed it; absent until the image has been seen on the engine. */
  readonly releaseId?: number | undefined;
}

// The grammar of https://pkg.go.dev/github.com/distribution/reference. Credentials must be followed by a registry:
// "alpine:3@sha256:…" has none.
const credentials = /(?:([^\s:@/]+):([^\s@/]+)@(?=[^\s@/]+\/))?/;
const registry = /(?:[A-Za-z\d]+(?:(?:\.|-+)[A-Za-z\d]+)*(?::\d+)?\/)?/;
const repository = /[a-z\d]+(?:(?:[./_]|__|-+)[a-z\d]+)*/;
const version = /(?::(\w[\w.-]{0,127}))?(?:@(sha256:[\da-f]{64}))?/;
export const reference = new RegExp(`^${credentials.source}(${registry.source}${repository.source})${version.source}$`);

/**
 * Normalizes `registry:5000/name:tag`, `name`, `name@sha256:…` or `user:password@registry/name:tag`.
 * Undefined for any other text.
 */
export function parseImage(text: string): ImageReference | undefined {
  const match = reference.exec(text);
  if (!match) return undefined;
  const [, username, password, path = "", tag, digest] = match;
  const name = path.replace(/^docker\.io\//, "").replace(/^library\/(?=[^/]+$)/, "");
  return {
    name: digest ? `${name}@${digest}` : `${name}:${tag ?? "latest"}`,
    ...(username !== undefined && password !== undefined && { auth: { username, password } }),
  };
}

/** The registry of an image's name: the part before the first slash, if it looks like a host; undefined: Docker Hub. */
export function registryOf(name: string): string | undefined {
  const [first = "", ...rest] = name.split("/");
  return rest.length > 0 && (/[.:]/.test(first) || first === "localhost") ? first : undefined;
}

/** The image on the engine that a name refers to now. A tag may refer to another image later. */
export const findImage = <T extends Image>(images: readonly T[], name: string): T | undefined =>
  images.find((image) => image.tags.includes(name) || image.digests.includes(name));

/**
 * The name that keeps an image of a committed release on the engine, for the case that its own name moves on. An image that
 * is named by its digest needs none.
 */
export const keptImageName = (id: string): string => `${keptRepository}:${id.replace(/^sha256:/, "").slice(0, 32)}`;

const keptRepository = "fairlead-committed";

export const isKeptImageName = (name: string): boolean => name.startsWith(`${keptRepository}:`);
