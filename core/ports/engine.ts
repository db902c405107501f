import type { Container, ContainerSpec, RestartPolicy } from "../model/container.ts";
import type { Credentials, Image, ImageConfig, ImageReference } from "../model/image.ts";
import type { Network, NetworkSpec, Volume, VolumeSpec } from "../model/network.ts";
import type { ProcessTable, ResourceUse } from "../model/processes.ts";

/** The state of the engine: the services' containers, and all images, networks and volumes. */
export interface EngineState {
  readonly containers: readonly Container[];
  readonly images: readonly Image[];
  readonly networks: readonly Network[];
  readonly volumes: readonly Volume[];
}

/**
 * A change on the engine, by the agent or another program; `look` gives the details. Images have no events: a tag is
 * resolved when a target state is set, so that a developer's build does not restart containers.
 */
export type EngineEvent =
  /** "gone": it was removed, or connected to or disconnected from a network. */
  | { readonly of: "container"; readonly what: "changed" | "gone"; readonly id: string }
  | { readonly of: "container"; readonly what: "exited"; readonly id: string; readonly exited: ExitedContainer }
  | { readonly of: "network" | "volume"; readonly what: "changed" | "gone"; readonly id: string }
  /** The connection was restored. Events may have been missed. */
  | { readonly of: "connection"; readonly what: "restored" };

/** A service's container that has just ended. Its details can be looked at only when the engine has cleaned up after it. */
export interface ExitedContainer extends Pick<Container, "appId" | "service" | "name" | "exitCode"> {
  /** The image, as the container names it. */
  readonly image: string;
}

/** One line that a container wrote. */
export interface ContainerLine {
  readonly message: string;
  readonly isStdErr: boolean;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
}

/** Which lines of a log are read. */
export interface LogOptions {
  /** Reads on until the container ends. */
  readonly follow: boolean;
  /** Only the last lines, this many at most. Absent: all. */
  readonly tail?: number | undefined;
}

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** A program to run in a running container, beside the container's own. */
export interface ExecRequest {
  readonly command: readonly string[];
  /** In addition to the container's variables. */
  readonly environment: Readonly<Record<string, string>>;
  /** Absent: those of the container. */
  readonly user?: string | undefined;
  readonly workingDir?: string | undefined;
  /** Absent: the program has no terminal. */
  readonly terminal?: TerminalSize | undefined;
}

/** A piece of a program's output. With a terminal, standard error is a part of standard output. */
export interface ExecOutput {
  readonly isStdErr: boolean;
  readonly bytes: Uint8Array;
}

/** A program that was started in a container. */
export interface Exec {
  /** What it writes, until it has ended. To be read once. While it is not read on, the program has to wait. */
  readonly output: AsyncIterable<ExecOutput>;
  /** Resolves when the engine has taken the bytes. Has no effect once the program has ended. */
  write(bytes: Uint8Array): Promise<void>;
  /** The program reads an end of file; at a terminal, as of Ctrl-D. */
  endInput(): Promise<void>;
  /** Only with a terminal. */
  resize(size: TerminalSize): Promise<void>;
  /** After the end of `output`. Undefined: it is not known, since the container was removed or the engine is down. */
  exitCode(): Promise<number | undefined>;
  /** Ends `output`, and the program and its children with SIGHUP. Has no effect once the program has ended. */
  hangUp(): Promise<void>;
}

/** An image to download. */
export interface PullRequest extends ImageReference {
  /** Credentials for the registry, if neither the reference nor the engine's configuration has any. */
  readonly fallback?: Credentials | undefined;
}

/** The containers, images, networks and volumes of the device. Methods throw `EngineError` when the engine refuses. */
export interface Engine {
  /** For display, such as "Docker 20.10.24". */
  readonly name: string;
  /**
   * Returns the state. Without `fresh`, the adapter may return a cached state that it has updated from events and its own
   * calls, if no event was missed.
   */
  look(options: { readonly fresh: boolean }): Promise<EngineState>;
  /** Calls `listener` until the returned function is called. */
  onEvent(listener: (event: EngineEvent) => void): () => void;

  imageConfig(id: string): Promise<ImageConfig>;
  /** Downloads an image from its registry. `onProgress` gets rising whole percentages. */
  pull(image: PullRequest, onProgress: (percent: number) => void, signal: AbortSignal): Promise<void>;
  /** Gives an image another name. An image that has this name already loses it. */
  tagImage(id: string, name: string): Promise<void>;
  /** Removes a name of an image; with the last name, the image. False: not removed, since a container uses it. */
  removeImage(name: string): Promise<boolean>;

  /** Creates a container without starting it. Returns its id. */
  createContainer(name: string, spec: ContainerSpec): Promise<string>;
  /** Has no effect on a running container. */
  startContainer(id: string): Promise<void>;
  /** Sends the stop signal, and kills after the grace period. Resolves when it has stopped or does not exist. */
  stopContainer(id: string): Promise<void>;
  /** Removes a stopped container and its anonymous volumes. Has no effect if it does not exist. */
  removeContainer(id: string): Promise<void>;
  renameContainer(id: string, name: string): Promise<void>;
  setRestartPolicy(id: string, policy: RestartPolicy): Promise<void>;

  createNetwork(name: string, spec: NetworkSpec): Promise<void>;
  /** Has no effect if it does not exist. Throws while containers are connected to it. */
  removeNetwork(id: string): Promise<void>;
  /** Has no effect if it exists. */
  createVolume(name: string, spec: VolumeSpec): Promise<void>;
  /** Has no effect if it does not exist. Throws while containers use it. */
  removeVolume(name: string): Promise<void>;
  /**
   * Makes `to` a new volume with the content of `from`; a volume of this name is removed first. Throws and changes nothing
   * if `from` or `image` does not exist or containers use `to`. After another error `to` does not exist. Nobody may write to
   * `from` meanwhile. `image` is the id of any image: helper containers of it, which never start, give access to both volumes.
   *
   * Owners, modes, times of change in whole seconds, symbolic and hard links, devices, empty folders and capabilities are
   * copied. Sockets, other extended attributes (also ACLs) and holes of sparse files are not.
   */
  copyVolume(from: string, to: Volume, image: string, signal: AbortSignal): Promise<void>;
  /** In bytes. Undefined: it does not exist, or the engine does not know. Slow: the engine reads every volume. */
  volumeSize(name: string): Promise<number | undefined>;

  /**
   * The lines of a container from `since` (milliseconds since the epoch), until it ends or the signal fires; without `follow`
   * until now. A slow reader slows the engine's answer.
   */
  logs(id: string, since: number, signal: AbortSignal, options?: LogOptions): AsyncIterable<ContainerLine>;
  /** Throws if the container does not run. */
  top(id: string): Promise<ProcessTable>;
  /**
   * Starts a program. A program that is not there writes the engine's sentence and ends with 126 or 127. Throws if the
   * container does not run.
   */
  exec(id: string, request: ExecRequest): Promise<Exec>;
  /** Measures for up to two seconds. Undefined if the container does not run. */
  stats(id: string): Promise<ResourceUse | undefined>;
}

/** A refusal of the engine, with its message and HTTP status. The status is 0 when the engine cannot be reached. */
export class EngineError extends Error {
  readonly status: number;
  constructor(message: string, status: number, options?: ErrorOptions) {
    super(message, options);
    this.name = "EngineError";
    this.status = status;
  }
}
