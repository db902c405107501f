import { fixedHostPorts } from "../compose/ports.ts";
import type { Container, ContainerSpec, RestartPolicy } from "../model/container.ts";
import { findImage, parseImage, type Credentials, type Image, type ImageConfig, type Layer } from "../model/image.ts";
import type { Network, NetworkSpec, Volume, VolumeSpec } from "../model/network.ts";
import type { ProcessTable, ResourceUse } from "../model/processes.ts";
import type { Clock } from "../ports/clock.ts";
import {
  EngineError,
  type ContainerLine,
  type Engine,
  type Exec,
  type ExecRequest,
  type EngineEvent,
  type EngineState,
  type LogOptions,
  type PullRequest,
} from "../ports/engine.ts";
import type { Probe } from "../ports/probe.ts";
import type { EngineHost } from "../ports/engine-host.ts";
import type { Missing } from "../ports/index.ts";
import type { Registry } from "../ports/registry.ts";
import { messageOf } from "../model/show.ts";
import { startProgram } from "./program.ts";

/** The visible behaviour of a container's program. */
export interface Program {
  /** The lines that the program writes when it starts. */
  readonly lines?: readonly string[];
  /** The result of the healthcheck, if there is one. */
  readonly healthy?: boolean;
  /** The program ends with this code after `afterMs`. */
  readonly exit?: { readonly code: number; readonly afterMs: number };
  /** The status of its answer to a request on this port; undefined: it does not listen. By default, 200. */
  readonly status?: (port: number, path: string) => number | undefined;
}

/** The texts in a volume by their paths. */
export type VolumeFiles = Map<string, string>;

export interface EmbeddedOptions {
  readonly clock: Clock;
  /** The image that a registry has for a name and credentials, or undefined. By default, every image exists. */
  readonly registry?: (name: string, credentials: Credentials | undefined) => Partial<ImageConfig> | undefined;
  /**
   * The program of a service's container. By default, it never ends. `volume` has the files of the volume that the container
   * has at a path, to read and to change.
   */
  readonly program?: (container: Container, volume: (path: string) => VolumeFiles | undefined) => Program;
  /** The duration of a download, the time that a container needs to stop, and the duration of a volume's copy. */
  readonly pullMs?: number;
  readonly stopMs?: number;
  readonly copyMs?: number;
  /** By default, nothing is ever full. */
  readonly disk?: EmbeddedDisk;
  /** The engine restarts a program that has ended, by its restart policy, after this time. By default, it never does. */
  readonly restartMs?: number;
}

/** The disk with the engine's images, and nothing else. */
export interface EmbeddedDisk {
  readonly bytes: number;
  /** The layers of an image, as its registry has them. Layers with the same `diffId` are the same. */
  readonly layers: (name: string) => readonly Layer[];
}

/** The bytes of an unpacked layer, by its compressed size. */
const unpacked = 2.5;

const plainImage: ImageConfig = {
  command: ["run"],
  entrypoint: [],
  environment: {},
  labels: {},
  user: "",
  workingDir: "",
  stopSignal: "",
  healthcheck: null,
};

interface Held extends Omit<
  Container,
  "state" | "exitCode" | "startedAt" | "finishedAt" | "restarts" | "addresses" | "name" | "spec" | "health" | "error"
> {
  name: string;
  spec: ContainerSpec;
  state: Container["state"];
  health?: Container["health"];
  exitCode: number;
  startedAt: number;
  finishedAt: number;
  restarts: number;
  error: string;
  /** Cancels the pending actions of the program. */
  life: AbortController;
  program: Program;
  readonly lines: ContainerLine[];
  readonly followers: Set<() => void>;
}

const keptLines = 1000;

/**
 * A simulated engine for tests and demonstrations. It has the rules of a real one: names are unique, objects in use cannot
 * be removed, and two containers cannot use the same port number.
 */
export class EmbeddedEngine implements Engine {
  readonly name = "embedded";
  readonly #images = new Map<string, Image & { readonly config: ImageConfig; readonly held: readonly Layer[] }>();
  /** By image name: the bytes that its download has used so far. */
  readonly #pulls = new Map<string, number>();
  /** The bytes that others use on the disk. */
  otherBytes = 0;
  /** The fewest free bytes that there were during a download. */
  leastFree = Infinity;
  readonly #containers = new Map<string, Held>();
  readonly #networks = new Map<string, Network>();
  readonly #volumes = new Map<string, Volume & { readonly files: VolumeFiles }>();
  readonly #listeners = new Set<(event: EngineEvent) => void>();
  readonly #options: Required<Omit<EmbeddedOptions, "restartMs" | "disk">> &
    Pick<EmbeddedOptions, "restartMs" | "disk">;
  #count = 0;

  constructor(options: EmbeddedOptions) {
    this.#options = { registry: () => ({}), program: () => ({}), pullMs: 200, stopMs: 20, copyMs: 50, ...options };
  }

  look(): Promise<EngineState> {
    return Promise.resolve({
      containers: [...this.#containers.values()].map(toContainer),
      images: [...this.#images.values()],
      networks: [...this.#networks.values()],
      volumes: [...this.#volumes.values()].map(({ name, spec }) => ({ name, spec })),
    });
  }

  onEvent(listener: (event: EngineEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  // ── For tests and demonstrations: changes that the agent did not make ──────────────────────────────────────────────

  /** Like `docker build -t name`: the name then refers to a new image. */
  addImage(name: string, config: Partial<ImageConfig> = {}): string {
    return this.#addImage(name, config, []);
  }

  #addImage(name: string, config: Partial<ImageConfig>, held: readonly Layer[]): string {
    const reference = parseImage(name)?.name ?? name;
    const id = this.#newId("sha256:");
    this.#untag(reference);
    const layers = held.map(({ diffId }) => diffId);
    this.#images.set(id, {
      ...{ id, tags: [reference], digests: [], bytes: unpacked * sizeOf(held), held },
      config: { ...plainImage, layers, ...config },
    });
    return id;
  }

  /** Ends the program of a container. The restart policy is not applied. */
  exit(id: string, code: number): void {
    const container = this.#get(id);
    if (container.state !== "running") return;
    this.#end(container, code);
  }

  setHealth(id: string, health: NonNullable<Container["health"]>): void {
    const container = this.#get(id);
    if (container.spec.healthcheck === null || container.state !== "running") return;
    container.health = health;
    this.#emit({ of: "container", what: "changed", id });
  }

  /** Writes a line in the name of a container's program. */
  write(id: string, message: string, isStdErr = false): void {
    const container = this.#get(id);
    container.lines.push({ message, isStdErr, timestamp: this.#options.clock.now() });
    if (container.lines.length > keptLines) container.lines.shift();
    for (const wake of container.followers) wake();
  }

  /** The files of a volume, to read and to change. */
  files(volume: string): VolumeFiles {
    const held = this.#volumes.get(volume);
    if (!held) throw noSuch("volume", volume);
    return held.files;
  }

  // ── Images ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  imageConfig(id: string): Promise<ImageConfig> {
    const image = this.#images.get(id);
    return image ? Promise.resolve(image.config) : Promise.reject(noSuch("image", id));
  }

  async pull(request: PullRequest, onProgress: (percent: number) => void, signal: AbortSignal): Promise<void> {
    const { name, auth, fallback } = request;
    const config = this.#options.registry(name, auth ?? fallback);
    if (!config) throw new EngineError(`manifest for ${name} not found: manifest unknown`, 404);
    const layers = this.#options.disk?.layers(name) ?? [];
    try {
      for (const percent of [0, 50, 100]) {
        await this.#options.clock.sleep(this.#options.pullMs / 3, signal);
        if (signal.aborted) throw new EngineError(`the pull of ${name} was ended`, 0);
        this.#pulls.set(name, (sizeOf(this.#missing(layers)) * (1 + unpacked) * percent) / 100);
        this.leastFree = Math.min(this.leastFree, this.#freeBytes());
        if (this.#freeBytes() < 0) throw new EngineError(`write ${name}: no space left on device`, 0);
        onProgress(percent);
      }
    } finally {
      this.#pulls.delete(name);
    }
    this.#addImage(name, config, layers);
  }

  async tagImage(id: string, name: string): Promise<void> {
    await this.#tick();
    const image = this.#images.get(id);
    if (!image) throw noSuch("image", id);
    if (image.tags.includes(name)) return;
    this.#untag(name);
    this.#images.set(id, { ...image, tags: [...image.tags, name] });
  }

  #missing(layers: readonly Layer[]): readonly Layer[] {
    const here = new Set([...this.#images.values()].flatMap(({ held }) => held.map(({ diffId }) => diffId)));
    return layers.filter(({ diffId }) => !here.has(diffId));
  }

  #freeBytes(): number {
    const held = [...this.#images.values()].flatMap((image) => image.held);
    const layers = [...new Map(held.map((layer) => [layer.diffId, layer])).values()];
    const pulled = [...this.#pulls.values()].reduce((sum, bytes) => sum + bytes, 0);
    return (this.#options.disk?.bytes ?? Infinity) - unpacked * sizeOf(layers) - pulled - this.otherBytes;
  }

  /** The machine of the engine. Missing if its disk has no size. */
  get host(): EngineHost | Missing {
    const { disk } = this.#options;
    if (!disk) return { missing: "The embedded engine has no disk" };
    const space = () => ({
      freeBytes: Math.max(0, this.#freeBytes()),
      totalBytes: disk.bytes,
      freeInodes: 0,
      inodes: 0,
    });
    return { space: () => Promise.resolve(space()), emulates: () => false };
  }

  /** The registry from which it downloads. */
  get registry(): Registry {
    const { registry, disk } = this.#options;
    return {
      manifest: ({ name, auth, fallback }) => {
        const config = registry(name, auth ?? fallback);
        if (!config) return Promise.resolve({ is: "unknown", reason: "manifest unknown" });
        const { architecture } = config;
        const layers = disk?.layers(name) ?? [];
        return Promise.resolve({ is: "known", layers, ...(architecture !== undefined && { architecture }) });
      },
    };
  }

  removeImage(name: string): Promise<boolean> {
    const image = findImage([...this.#images.values()], name);
    const inUse = [...this.#containers.values()].some(({ spec }) => spec.image === image?.id);
    if (inUse && image && image.tags.length <= 1) return Promise.resolve(false);
    this.#untag(name);
    return Promise.resolve(true);
  }

  #untag(name: string): void {
    const image = findImage([...this.#images.values()], name);
    if (!image) return;
    const tags = image.tags.filter((tag) => tag !== name);
    const inUse = [...this.#containers.values()].some(({ spec }) => spec.image === image.id);
    if (tags.length > 0 || inUse) this.#images.set(image.id, { ...image, tags });
    else this.#images.delete(image.id);
  }

  // ── Containers ─────────────────────────────────────────────────────────────────────────────────────────────────────

  async createContainer(name: string, spec: ContainerSpec): Promise<string> {
    await this.#tick();
    if (!this.#images.has(spec.image)) throw noSuch("image", spec.image);
    if ([...this.#containers.values()].some((other) => other.name === name))
      throw new EngineError(`Conflict. The container name "/${name}" is already in use`, 409);
    for (const network of Object.keys(spec.networks))
      if (!this.#networkNamed(network)) throw noSuch("network", network);
    this.#ownerOf(spec);
    for (const { type, source } of spec.mounts)
      if (type === "volume" && !this.#volumes.has(source))
        this.#addVolume(source, { driver: "local", driverOptions: {}, labels: {} });
    const id = this.#newId("");
    const { labels } = spec;
    this.#containers.set(id, {
      id,
      name,
      appId: Number(labels["io.balena.app-id"]),
      appUuid: labels["io.balena.app-uuid"] ?? "",
      service: labels["io.balena.service-name"] ?? "",
      serviceId: Number(labels["io.balena.service-id"]),
      state: "created",
      exitCode: 0,
      error: "",
      createdAt: new Date(this.#options.clock.now()).toISOString(),
      startedAt: 0,
      finishedAt: 0,
      restarts: 0,
      spec,
      life: new AbortController(),
      program: {},
      lines: [],
      followers: new Set(),
    });
    this.#emit({ of: "container", what: "changed", id });
    return id;
  }

  async startContainer(id: string): Promise<void> {
    await this.#tick();
    const container = this.#get(id);
    if (container.state === "running") return;
    try {
      this.#checkStart(container);
    } catch (error) {
      container.error = messageOf(error);
      throw error;
    }
    container.restarts = 0;
    this.#run(container);
  }

  #run(container: Held): void {
    const { id } = container;
    container.state = "running";
    container.startedAt = this.#options.clock.now();
    container.exitCode = 0;
    container.error = "";
    container.life = new AbortController();
    if (container.spec.healthcheck) container.health = "starting";
    this.#emit({ of: "container", what: "changed", id });
    void this.#live(container);
  }

  #checkStart({ id, spec }: Held): void {
    for (const network of Object.keys(spec.networks))
      if (!this.#networkNamed(network)) throw noSuch("network", network);
    const owner = this.#ownerOf(spec);
    if (owner && owner.state !== "running")
      throw new EngineError(`cannot join network of a non running container: ${owner.id}`, 409);
    const taken = fixedHostPorts(spec.ports).find((port) =>
      [...this.#containers.values()].some(
        (other) => other.id !== id && other.state === "running" && fixedHostPorts(other.spec.ports).includes(port),
      ),
    );
    if (taken) throw new EngineError(`Bind for 0.0.0.0:${taken} failed: port is already allocated`, 500);
  }

  async #live(container: Held): Promise<void> {
    const { clock, program } = this.#options;
    const { signal } = container.life;
    container.program = program(toContainer(container), (path) => {
      const mount = container.spec.mounts.find(({ type, target }) => type === "volume" && target === path);
      return mount && this.#volumes.get(mount.source)?.files;
    });
    const {
      lines = [`${container.service} is running (embedded engine: nothing really runs)`],
      healthy = true,
      exit,
    } = container.program;
    for (const line of lines) this.write(container.id, line);
    if (container.health === "starting") {
      await clock.sleep(10, signal);
      if (!signal.aborted) this.setHealth(container.id, healthy ? "healthy" : "unhealthy");
    }
    if (!exit) return;
    await clock.sleep(exit.afterMs, signal);
    if (signal.aborted) return;
    this.#end(container, exit.code);
    await this.#restart(container, exit.code);
  }

  /** What a real engine does by the restart policy of a container. */
  async #restart(container: Held, code: number): Promise<void> {
    const { clock, restartMs } = this.#options;
    const { name, retries } = container.spec.restart;
    const isDue =
      name === "always" ||
      name === "unless-stopped" ||
      (name === "on-failure" && code !== 0 && (retries === 0 || container.restarts < retries));
    if (restartMs === undefined || !isDue) return;
    container.state = "restarting";
    container.restarts++;
    container.life = new AbortController();
    const { signal } = container.life;
    await clock.sleep(restartMs, signal);
    if (!signal.aborted && this.#containers.has(container.id)) this.#run(container);
  }

  async stopContainer(id: string): Promise<void> {
    const container = this.#containers.get(id);
    if (container?.state === "restarting") return this.#end(container, container.exitCode);
    if (container?.state !== "running") return;
    const { life } = container;
    await this.#options.clock.sleep(this.#options.stopMs);
    // Another stop may have ended it, and somebody may have started it again.
    if (container.state === "running" && container.life === life) this.#end(container, 143);
  }

  #end(container: Held, code: number): void {
    container.life.abort();
    container.state = "exited";
    container.exitCode = code;
    container.finishedAt = this.#options.clock.now();
    delete container.health;
    for (const wake of container.followers) wake();
    const { id, appId, service, name, spec } = container;
    this.#emit({
      of: "container",
      what: "exited",
      id,
      exited: { appId, service, name, image: spec.image, exitCode: code },
    });
  }

  async removeContainer(id: string): Promise<void> {
    await this.#tick();
    const container = this.#containers.get(id);
    if (!container) return;
    if (container.state === "running") throw new EngineError(`You cannot remove a running container ${id}`, 409);
    this.#containers.delete(id);
    const image = this.#images.get(container.spec.image);
    if (image?.tags.length === 0 && ![...this.#containers.values()].some(({ spec }) => spec.image === image.id))
      this.#images.delete(image.id);
    this.#emit({ of: "container", what: "gone", id });
  }

  async renameContainer(id: string, name: string): Promise<void> {
    await this.#tick();
    if ([...this.#containers.values()].some((other) => other.name === name && other.id !== id))
      throw new EngineError(`Conflict. The container name "/${name}" is already in use`, 409);
    this.#get(id).name = name;
    this.#emit({ of: "container", what: "changed", id });
  }

  async setRestartPolicy(id: string, restart: RestartPolicy): Promise<void> {
    await this.#tick();
    const container = this.#get(id);
    container.spec = { ...container.spec, restart };
    this.#emit({ of: "container", what: "changed", id });
  }

  // ── Networks and volumes ───────────────────────────────────────────────────────────────────────────────────────────

  async createNetwork(name: string, spec: NetworkSpec): Promise<void> {
    await this.#tick();
    if (this.#networkNamed(name)) throw new EngineError(`network with name ${name} already exists`, 409);
    const id = this.#newId("");
    this.#networks.set(id, { id, name, spec });
    this.#emit({ of: "network", what: "changed", id });
  }

  async removeNetwork(id: string): Promise<void> {
    await this.#tick();
    const network = this.#networks.get(id);
    if (!network) return;
    if ([...this.#containers.values()].some(({ state, spec }) => state === "running" && network.name in spec.networks))
      throw new EngineError(`error while removing network: network ${network.name} has active endpoints`, 403);
    this.#networks.delete(id);
    this.#emit({ of: "network", what: "gone", id });
  }

  async createVolume(name: string, spec: VolumeSpec): Promise<void> {
    await this.#tick();
    if (this.#volumes.has(name)) return;
    this.#addVolume(name, spec);
    this.#emit({ of: "volume", what: "changed", id: name });
  }

  #addVolume(name: string, spec: VolumeSpec): VolumeFiles {
    const files: VolumeFiles = new Map();
    this.#volumes.set(name, { name, spec, files });
    return files;
  }

  async removeVolume(name: string): Promise<void> {
    await this.#tick();
    if ([...this.#containers.values()].some(({ spec }) => spec.mounts.some(({ source }) => source === name)))
      throw new EngineError(`remove ${name}: volume is in use`, 409);
    if (this.#volumes.delete(name)) this.#emit({ of: "volume", what: "gone", id: name });
  }

  async copyVolume(from: string, to: Volume, image: string, signal: AbortSignal): Promise<void> {
    const content = this.files(from);
    if (!this.#images.has(image)) throw noSuch("image", image);
    await this.removeVolume(to.name);
    await this.createVolume(to.name, to.spec);
    try {
      // As on a real engine, an interrupted copy has a part of the files.
      for (const [path, text] of content) {
        this.files(to.name).set(path, text);
        await this.#options.clock.sleep(this.#options.copyMs / content.size, signal);
        if (signal.aborted) throw new EngineError(`the copy of the volume ${from} was ended`, 0);
      }
    } catch (error) {
      await this.removeVolume(to.name);
      throw error;
    }
  }

  async volumeSize(name: string): Promise<number | undefined> {
    await this.#tick();
    const files = this.#volumes.get(name)?.files;
    return files && [...files.values()].reduce((sum, text) => sum + text.length, 0);
  }

  // ── Logs ───────────────────────────────────────────────────────────────────────────────────────────────────────────

  async *logs(
    id: string,
    since: number,
    signal: AbortSignal,
    { follow, tail = keptLines }: LogOptions = { follow: true },
  ): AsyncIterable<ContainerLine> {
    const container = this.#get(id);
    const queue = tail === 0 ? [] : container.lines.filter(({ timestamp }) => timestamp >= since).slice(-tail);
    if (!follow) return yield* queue;
    let last = container.lines.at(-1);
    while (!signal.aborted) {
      yield* queue.splice(0);
      if (container.state !== "running" && container.lines.at(-1) === last) return;
      if (container.lines.at(-1) === last) await woken(container.followers, signal);
      const from = last === undefined ? 0 : container.lines.indexOf(last) + 1;
      queue.push(...container.lines.slice(from));
      last = container.lines.at(-1);
    }
  }

  // ── Processes ──────────────────────────────────────────────────────────────────────────────────────────────────────

  async top(id: string): Promise<ProcessTable> {
    const { state, spec } = this.#get(id);
    if (state !== "running") throw new EngineError(`container ${id} is not running`, 409);
    return { titles: ["PID", "USER", "COMMAND"], processes: [["1", spec.user || "root", spec.command.join(" ")]] };
  }

  async exec(id: string, request: ExecRequest): Promise<Exec> {
    await this.#tick();
    const { state, life } = this.#get(id);
    if (state !== "running") throw new EngineError(`Container ${id} is not running`, 409);
    return startProgram(request, life.signal);
  }

  async stats(id: string): Promise<ResourceUse | undefined> {
    if (this.#get(id).state !== "running") return undefined;
    const memory = { memoryBytes: 1024 * 1024, memoryLimitBytes: 1024 ** 3 };
    return { cpuPercent: 1, ...memory, receivedBytes: 0, sentBytes: 0, readBytes: 0, writtenBytes: 0, processes: 1 };
  }

  // ── HTTP ───────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Reaches the programs of running containers, and nothing else. */
  readonly probe: Probe = {
    get: (url) => {
      const { hostname, port, pathname, search } = new URL(url);
      const isAt = (one: Held) =>
        one.state === "running" &&
        (hostname === "127.0.0.1"
          ? one.spec.networkMode === "host"
          : Object.values(addressesOf(one)).includes(hostname));
      const found = [...this.#containers.values()].find(isAt);
      if (!found) return Promise.resolve({ error: "cannot be reached" });
      const { status = () => 200 } = found.program;
      const answered = status(Number(port || 80), pathname + search);
      return Promise.resolve(answered === undefined ? { error: "refuses the connection" } : { status: answered });
    },
  };

  // ── Internal ───────────────────────────────────────────────────────────────────────────────────────────────────────

  #get(id: string): Held {
    const container = this.#containers.get(id);
    if (!container) throw noSuch("container", id);
    return container;
  }

  #networkNamed(name: string): Network | undefined {
    return [...this.#networks.values()].find((network) => network.name === name);
  }

  /** The container whose network namespace a container shares. */
  #ownerOf({ networkMode }: ContainerSpec): Held | undefined {
    const [, id] = /^container:(.+)$/.exec(networkMode) ?? [];
    return id === undefined ? undefined : this.#get(id);
  }

  /** Like a real engine, sends an event after the call that caused it has returned. */
  #emit(event: EngineEvent): void {
    void Promise.resolve().then(() => {
      for (const listener of this.#listeners) listener(event);
    });
  }

  #tick(): Promise<void> {
    return this.#options.clock.sleep(0);
  }

  #newId(prefix: string): string {
    this.#count++;
    return prefix + this.#count.toString(16).padStart(12, "0") + "e".repeat(52);
  }
}

const noSuch = (what: string, name: string) => new EngineError(`No such ${what}: ${name}`, 404);

const toContainer = ({
  life: _life,
  program: _program,
  lines: _lines,
  followers: _followers,
  ...held
}: Held): Container => {
  const { health, ...container } = held;
  return {
    ...container,
    addresses: container.state === "running" ? addressesOf(container) : {},
    ...(health && { health }),
  };
};

/** One address for each container, of a range that no real network has, unless its definition names another. */
function addressesOf({ id, spec }: Pick<Held, "id" | "spec">): Container["addresses"] {
  const number = Number.parseInt(id.slice(0, 12), 16);
  const own = `198.19.${(number >> 8) & 255}.${number & 255}`;
  if (spec.networkMode === "bridge") return { bridge: own };
  return Object.fromEntries(Object.entries(spec.networks).map(([name, { ipv4 }]) => [name, ipv4 || own]));
}

const woken = (followers: Set<() => void>, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const wake = () => {
      followers.delete(wake);
      signal.removeEventListener("abort", wake);
      resolve();
    };
    followers.add(wake);
    signal.addEventListener("abort", wake);
  });

const sizeOf = (layers: readonly Layer[]): number => layers.reduce((sum, { bytes }) => sum + bytes, 0);
