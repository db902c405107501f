import type Docker from "dockerode";
import type { Clock } from "../../../core/ports/clock.ts";
import { asked, unless } from "./asked.ts";
import { Cached } from "./cached.ts";
import { Readable } from "./docker-streams.ts";

/** Marks the helper containers. The value is different for each copy. */
const label = "io.fairlead.volume-copy";

/** Where the helper containers have their volume. */
const mountPoint = "/fairlead-volume";

interface Copy {
  readonly from: string;
  readonly to: string;
  readonly image: string;
}

/** How the volume that is to be filled is made, and removed when that fails. */
interface Target {
  readonly create: () => Promise<void>;
  readonly remove: () => Promise<void>;
}

/**
 * Copies volumes over the engine's API, so the engine may be anywhere. The engine gives access to a volume only through a
 * container. It mounts volumes for one that was never started, too. Source: `daemon/archive.go` of moby.
 */
export class VolumeCopies {
  readonly #docker: Docker;
  readonly #clock: Clock;
  readonly #running = new Set<string>();
  readonly #leftovers = new Cached(() => this.#removeLeftovers());

  constructor(docker: Docker, clock: Clock) {
    this.#docker = docker;
    this.#clock = clock;
  }

  /** Removes the helper containers of copies that a crash has ended, once. */
  leftoversRemoved(): Promise<void> {
    return this.#leftovers.get();
  }

  async #removeLeftovers(): Promise<void> {
    const found = await asked(this.#docker.listContainers({ all: true, filters: { label: [label] } }));
    for (const { Id, Labels } of found)
      if (!this.#running.has(Labels[label] ?? "")) await this.#remove(this.#docker.getContainer(Id)).catch(() => {});
  }

  async copy({ from, to, image }: Copy, signal: AbortSignal, target: Target): Promise<void> {
    // Otherwise the engine would create the volume for the helper container.
    await asked(this.#docker.getVolume(from).inspect());
    const mark = this.#clock.token(8);
    const helpers: Docker.Container[] = [];
    const helperOf = async (volume: string): Promise<Docker.Container> => {
      const helper = await asked(this.#docker.createContainer(toHelper(volume, image, mark)));
      helpers.push(helper);
      return helper;
    };
    const removeHelpers = async () => {
      for (const helper of helpers.splice(0)) await this.#remove(helper).catch(() => this.#leftovers.forget());
    };
    this.#running.add(mark);
    try {
      const source = await helperOf(from);
      await target.create();
      try {
        const sink = await helperOf(to);
        const content = await asked(source.getArchive({ path: mountPoint, abortSignal: signal }));
        try {
          // The archive contains the folder itself, so owner and mode of the volume are copied, too.
          await asked(sink.putArchive(content, { path: "/", abortSignal: signal }));
        } finally {
          // Docker 28 does not remove a container while its archive is being read.
          if (content instanceof Readable) content.destroy();
        }
      } catch (error) {
        await removeHelpers();
        await target.remove().catch(() => {});
        throw error;
      }
    } finally {
      await removeHelpers();
      this.#running.delete(mark);
    }
  }

  async #remove(container: Docker.Container): Promise<void> {
    await asked(container.remove({ v: true })).catch(unless(404));
  }
}

const toHelper = (volume: string, image: string, mark: string): Docker.ContainerCreateOptions => ({
  Image: image,
  // An image without a command would be refused.
  Cmd: ["never-started"],
  Labels: { [label]: mark },
  NetworkDisabled: true,
  // nocopy: nothing of the image gets into an empty volume.
  HostConfig: { NetworkMode: "none", Binds: [`${volume}:${mountPoint}:nocopy`] },
});
