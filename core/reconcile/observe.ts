import type { BootConfigState } from "../model/boot-config.ts";
import { findImage, type ImageConfig } from "../model/image.ts";
import { isHandingOver, serviceKey } from "../model/names.ts";
import type { TargetState } from "../model/target.ts";
import { isMissing, type Ports } from "../ports/index.ts";
import type { Observation } from "./current.ts";
import type { Downloads } from "./downloads.ts";
import type { Repeats } from "./repeats.ts";

type ObserverPorts = Pick<
  Ports,
  "engine" | "files" | "locks" | "handover" | "clock" | "system" | "gateway" | "power" | "firewall" | "bootConfig"
>;

interface Parts {
  readonly downloads: Pick<Downloads, "state">;
  readonly repeats: Pick<Repeats, "retryAt">;
}

/** Reads the state of the device and changes nothing. Called once in each round. */
export class Observer {
  readonly #configs = new Map<string, ImageConfig>();
  readonly #ports: ObserverPorts;
  readonly #runningSince: number;
  readonly #parts: Parts;

  constructor(ports: ObserverPorts, parts: Parts) {
    this.#ports = ports;
    this.#runningSince = ports.clock.now();
    this.#parts = parts;
  }

  async observe(target: TargetState, { fresh }: { readonly fresh: boolean }): Promise<Observation> {
    const { engine, files, locks, handover, clock, system, gateway, power, firewall, bootConfig } = this.#ports;
    // Read before the engine's state. Otherwise an image whose download ends in between would be fetched again.
    const downloads = this.#parts.downloads.state();
    const state = await engine.look({ fresh });
    const wanted = target.apps.flatMap((app) => app.services.map(({ image }) => findImage(state.images, image.name)));
    const imageConfigs = await this.#configsOf(new Set(wanted.flatMap((image) => (image ? [image.id] : []))));
    const takenOver = await Promise.all(
      state.containers
        .filter(isHandingOver)
        .map(async ({ appId, service }) =>
          (await handover.hasTakenOver(appId, service)) ? [serviceKey(appId, service)] : [],
        ),
    );
    return {
      ...state,
      now: clock.now(),
      bootedAt: system.bootedAt(),
      imageConfigs,
      downloads,
      files: new Set(isMissing(files) ? [] : files.stored()),
      locks: locks.held(),
      takenOver: new Set(takenOver.flat()),
      runningSince: this.#runningSince,
      repeats: this.#parts.repeats.retryAt(),
      rebootRequired: !isMissing(power) && (await power.rebootRequired()),
      firewall: isMissing(firewall) ? firewall : (firewall.policy() ?? "unset"),
      bootConfig: await stateOf(bootConfig),
      gatewayOpen: isMissing(gateway) ? undefined : gateway.isOpen(),
    };
  }

  /** An image's configuration never changes, so each is read once. */
  async #configsOf(ids: ReadonlySet<string>): Promise<ReadonlyMap<string, ImageConfig>> {
    for (const id of this.#configs.keys()) if (!ids.has(id)) this.#configs.delete(id);
    const unknown = [...ids].filter((id) => !this.#configs.has(id));
    await Promise.all(unknown.map(async (id) => this.#configs.set(id, await this.#ports.engine.imageConfig(id))));
    return new Map(this.#configs);
  }
}

/** An unreadable boot partition must not stop the reconciliation of containers. */
async function stateOf(bootConfig: Ports["bootConfig"]): Promise<BootConfigState> {
  if (isMissing(bootConfig)) return { is: "absent", why: bootConfig.missing };
  try {
    const { prefix, forbidden } = bootConfig;
    return { is: "here", prefix, forbidden, settings: await bootConfig.read() };
  } catch (error) {
    return { is: "absent", why: String(error) };
  }
}
