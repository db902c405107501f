import { messageOf } from "../../../core/model/show.ts";
import { systemClock } from "../../../core/ports/clock.ts";
import type { EngineHost } from "../../../core/ports/engine-host.ts";
import type { Engine } from "../../../core/ports/engine.ts";
import type { Missing } from "../../../core/ports/index.ts";
import type { Probe } from "../../../core/ports/probe.ts";
import { httpProbe } from "../http-probe.ts";
import type { Registry } from "../../../core/ports/registry.ts";
import { engineHost } from "../../../hardware/engine-host.ts";
import { SettingsError } from "../settings-error.ts";
import type { Settings } from "../settings.ts";

export interface ChosenEngine {
  readonly engine: Engine;
  /** embedded: in memory; no container runs. */
  readonly is: "docker" | "embedded";
  /** The host's folders in which the engine keeps images and volumes. */
  readonly storage: () => Promise<readonly string[]>;
  /** Reaches the containers of the engine. */
  readonly probe: Probe | Missing;
  /** `hostRoot`: where the host's root folder is mounted. */
  readonly host: (hostRoot: string) => EngineHost | Missing;
  readonly registry: Registry | Missing;
}

/** Only the chosen engine's code is loaded. */
export async function chooseEngine({
  engine: wanted,
  dockerHost,
}: Pick<Settings, "engine" | "dockerHost">): Promise<ChosenEngine> {
  if (wanted === "embedded") return embedded();
  try {
    const { DockerEngine } = await import("./docker-engine.ts");
    const engine = await DockerEngine.connect(systemClock, dockerHost);
    const { HttpRegistry } = await import("./http-registry.ts");
    const storage = () => engine.storage();
    const away = isElsewhere(dockerHost);
    return {
      ...{ engine, is: "docker", storage, registry: new HttpRegistry() },
      host: (hostRoot) => (away ? { missing: "the engine is on another machine" } : engineHost(hostRoot, storage)),
      // Behind a remote engine's addresses may be other programs of this machine's network.
      probe: away ? { missing: "the engine, and so its containers, are on another machine" } : httpProbe,
    };
  } catch (error) {
    if (wanted === "auto") return embedded();
    throw new SettingsError(
      `No Docker engine answers at ${dockerHost ?? "/var/run/docker.sock"} (${messageOf(error)}). Start it, set DOCKER_HOST, or try with --engine embedded.`,
    );
  }
}

/** Whether an address of an engine leads to another machine. */
export const isElsewhere = (dockerHost = ""): boolean => /^(tcp|https?|ssh):/.test(dockerHost);

async function embedded(): Promise<ChosenEngine> {
  const { EmbeddedEngine } = await import("../../../core/embedded/engine.ts");
  const engine = new EmbeddedEngine({ clock: systemClock, pullMs: 3000, stopMs: 200 });
  const { host, probe, registry } = engine;
  return { engine, is: "embedded", storage: async () => [], host: () => host, probe, registry };
}
