import type { EmbeddedEngine, Program, VolumeFiles } from "../../core/embedded/engine.ts";
import type { Container } from "../../core/model/container.ts";
import { parseContainerName } from "../../core/model/names.ts";
import type { Chance, SimClock } from "./clock.ts";

/** What is wrong with a program, in each of its runs. */
const troubles = ["never healthy", "late healthy", "briefly healthy", "flaky", "ends"] as const;
type Trouble = (typeof troubles)[number];

/** How long after its start a program gets healthy, or does not any more. */
const changes: Readonly<Record<Trouble, readonly (readonly [ms: number, is: "healthy" | "unhealthy"])[]>> = {
  "never healthy": [],
  "late healthy": [[20_000, "healthy"]],
  "briefly healthy": [[5_000, "unhealthy"]],
  flaky: [3, 6, 9, 30].map((s, n) => [s * 1000, n % 2 === 0 ? "unhealthy" : "healthy"]),
  ends: [],
};

/** The programs of a world's images. Most of them work. */
export class Programs {
  /** By service and number of the image. */
  readonly #troubles = new Map<string, Trouble>();

  constructor(chance: Chance, troubled: boolean) {
    if (!troubled) return;
    for (const service of ["job", "a", "b", "c"])
      for (const image of [1, 2, 3])
        if (chance.happens(0.25)) this.#troubles.set(`${service} ${image}`, chance.pick(troubles));
  }

  of(
    container: Container,
    engine: () => EmbeddedEngine,
    clock: SimClock,
    volume: (path: string) => VolumeFiles | undefined,
  ): Program {
    const { id, name, service, startedAt } = container;
    const files = volume("/data");
    const image = parseContainerName(name, service)?.imageId;
    // Each version rewrites what the others have written.
    for (const file of ["a", "b", "c", "job"])
      files?.set(file, `${files.get(file) ?? ""}${service}${image} `.slice(-60));
    const trouble = this.#troubles.get(`${service} ${image}`);
    if (service === "job") return { exit: { code: trouble === "ends" ? 1 : 0, afterMs: 500 } };
    if (!trouble) return {};
    for (const [ms, health] of changes[trouble])
      void clock.sleep(ms).then(async () => {
        const { containers } = await engine().look();
        if (containers.some((one) => one.id === id && one.startedAt === startedAt)) engine().setHealth(id, health);
      });
    const isHealthy = trouble === "briefly healthy" || trouble === "flaky";
    return {
      healthy: isHealthy,
      status: () => (trouble === "never healthy" ? 503 : 200),
      ...(trouble === "ends" && { exit: { code: 1, afterMs: 1500 } }),
    };
  }

  /** The status with which the service's program answers. */
  statusOf(service: string, image: string): number {
    return this.#troubles.get(`${service} ${image.replace(/\D/g, "")}`) === "never healthy" ? 503 : 200;
  }

  /** Whether what depends on the service may wait for ever. */
  isBroken(service: string, image: string): boolean {
    const trouble = this.#troubles.get(`${service} ${image.replace(/\D/g, "")}`);
    return trouble !== undefined && trouble !== "late healthy" && trouble !== "flaky";
  }
}
