/** An image on the engine. */
export interface Image {
  /** `sha256:…`: what containers are made of and compared by. */
  readonly id: string;
  /** `name:tag`, as the engine lists them. */
  readonly tags: readonly string[];
  /** `name@sha256:…`, known for images that came from a registry. */
  readonly digests: readonly string[];
}

/** What an image itself says about the containers made of it. */
export interface ImageConfig {
  readonly command: readonly string[];
  readonly entrypoint: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly user: string;
  readonly workingDir: string;
  readonly stopSignal: string;
  readonly healthcheck: Healthcheck | null;
}

/** Durations in nanoseconds, as the engine keeps them; 0 is the engine's default. */
export interface Healthcheck {
  readonly test: readonly string[];
  readonly interval: number;
  readonly timeout: number;
  readonly startPeriod: number;
  readonly retries: number;
}

/** What a registry asks for. */
export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** An image as a target state names it, in one spelling. */
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
  /** Empty as long as it has not been seen on the engine. */
  readonly dockerImageId: string;
  /** The release that wanted it last, once it has been seen. */
  readonly releaseId?: number | undefined;
}

// The grammar of https://pkg.go.dev/github.com/distribution/reference. Credentials need a registry behind them: in
// "alpine:3@sha256:…" there are none.
const credentials = /(?:([^\s:@/]+):([^\s@/]+)@(?=[^\s@/]+\/))?/;
const registry = /(?:[A-Za-z\d]+(?:(?:\.|-+)[A-Za-z\d]+)*(?::\d+)?\/)?/;
const repository = /[a-z\d]+(?:(?:[./_]|__|-+)[a-z\d]+)*/;
const version = /(?::(\w[\w.-]{0,127}))?(?:@(sha256:[\da-f]{64}))?/;
export const reference = new RegExp(`^${credentials.source}(${registry.source}${repository.source})${version.source}$`);

/**
 * `registry:5000/name:tag`, `name`, `name@sha256:…`, `user:password@registry/name:tag` → one spelling.
 * Undefined when it is none of them.
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

/** The image on the engine that a reference stands for right now; a tag may stand for another one tomorrow. */
export const findImage = <T extends Image>(images: readonly T[], name: string): T | undefined =>
  images.find((image) => image.tags.includes(name) || image.digests.includes(name));
