import type { DeviceFacts } from "../compose/container-spec.ts";
import { hasFeature } from "../compose/features.ts";
import type { BootConfigState } from "../model/boot-config.ts";
import type { Container } from "../model/container.ts";
import { findImage, type ImageConfig, type ImageRecord } from "../model/image.ts";
import { isHandingOver, serviceKey } from "../model/names.ts";
import type { TargetState } from "../model/target.ts";
import { isMissing, type Ports } from "../ports/index.ts";
import type { Keys } from "../state/keys.ts";
import type { CurrentState } from "./current.ts";
import type { Downloads } from "./downloads.ts";
import type { Memory } from "../state/memory.ts";
import type { Repeats } from "./repeats.ts";

/** Looks at the world; the only reader. An idle device is never looked at. */
export class Observer {
  readonly #configs = new Map<string, ImageConfig>();
  readonly #ports: Pick<
    Ports,
    "engine" | "locks" | "handover" | "clock" | "system" | "gateway" | "power" | "firewall" | "bootConfig"
  >;
  readonly #runningSince: number;
  readonly #memory: Memory;
  readonly #keys: Keys;
  readonly #downloads: Downloads;
  readonly #repeats: Repeats;

  constructor(
    ports: Pick<
      Ports,
      "engine" | "locks" | "handover" | "clock" | "system" | "gateway" | "power" | "firewall" | "bootConfig"
    >,
    { memory, keys, downloads, repeats }: { memory: Memory; keys: Keys; downloads: Downloads; repeats: Repeats },
  ) {
    this.#ports = ports;
    this.#runningSince = ports.clock.now();
    this.#memory = memory;
    this.#keys = keys;
    this.#downloads = downloads;
    this.#repeats = repeats;
  }

  async observe(target: TargetState, device: DeviceFacts, localMode: boolean, fresh: boolean): Promise<CurrentState> {
    const { engine, locks, handover, clock, system, gateway, power, firewall, bootConfig } = this.#ports;
    await this.#memory.save();
    // Before the look: what is fetched while it is under way is not among its images yet, and would be fetched again.
    const downloads = this.#downloads.state();
    const state = await engine.look({ fresh });
    const services = target.apps.flatMap((app) => app.services.map((service) => ({ app, service })));
    const found = services.flatMap(({ app, service }) => {
      const image = findImage(state.images, service.image.name);
      return image ? [{ app, service, image }] : [];
    });

    const imageless = services.filter(({ service }) => !findImage(state.images, service.image.name));
    this.#memory.forgetInterrupted(
      new Set(imageless.map(({ app, service }) => serviceKey(app.appId, service.name))),
      state.containers,
    );
    const imageConfigs = await this.#configsOf(new Set(found.map(({ image }) => image.id)));
    await this.#memory.recordImages(
      found
        // What is rejected has no part in what is here.
        .filter(({ app }) => !app.rejected)
        .map(({ app, service, image }): ImageRecord => ({
          name: service.image.name,
          appId: app.appId,
          serviceName: service.name,
          imageId: service.imageId,
          dockerImageId: image.id,
          releaseId: app.releaseId,
        })),
    );
    await this.#keys.ensure(
      services
        .filter(({ service }) => hasFeature(service.config.labels, "supervisor-api"))
        .map(({ app, service }) => ({
          appId: app.appId,
          service: service.name,
          // A container of the original, or of ours with a lost store, keeps the key that it knows.
          existing: keyInside(state.containers.find((one) => one.appId === app.appId && one.service === service.name)),
        })),
    );
    const handOvers = state.containers.filter(isHandingOver).map(({ appId, service }) => ({ appId, service }));
    const takenOver = await Promise.all(
      handOvers.map(async ({ appId, service }) =>
        (await handover.hasTakenOver(appId, service)) ? [serviceKey(appId, service)] : [],
      ),
    );
    return {
      ...state,
      now: clock.now(),
      bootedAt: system.bootedAt(),
      device,
      localMode,
      imageConfigs,
      downloads,
      imageRecords: this.#memory.images,
      locks: locks.held(),
      takenOver: new Set(takenOver.flat()),
      seen: new Set(this.#memory.seen),
      runningSince: this.#runningSince,
      stoppedBefore: this.#memory.stoppedBefore,
      stoppedNow: new Set(this.#memory.stoppedNow),
      interrupted: new Map(this.#memory.interrupted),
      apiKeys: new Map(
        services.map(({ app, service }) => [
          serviceKey(app.appId, service.name),
          this.#keys.of(app.appId, service.name) ?? "",
        ]),
      ),
      keptImages: new Set(this.#memory.keptImages),
      tolerated: this.#memory.tolerated,
      repeats: this.#repeats.retryAt(),
      rebootRequired: !isMissing(power) && (await power.rebootRequired()),
      firewall: isMissing(firewall) ? firewall : (firewall.policy() ?? "unset"),
      bootConfig: await stateOf(bootConfig),
      refusedConfig: this.#memory.refusedConfig,
      announcedVolumes: new Set(this.#memory.announcedVolumes),
      gatewayOpen: isMissing(gateway) ? undefined : gateway.isOpen(),
    };
  }

  /**
   * Remembers which containers run, and forgets those that are gone. What belongs to an application for which something
   * is being done may be on its way down: it does not count.
   */
  remember({ containers }: CurrentState, isBusy: (appId: number) => boolean): void {
    const { seen } = this.#memory;
    const ids = new Set(containers.map(({ id }) => id));
    for (const { id, state, appId } of containers) if (state === "running" && !isBusy(appId)) seen.add(id);
    for (const id of seen) if (!ids.has(id)) seen.delete(id);
  }

  /** What an image says never changes, so each is asked for once. */
  async #configsOf(ids: ReadonlySet<string>): Promise<ReadonlyMap<string, ImageConfig>> {
    for (const id of this.#configs.keys()) if (!ids.has(id)) this.#configs.delete(id);
    const unknown = [...ids].filter((id) => !this.#configs.has(id));
    await Promise.all(unknown.map(async (id) => this.#configs.set(id, await this.#ports.engine.imageConfig(id))));
    return new Map(this.#configs);
  }
}

/** A boot partition that cannot be read is no reason not to look after the containers. */
async function stateOf(bootConfig: Ports["bootConfig"]): Promise<BootConfigState> {
  if (isMissing(bootConfig)) return { is: "absent", why: bootConfig.missing };
  try {
    const { prefix, forbidden } = bootConfig;
    return { is: "here", prefix, forbidden, settings: await bootConfig.read() };
  } catch (error) {
    return { is: "absent", why: String(error) };
  }
}

function keyInside(container: Container | undefined): string | undefined {
  const key = container?.spec.environment["BALENA_SUPERVISOR_API_KEY"];
  return key && /^[0-9a-f]{32,64}$/.test(key) ? key : undefined;
}
