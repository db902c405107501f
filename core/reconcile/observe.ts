import type { BootConfigState } from "../model/boot-config.ts";
import type { Container } from "../model/container.ts";
import { findImage, type ImageConfig } from "../model/image.ts";
import { lastLineOf, tailLines } from "../model/last-line.ts";
import { isHandingOver, isPrepared, serviceKey } from "../model/names.ts";
import { copiedVolumes } from "../model/snapshot.ts";
import type { TargetState } from "../model/target.ts";
import type { ContainerLine } from "../ports/engine.ts";
import { isMissing, type Ports } from "../ports/index.ts";
import type { Observation } from "./current.ts";
import type { Downloads } from "./downloads.ts";
import type { Preflights } from "./preflights.ts";
import type { Repeats } from "./repeats.ts";

type ObserverPorts = Pick<
  Ports,
  "engine" | "files" | "locks" | "handover" | "clock" | "system" | "gateway" | "power" | "firewall" | "bootConfig"
>;

interface Parts {
  readonly downloads: Pick<Downloads, "state">;
  readonly repeats: Pick<Repeats, "retryAt">;
  readonly preflights: Pick<Preflights, "facts" | "emulated">;
  /** The images of committed releases. */
  readonly committedImages: () => readonly { readonly id: string; readonly name: string }[];
}

/** A clock that drifts is not set. */
const setForwardMs = 1000;

/** Reads the state of the device and changes nothing. Called once in each round. */
export class Observer {
  readonly #configs = new Map<string, ImageConfig>();
  /** By container id: the last line of the run that ended at this time. */
  #lines: ReadonlyMap<string, { readonly finishedAt: number; readonly line: string | undefined }> = new Map();
  readonly #ports: ObserverPorts;
  readonly #runningSince: { readonly wall: number; readonly monotonic: number };
  readonly #parts: Parts;

  constructor(ports: ObserverPorts, parts: Parts) {
    this.#ports = ports;
    this.#runningSince = { wall: ports.clock.now(), monotonic: ports.clock.monotonic() };
    this.#parts = parts;
  }

  /** `guarded`: updates are checked before they begin. */
  async observe(
    target: TargetState,
    { fresh, guarded = false }: { readonly fresh: boolean; readonly guarded?: boolean },
  ): Promise<Observation> {
    const { engine, files, locks, handover, clock, system, gateway, power, firewall, bootConfig } = this.#ports;
    // Read before the engine's state. Otherwise an image whose download ends in between would be fetched again.
    const downloads = this.#parts.downloads.state();
    const { containers: all, ...rest } = await engine.look({ fresh });
    const state = { ...rest, containers: all.filter((one) => !isPrepared(one)) };
    const wanted = target.apps.flatMap((app) => app.services.map(({ image }) => findImage(state.images, image.name)));
    const committed = this.#parts
      .committedImages()
      .flatMap(({ id, name }) => state.images.find((image) => image.id === id) ?? findImage(state.images, name) ?? []);
    const takenOver = state.containers
      .filter(isHandingOver)
      .map(async ({ appId, service }) =>
        (await handover.hasTakenOver(appId, service)) ? [serviceKey(appId, service)] : [],
      );
    const confirmations = target.apps.flatMap(({ appId, services: all }) =>
      all
        .filter(({ gates }) => gates?.confirm)
        .map(async ({ name }) => ((await handover.hasConfirmed(appId, name)) ? [serviceKey(appId, name)] : [])),
    );
    const services = target.apps.flatMap((app) => (app.rejected === undefined ? app.services : []));
    const volumes = target.apps.flatMap((app) => copiedVolumes(app, state.volumes));
    const [preflight, imageConfigs, lastLines, confirmed, ...successors] = await Promise.all([
      guarded ? this.#parts.preflights.facts({ services, volumes }, state, downloads) : undefined,
      this.#configsOf(new Set([...wanted, ...committed].flatMap((image) => (image ? [image.id] : [])))),
      this.#lastLinesOf(state.containers),
      Promise.all(confirmations),
      ...takenOver,
    ]);
    return {
      ...state,
      prepared: all.filter(isPrepared),
      now: clock.now(),
      monotonicMs: clock.monotonic(),
      bootedAt: system.bootedAt(),
      bootId: system.bootId(),
      timeZone: system.timeZone(),
      imageConfigs,
      lastLines,
      downloads,
      preflight,
      emulated: this.#parts.preflights.emulated([...imageConfigs.values()]),
      files: new Set(isMissing(files) ? [] : files.stored()),
      locks: locks.held(),
      takenOver: new Set(successors.flat()),
      confirmed: new Set(confirmed.flat()),
      ...this.#beginning(),
      repeats: this.#parts.repeats.retryAt(),
      rebootRequired: !isMissing(power) && (await power.rebootRequired()),
      firewall: isMissing(firewall) ? firewall : (firewall.policy() ?? "unset"),
      bootConfig: await stateOf(bootConfig),
      gatewayOpen: isMissing(gateway) ? undefined : gateway.isOpen(),
    };
  }

  /**
   * The time of the start of this run. If the clock was set back since, it is what the clock would have shown then: containers
   * that start from now on have started later. If it was set forward, those that have started before stay later.
   */
  #beginning(): Pick<Observation, "runningSince" | "runningSinceBySetClock"> {
    const { clock } = this.#ports;
    const { wall, monotonic } = this.#runningSince;
    const bySetClock = Math.round(clock.now() - (clock.monotonic() - monotonic));
    return {
      runningSince: Math.min(wall, bySetClock),
      ...(bySetClock > wall + setForwardMs && { runningSinceBySetClock: bySetClock }),
    };
  }

  /** Read once for each run that has failed. A log that cannot be read has no last line. */
  async #lastLinesOf(containers: readonly Container[]): Promise<ReadonlyMap<string, string>> {
    const { clock } = this.#ports;
    const failed = containers.filter((one) => hasJustFailed(one, clock.now()));
    const read = failed.map(async ({ id, finishedAt }) => {
      const known = this.#lines.get(id);
      if (known?.finishedAt === finishedAt) return [id, known] as const;
      const line = await this.#lastLineOf(id, finishedAt).catch(() => undefined);
      return [id, { finishedAt, line }] as const;
    });
    this.#lines = new Map(await Promise.all(read));
    return new Map([...this.#lines].flatMap(([id, { line }]) => (line === undefined ? [] : [[id, line]])));
  }

  async #lastLineOf(id: string, endedAt: number): Promise<string | undefined> {
    const { engine, clock } = this.#ports;
    const end = new AbortController();
    void clock.sleep(logLimitMs, end.signal).then(() => end.abort());
    const lines: ContainerLine[] = [];
    try {
      for await (const line of engine.logs(id, 0, end.signal, { follow: false, tail: tailLines })) lines.push(line);
    } finally {
      end.abort();
    }
    return lastLineOf(lines, endedAt);
  }

  /** An image's configuration never changes, so each is read once. */
  async #configsOf(ids: ReadonlySet<string>): Promise<ReadonlyMap<string, ImageConfig>> {
    for (const id of this.#configs.keys()) if (!ids.has(id)) this.#configs.delete(id);
    const unknown = [...ids].filter((id) => !this.#configs.has(id));
    await Promise.all(unknown.map(async (id) => this.#configs.set(id, await this.#ports.engine.imageConfig(id))));
    return new Map(this.#configs);
  }
}

/** A log that is not read within this time does not delay the round any longer. */
const logLimitMs = 3000;

/** The problems of a container that has run since for this long are over. */
const recentMs = 1_200_000;

/** Whether a container has ended in a way that is probably a problem. The engine has restarted it since, or it has not. */
const hasJustFailed = ({ state, restarts, exitCode, finishedAt, spec }: Container, now: number): boolean =>
  finishedAt > 0 &&
  (state === "restarting" ||
    (state === "exited" && exitCode !== 0 && (spec.restart.name === "no" || spec.restart.name === "on-failure")) ||
    (state === "running" && restarts > 0 && now - finishedAt < recentMs));

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
