import Docker from "dockerode";
import * as z from "zod";
import { ImageInspection, fromImageInspection } from "../../../core/docker-api/config.ts";
import { Inspection, fromInspection, toCreateOptions, toEngineRestart } from "../../../core/docker-api/container.ts";
import {
  EngineNetwork,
  EngineVolume,
  fromEngineNetwork,
  fromEngineVolume,
  toNetworkOptions,
  toVolumeOptions,
} from "../../../core/docker-api/network.ts";
import type { Container, ContainerSpec, RestartPolicy } from "../../../core/model/container.ts";
import { fromStats, Stats } from "../../../core/docker-api/stats.ts";
import type { ProcessTable, ResourceUse } from "../../../core/model/processes.ts";
import { delayMs } from "../../../core/model/retry.ts";
import { redact } from "../../../core/model/secrets.ts";
import { messageOf } from "../../../core/model/show.ts";
import type { Image, ImageConfig } from "../../../core/model/image.ts";
import type { Network, NetworkSpec, Volume, VolumeSpec } from "../../../core/model/network.ts";
import type { Clock } from "../../../core/ports/clock.ts";
import {
  EngineError,
  type ContainerLine,
  type Engine,
  type Exec,
  type ExecRequest,
  type TerminalSize,
  type EngineEvent,
  type EngineState,
  type ExitedContainer,
  type LogOptions,
  type PullRequest,
} from "../../../core/ports/engine.ts";
import { asked, unless } from "./asked.ts";
import { Cached } from "./cached.ts";
import { DockerExec } from "./docker-exec.ts";
import { jsonLines, logLines, Readable } from "./docker-streams.ts";
import { PullProgress } from "./pull-progress.ts";
import { pullAuth } from "./registry-auth.ts";
import { VolumeCopies } from "./volume-copies.ts";

/** The engine's events that the agent needs. Others, such as the start of each healthcheck, are filtered out. */
const eventFilters = JSON.stringify({
  type: ["container", "network", "volume"],
  event: "create start die destroy rename update pause unpause oom health_status connect disconnect".split(" "),
});

const listenRetry = { firstMs: 1000, maxMs: 30_000 };

const DockerEvent = z.looseObject({
  Type: z.string(),
  Action: z.string(),
  Actor: z.looseObject({ ID: z.string(), Attributes: z.record(z.string(), z.string()).nullish() }),
});

/** The fields of `GET /info` that the agent reads. */
const Info = z.looseObject({
  DockerRootDir: z.string(),
  DriverStatus: z.array(z.array(z.string())).nullish(),
  Containerd: z.looseObject({ Address: z.string().nullish() }).nullish(),
});

const DiskUse = z.looseObject({
  Volumes: z
    .array(z.looseObject({ Name: z.string(), UsageData: z.looseObject({ Size: z.number() }).nullish() }))
    .nullish(),
});

const Top = z.looseObject({ Titles: z.array(z.string()), Processes: z.array(z.array(z.string())).nullish() });

const Listed = z.array(z.looseObject({ Id: z.string(), State: z.string(), Names: z.array(z.string()) }));
type Listed = z.output<typeof Listed>;

/** The attributes of a "die" event: the container's labels, and the engine's own. */
const DieAttributes = z
  .looseObject({
    "io.balena.app-id": z.coerce.number<string>().int(),
    "io.balena.service-name": z.string(),
    name: z.string(),
    image: z.string(),
    exitCode: z.coerce.number<string>().int(),
  })
  .transform(
    ({ "io.balena.app-id": appId, "io.balena.service-name": service, name, image, exitCode }): ExitedContainer => ({
      ...{ appId, service, name, image, exitCode },
    }),
  );

/** A container that belongs to no service, such as a helper of ours, has only changed. */
function whatChanged(action: string, attributes: object) {
  const { data: exited } = action === "die" ? DieAttributes.safeParse(attributes) : {};
  return exited ? ({ what: "exited", exited } as const) : ({ what: "changed" } as const);
}

/** dockerode reads address and TLS settings only from DOCKER_HOST, and only in its constructor. */
function dockerAt(address: string | undefined): Docker {
  const before = process.env["DOCKER_HOST"];
  if (address === undefined || address === before) return new Docker();
  try {
    process.env["DOCKER_HOST"] = address;
    return new Docker();
  } finally {
    if (before === undefined) delete process.env["DOCKER_HOST"];
    else process.env["DOCKER_HOST"] = before;
  }
}

/**
 * An adapter for Docker, or another engine with its API. While the event stream is open, it requests only objects that an
 * event or one of its own calls has changed. An idle device makes no calls, and the number of containers does not matter.
 */
export class DockerEngine implements Engine {
  readonly name: string;
  readonly #docker: Docker;
  readonly #clock: Clock;
  readonly #listeners = new Set<(event: EngineEvent) => void>();
  readonly #end = new AbortController();
  #listening = false;

  readonly #list: Cached<Listed>;
  readonly #inspections = new Map<string, Cached<Container | undefined>>();
  readonly #images: Cached<readonly Image[]>;
  readonly #networks: Cached<readonly Network[]>;
  readonly #volumes: Cached<readonly Volume[]>;
  readonly #storage: Cached<readonly string[]>;
  readonly #copies: VolumeCopies;

  /** Throws if no engine answers within `timeoutMs`. */
  static async connect(clock: Clock, address?: string, timeoutMs = 5000): Promise<DockerEngine> {
    const docker = dockerAt(address);
    const answered = new AbortController();
    const late = clock.sleep(timeoutMs, answered.signal).then(() => {
      throw new EngineError(`no answer within ${timeoutMs / 1000} s`, 0);
    });
    try {
      const { Version } = await Promise.race([asked(docker.version()), late]);
      return new DockerEngine(docker, clock, Version);
    } finally {
      answered.abort();
    }
  }

  private constructor(docker: Docker, clock: Clock, version: string) {
    this.name = `Docker ${version}`;
    this.#docker = docker;
    this.#clock = clock;
    const filters = { label: ["io.balena.supervised"] };
    this.#list = new Cached(async () => Listed.parse(await asked(docker.listContainers({ all: true, filters }))));
    this.#images = new Cached(async () => (await asked(docker.listImages())).map(toImage));
    this.#networks = new Cached(async () =>
      z
        .array(EngineNetwork)
        .parse(await asked(docker.listNetworks()))
        .map(fromEngineNetwork),
    );
    this.#volumes = new Cached(async () => {
      const { Volumes } = await asked(docker.listVolumes());
      return z
        .array(EngineVolume)
        .parse(Volumes ?? [])
        .map(fromEngineVolume);
    });
    this.#copies = new VolumeCopies(docker, clock);
    this.#storage = new Cached(async () => toStorage(Info.parse(await asked(docker.info()))));
  }

  /** The host's folders for images and volumes. Requested once after each start of the engine. */
  storage(): Promise<readonly string[]> {
    return this.#storage.get();
  }

  // ── State ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  async look({ fresh }: { readonly fresh: boolean }): Promise<EngineState> {
    if (fresh || !this.#listening) this.#forget();
    await this.#copies.leftoversRemoved();
    const [containers, images, networks, volumes] = await Promise.all([
      this.#containers(),
      this.#images.get(),
      this.#networks.get(),
      this.#volumes.get(),
    ]);
    return { containers, images, networks, volumes };
  }

  async #containers(): Promise<Container[]> {
    const list = await this.#list.get();
    const ids = new Set(list.map(({ Id }) => Id));
    for (const id of this.#inspections.keys()) if (!ids.has(id)) this.#inspections.delete(id);
    const containers = await Promise.all(list.map((listed) => this.#inspect(listed)));
    return containers.filter((container) => container !== undefined);
  }

  /** Uses the cached inspection if no event has invalidated it and state and name are those of the list. */
  async #inspect({ Id, State, Names }: Listed[number]): Promise<Container | undefined> {
    let cached = this.#inspections.get(Id);
    const known = cached?.peek();
    if (!cached || !this.#listening || (known && (known.state !== State || !Names.includes(`/${known.name}`)))) {
      cached = new Cached(async () => {
        // 404: the container was removed after the list was made.
        const inspection = await asked(this.#docker.getContainer(Id).inspect()).catch(unless(404));
        return inspection && fromInspection(Inspection.parse(inspection));
      });
      this.#inspections.set(Id, cached);
    }
    return cached.get();
  }

  #forget(): void {
    for (const cached of [this.#list, this.#images, this.#networks, this.#volumes]) cached.forget();
  }

  #changed(id: string): void {
    this.#inspections.get(id)?.forget();
    this.#list.forget();
  }

  // ── Events ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  onEvent(listener: (event: EngineEvent) => void): () => void {
    if (this.#listeners.size === 0) void this.#listen();
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#end.abort();
    };
  }

  async #listen(): Promise<void> {
    const { signal } = this.#end;
    for (let failures = 0; !signal.aborted; failures++) {
      if (failures > 0) await this.#clock.sleep(delayMs(listenRetry, failures), signal);
      try {
        const stream = await asked(this.#docker.getEvents({ filters: eventFilters, abortSignal: signal }));
        this.#forget();
        this.#storage.forget();
        this.#inspections.clear();
        this.#listening = true;
        if (failures > 0) this.#emit({ of: "connection", what: "restored" });
        failures = 0;
        for await (const event of jsonLines(stream)) this.#onDockerEvent(DockerEvent.parse(event));
      } catch {
        // The engine does not answer. Not logged here: the next `look` fails and reports it.
      } finally {
        this.#listening = false;
      }
    }
  }

  #onDockerEvent({ Type, Action, Actor }: z.output<typeof DockerEvent>): void {
    const id = Actor.ID;
    const attributes = Actor.Attributes ?? {};
    const gone = Action === "destroy";
    switch (Type) {
      case "container":
        if (!("io.balena.supervised" in attributes)) return;
        this.#changed(id);
        return this.#emit({ of: "container", id, ...(gone ? { what: "gone" } : whatChanged(Action, attributes)) });
      case "network":
        if (attributes["container"]) this.#inspections.get(attributes["container"])?.forget();
        else this.#networks.forget();
        return this.#emit({ of: "network", what: gone ? "gone" : "changed", id });
      case "volume":
        this.#volumes.forget();
        return this.#emit({ of: "volume", what: gone ? "gone" : "changed", id });
    }
  }

  #emit(event: EngineEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  // ── Images ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  async imageConfig(id: string): Promise<ImageConfig> {
    return fromImageInspection(ImageInspection.parse(await asked(this.#docker.getImage(id).inspect())));
  }

  async pull(image: PullRequest, onProgress: (percent: number) => void, signal: AbortSignal): Promise<void> {
    const authconfig = pullAuth(image);
    const options = { ...(authconfig && { authconfig }), abortSignal: signal };
    try {
      const stream = await asked(this.#docker.pull(image.name, options));
      const progress = new PullProgress();
      for await (const message of jsonLines(stream)) {
        const error = progress.take(message);
        if (error !== undefined) throw new EngineError(error, 0);
        onProgress(progress.percent());
      }
    } catch (error) {
      // The engine's error can quote the registry's response, which can contain the password.
      const { password = "", identitytoken = "" }: { password?: string; identitytoken?: string } = authconfig ?? {};
      const secrets = [password, identitytoken];
      throw new EngineError(redact(messageOf(error), { secrets }), error instanceof EngineError ? error.status : 0);
    }
    this.#images.forget();
  }

  async tagImage(id: string, name: string): Promise<void> {
    const [, repo = name, tag = "latest"] = /^(.+?)(?::([^:/]+))?$/.exec(name) ?? [];
    await asked(this.#docker.getImage(id).tag({ repo, tag })).finally(() => this.#images.forget());
  }

  async removeImage(name: string): Promise<boolean> {
    try {
      await asked(this.#docker.getImage(name).remove()).catch(unless(404));
      return true;
    } catch (error) {
      unless(409)(error);
      return false;
    } finally {
      this.#images.forget();
    }
  }

  // ── Containers ─────────────────────────────────────────────────────────────────────────────────────────────────────

  async createContainer(name: string, spec: ContainerSpec): Promise<string> {
    const { options, join } = toCreateOptions(spec);
    const call = { name, ...apart({ name }, options) };
    const { id } = await asked(this.#docker.createContainer(call));
    try {
      for (const { network, endpoint } of join)
        await asked(this.#docker.getNetwork(network).connect({ Container: id, EndpointConfig: endpoint }));
    } catch (error) {
      // Remove a container that could not be connected to all its networks.
      await this.removeContainer(id);
      throw error;
    }
    this.#changed(id);
    return id;
  }

  async startContainer(id: string): Promise<void> {
    await this.#act(id, (container) => container.start(), 304);
  }

  async stopContainer(id: string): Promise<void> {
    await this.#act(
      id,
      async (container) => {
        // The engine cannot stop a paused container.
        if ((await this.#stateOf(id)) === "paused") await container.unpause();
        await container.stop();
      },
      304,
      404,
    );
  }

  async #stateOf(id: string): Promise<string | undefined> {
    if (!this.#listening) this.#list.forget();
    const list = await this.#list.get();
    return list.find(({ Id }) => Id === id)?.State;
  }

  async removeContainer(id: string): Promise<void> {
    await this.#act(id, (container) => container.remove({ v: true }), 404);
  }

  async renameContainer(id: string, name: string): Promise<void> {
    await this.#act(id, (container) => container.rename({ name }));
  }

  async setRestartPolicy(id: string, policy: RestartPolicy): Promise<void> {
    await this.#act(id, (container) => container.update({ RestartPolicy: toEngineRestart(policy) }));
  }

  async #act(
    id: string,
    call: (container: Docker.Container) => Promise<unknown>,
    ...fine: readonly number[]
  ): Promise<void> {
    try {
      await asked(call(this.#docker.getContainer(id))).catch(unless(...fine));
    } finally {
      this.#changed(id);
    }
  }

  // ── Networks and volumes ───────────────────────────────────────────────────────────────────────────────────────────

  async createNetwork(name: string, spec: NetworkSpec): Promise<void> {
    const call = { Name: name, ...apart({}, toNetworkOptions(name, spec)) };
    await asked(this.#docker.createNetwork(call)).finally(() => this.#networks.forget());
  }

  async removeNetwork(id: string): Promise<void> {
    await asked(this.#docker.getNetwork(id).remove())
      .catch(unless(404))
      .finally(() => this.#networks.forget());
  }

  async createVolume(name: string, spec: VolumeSpec): Promise<void> {
    const call = { Name: name, ...apart({}, toVolumeOptions(name, spec)) };
    await asked(this.#docker.createVolume(call)).finally(() => this.#volumes.forget());
  }

  async removeVolume(name: string): Promise<void> {
    await asked(this.#docker.getVolume(name).remove())
      .catch(unless(404))
      .finally(() => this.#volumes.forget());
  }

  async copyVolume(from: string, to: Volume, image: string, signal: AbortSignal): Promise<void> {
    await this.#copies.copy({ from, to: to.name, image }, signal, {
      create: async () => {
        await this.removeVolume(to.name);
        await this.createVolume(to.name, to.spec);
      },
      remove: () => this.removeVolume(to.name),
    });
  }

  async volumeSize(name: string): Promise<number | undefined> {
    for await (const answer of jsonLines(await asked(this.#stream("/system/df?", { type: "volume" })))) {
      const size = DiskUse.parse(answer).Volumes?.find((volume) => volume.Name === name)?.UsageData?.Size;
      // -1: the engine does not know it, such as that of another driver's volume.
      if (size !== undefined && size >= 0) return size;
    }
    return undefined;
  }

  // ── Logs ───────────────────────────────────────────────────────────────────────────────────────────────────────────

  async *logs(
    id: string,
    since: number,
    signal: AbortSignal,
    { follow, tail }: LogOptions = { follow: true },
  ): AsyncIterable<ContainerLine> {
    const container = await this.#inspections.get(id)?.get();
    const tty = container?.spec.settings["tty"] !== false;
    const query = { follow, stdout: true, stderr: true, timestamps: true, since: since / 1000, tail: tail ?? "all" };
    try {
      yield* logLines(await asked(this.#stream(`/containers/${id}/logs?`, query, signal)), tty);
    } catch (error) {
      // 409: the container is being removed, so its log has ended.
      if (!signal.aborted) unless(409)(error);
    }
  }

  /** An answer as a stream. dockerode's own `logs` collects a log that is not followed in memory. */
  #stream(path: string, options: object, signal?: AbortSignal): Promise<Readable> {
    const statusCodes = { 200: true, 404: "no such container", 409: "conflict", 500: "server error" };
    return new Promise((resolve, reject) =>
      this.#docker.modem.dial(
        { path, method: "GET", isStream: true, statusCodes, options, ...(signal && { abortSignal: signal }) },
        (error: unknown, stream) => (stream instanceof Readable ? resolve(stream) : reject(error)),
      ),
    );
  }

  // ── Processes ──────────────────────────────────────────────────────────────────────────────────────────────────────

  async top(id: string): Promise<ProcessTable> {
    const { Titles, Processes } = Top.parse(await asked(this.#docker.getContainer(id).top()));
    return { titles: Titles, processes: Processes ?? [] };
  }

  async exec(id: string, { command, environment, user, workingDir, terminal }: ExecRequest): Promise<Exec> {
    const mark = `FAIRLEAD_EXEC=${this.#clock.token(16)}`;
    const hasTerminal = terminal !== undefined;
    const exec = await this.#createExec(id, {
      ...{ AttachStdin: true, AttachStdout: true, AttachStderr: true, Tty: hasTerminal, Cmd: [...command] },
      Env: [...Object.entries(environment).map(([name, value]) => `${name}=${value}`), mark],
      // Docker takes its usual keys, Ctrl-P and Ctrl-Q, from the program. Nobody types these.
      DetachKeys: "ctrl-^,ctrl-_,ctrl-^,ctrl-_,ctrl-^",
      ...(user !== undefined && { User: user }),
      ...(workingDir !== undefined && { WorkingDir: workingDir }),
      ...(terminal && { ConsoleSize: [terminal.rows, terminal.columns] }),
    });
    const stream = await asked(exec.start({ hijack: true, stdin: true, Tty: hasTerminal }));
    const resize = async ({ rows, columns }: TerminalSize) => void (await asked(exec.resize({ h: rows, w: columns })));
    // Docker does not read ConsoleSize before version 23. A program that has ended already has no terminal.
    if (terminal) await resize(terminal).catch(() => {});
    return new DockerExec({
      ...{ stream, hasTerminal, clock: this.#clock, resize },
      inspect: () => asked(exec.inspect()).catch(unless(404)),
      hangUp: () => this.#hangUp(id, mark, user),
    });
  }

  /** Docker has no call that ends a program: another one finds it by its environment, and needs a shell in the container. */
  async #hangUp(id: string, mark: string, user: string | undefined): Promise<void> {
    const script = `for p in /proc/[0-9]*; do case "$(cat $p/environ 2>/dev/null)" in *${mark}*) kill -HUP "\${p#/proc/}";; esac; done`;
    const exec = await this.#createExec(id, {
      Cmd: ["/bin/sh", "-c", script],
      // Only this user, or one with more capabilities, can read the environment.
      ...(user !== undefined && { User: user }),
    });
    await asked(exec.start({ Detach: true }));
  }

  #createExec(id: string, options: Docker.ExecCreateOptions): Promise<Docker.Exec> {
    return asked(this.#docker.getContainer(id).exec(options));
  }

  async stats(id: string): Promise<ResourceUse | undefined> {
    // 404: the container was removed meanwhile.
    const stats = await asked(this.#docker.getContainer(id).stats({ stream: false })).catch(unless(404));
    return stats && fromStats(Stats.parse(stats));
  }
}

/**
 * Separates query and body of a call. Otherwise dockerode also writes the body into the URL. Proxies and Podman log URLs,
 * and the body contains the services' environment variables, which can be secret.
 */
const apart = (query: object, body: object) => ({ _query: query, _body: body });

/** With containerd's image store and a system-wide containerd, images are in the folder of containerd. */
function toStorage({ DockerRootDir, DriverStatus, Containerd }: z.output<typeof Info>): readonly string[] {
  const isContainerd = (DriverStatus ?? []).some(([, value]) => value?.startsWith("io.containerd.snapshotter"));
  // A containerd that Docker started itself stores images below DockerRootDir.
  const isOwn = Containerd?.Address?.startsWith("/run/containerd/") === false;
  return isContainerd && !isOwn ? [DockerRootDir, "/var/lib/containerd"] : [DockerRootDir];
}

const toImage = ({ Id, RepoTags, RepoDigests, Size }: Docker.ImageInfo): Image => ({
  id: Id,
  tags: (RepoTags ?? []).filter((tag) => tag !== "<none>:<none>"),
  digests: RepoDigests ?? [],
  bytes: Size,
});
