import type { Container, ContainerSpec, RestartPolicy } from "../model/container.ts";
import type { Credentials, Image, ImageConfig, ImageReference } from "../model/image.ts";
import type { Network, NetworkSpec, Volume, VolumeSpec } from "../model/network.ts";

/** What is on the engine right now: containers of ours only, everything else whole. */
export interface EngineState {
  readonly containers: readonly Container[];
  readonly images: readonly Image[];
  readonly networks: readonly Network[];
  readonly volumes: readonly Volume[];
}

/**
 * Something happened on the engine, by whomever; what exactly, a look tells. Images have no events: what a tag stands for
 * is decided when a target state is set, so that a developer can build in peace.
 */
export type EngineEvent =
  /** "gone" when it was removed, or taken off or put on a network. */
  | { readonly of: "container"; readonly what: "changed" | "gone"; readonly id: string }
  | { readonly of: "network" | "volume"; readonly what: "changed" | "gone"; readonly id: string }
  /** The connection came back; anything may have happened meanwhile. */
  | { readonly of: "connection"; readonly what: "restored" };

/** One line that a container wrote. */
export interface ContainerLine {
  readonly message: string;
  readonly isStdErr: boolean;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
}

/** An image to be fetched. */
export interface PullRequest extends ImageReference {
  /** For its registry, where neither its reference nor the engine's own configuration has any. */
  readonly fallback?: Credentials | undefined;
}

/** The containers, images, networks and volumes of the device. Methods throw `EngineError` when the engine refuses. */
export interface Engine {
  /** For people: "Docker 20.10.24". */
  readonly name: string;
  /**
   * What is there. Without `fresh`, what is known from events and our own calls may answer instead of the engine,
   * as long as no event was missed.
   */
  look(options: { readonly fresh: boolean }): Promise<EngineState>;
  /** Listens until the returned function is called. */
  onEvent(listener: (event: EngineEvent) => void): () => void;

  imageConfig(id: string): Promise<ImageConfig>;
  /** Fetches an image from its registry; `onProgress` gets whole percents, rising. */
  pull(image: PullRequest, onProgress: (percent: number) => void, signal: AbortSignal): Promise<void>;
  /** Removes a name of an image, and the image with its last name. False: it stays, since a container is made of it. */
  removeImage(name: string): Promise<boolean>;

  /** Makes a container that does not run yet, and gives its id. */
  createContainer(name: string, spec: ContainerSpec): Promise<string>;
  /** Running already: nothing happens. */
  startContainer(id: string): Promise<void>;
  /** Signal, grace, kill; resolves when it has stopped. Stopped or gone already: nothing happens. */
  stopContainer(id: string): Promise<void>;
  /** Removes a stopped container and its anonymous volumes. Gone already: nothing happens. */
  removeContainer(id: string): Promise<void>;
  renameContainer(id: string, name: string): Promise<void>;
  setRestartPolicy(id: string, policy: RestartPolicy): Promise<void>;

  createNetwork(name: string, spec: NetworkSpec): Promise<void>;
  /** Gone already: nothing happens. Throws while containers are on it. */
  removeNetwork(id: string): Promise<void>;
  /** There already: nothing happens. */
  createVolume(name: string, spec: VolumeSpec): Promise<void>;
  /** Gone already: nothing happens. Throws while containers use it. */
  removeVolume(name: string): Promise<void>;

  /** What a container writes from `since` (milliseconds since the epoch) on, until it ends or the signal fires. */
  logs(id: string, since: number, signal: AbortSignal): AsyncIterable<ContainerLine>;
}

/** The engine's own "no": its message, and the HTTP status it came with (0 when it could not be reached). */
export class EngineError extends Error {
  readonly status: number;
  constructor(message: string, status: number, options?: ErrorOptions) {
    super(message, options);
    this.name = "EngineError";
    this.status = status;
  }
}
