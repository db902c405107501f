import { messageOf } from "../../../core/model/show.ts";
import { systemClock } from "../../../core/ports/clock.ts";
import type { Engine } from "../../../core/ports/engine.ts";
import type { Missing } from "../../../core/ports/index.ts";
import type { Probe } from "../../../core/ports/probe.ts";
import { httpProbe } from "../http-probe.ts";
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
    return { engine, is: "docker", storage: () => engine.storage(), probe: probeFor(dockerHost) };
  } catch (error) {
    if (wanted === "auto") return embedded();
    throw new SettingsError(
      `No Docker engine answers at ${dockerHost ?? "/var/run/docker.sock"} (${messageOf(error)}). Start it, set DOCKER_HOST, or try with --engine embedded.`,
    );
  }
}

async function embedded(): Promise<ChosenEngine> {
  const { EmbeddedEngine } = await import("../../../core/embedded/engine.ts");
  const engine = new EmbeddedEngine({ clock: systemClock, pullMs: 3000, stopMs: 200 });
  return { engine, is: "embedded", storage: async () => [], probe: engine.probe };
}

/** Behind a remote engine's addresses may be other programs of this machine's network. */
const probeFor = (dockerHost = ""): Probe | Missing =>
  /^(tcp|https?|ssh):/.test(dockerHost)
    ? { missing: "the engine, and so its containers, are on another machine" }
    : httpProbe;
