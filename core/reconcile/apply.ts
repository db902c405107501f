import { lockedMessage, serviceKey } from "../model/names.ts";
import { describeDifference, differences } from "../compose/differences.ts";
import type { Logs } from "../events/logs.ts";
import type { ContainerSpec } from "../model/container.ts";
import type { Credentials } from "../model/image.ts";
import { redact } from "../model/secrets.ts";
import { messageOf } from "../model/show.ts";
import { isTruthy } from "../model/truthy.ts";
import { EngineError } from "../ports/engine.ts";
import { isMissing, type Ports } from "../ports/index.ts";
import type { PowerOutcome } from "../operations/power.ts";
import type { CurrentState } from "./current.ts";
import type { Downloads } from "./downloads.ts";
import type { Memory } from "../state/memory.ts";
import { toContainerNamespaces, toServiceNamespaces } from "../compose/namespaces.ts";
import type { Work } from "./step.ts";

/** What a step came to. That a service says "not now" is no failure of ours. */
export type Outcome = { readonly is: "done" } | { readonly is: "locked"; readonly message: string };

const done: Outcome = { is: "done" };

interface Parts {
  readonly memory: Memory;
  readonly downloads: Downloads;
  readonly logs: Logs;
  /** The device's own credentials for the registry of an image's name, if it has any there. */
  readonly credentialsFor: (image: string) => Credentials | undefined;
  /** The device has left it, and nothing of it is left. */
  readonly forgetApplication: (appId: number) => Promise<void>;
  /** Stops the services and reboots, as the API does. */
  readonly reboot: () => Promise<PowerOutcome>;
}

/** Does what a step says; the only writer. Throws when the engine or the machine refuses. */
export class Applier {
  readonly #ports: Pick<
    Ports,
    "engine" | "folders" | "locks" | "handover" | "gateway" | "firewall" | "bootConfig" | "power"
  >;
  readonly #memory: Memory;
  readonly #downloads: Downloads;
  readonly #logs: Logs;
  readonly #credentialsFor: Parts["credentialsFor"];
  readonly #forgetApplication: Parts["forgetApplication"];
  readonly #reboot: Parts["reboot"];

  constructor(
    ports: Pick<Ports, "engine" | "folders" | "locks" | "handover" | "gateway" | "firewall" | "bootConfig" | "power">,
    { memory, downloads, logs, credentialsFor, forgetApplication, reboot }: Parts,
  ) {
    this.#ports = ports;
    this.#memory = memory;
    this.#downloads = downloads;
    this.#logs = logs;
    this.#credentialsFor = credentialsFor;
    this.#forgetApplication = forgetApplication;
    this.#reboot = reboot;
  }

  async apply(step: Work, current: CurrentState, force: boolean): Promise<Outcome> {
    const { engine, locks, handover, gateway, firewall, bootConfig } = this.#ports;
    const logs = this.#logs;
    switch (step.action) {
      case "fetch": {
        const { name } = step.image;
        const { appId, service: serviceName, imageId } = step;
        // Written down before it begins: else an image that comes after the target has changed would be nobody's.
        await this.#memory.recordImages([{ name, appId, serviceName, imageId, dockerImageId: "" }]);
        logs.system(`Downloading image '${name}'`);
        this.#downloads.start({ ...step.image, fallback: this.#credentialsFor(name) }, (failure) =>
          failure === undefined
            ? logs.system(`Downloaded image '${name}'`)
            : logs.warning(`Failed to download image '${name}' due to '${failure}'`),
        );
        return done;
      }
      case "removeImage":
        logs.system(`Deleting image '${step.name}'`);
        if (await engine.removeImage(step.name)) await this.#memory.forgetImage(step.name);
        else {
          this.#memory.keptImages.add(step.name);
          logs.warning(
            `Image '${step.name}' stays until the next start of the agent: somebody else's container is made of it`,
          );
        }
        return done;
      case "createNetwork":
        logs.system(`Creating network '${bare(step.name)}'`);
        await engine.createNetwork(step.name, step.spec);
        return done;
      case "removeNetwork":
        logs.system(`Removing network '${bare(step.name)}': ${step.why}`);
        await engine.removeNetwork(step.id);
        return done;
      case "openGateway":
        if (!isMissing(gateway)) await gateway.open(step.address);
        return done;
      case "setBootConfig":
        if (isMissing(bootConfig)) return done;
        logs.system("Applying the boot configuration");
        // Noted first: a device that loses its power in between reboots once more than it must, not once less.
        await this.#requireReboot("the boot configuration");
        await bootConfig.write(step.settings);
        return done;
      case "refuseConfig": {
        const known = this.#memory.refusedConfig;
        for (const sentence of step.refused) if (!known.includes(sentence)) logs.warning(sentence);
        this.#memory.refusedConfig = step.refused;
        return done;
      }
      case "setFirewall":
        if (!isMissing(firewall)) await firewall.set(step.policy);
        return done;
      case "createVolume":
        logs.system(`Creating volume '${bare(step.name)}'`);
        await withoutValues({ environment: step.spec.driverOptions }, () => engine.createVolume(step.name, step.spec));
        return done;
      case "removeVolume":
        logs.system(`Removing volume '${bare(step.name)}'`);
        await engine.removeVolume(step.name);
        return done;
      case "announceRemoval":
        for (const volume of step.volumes) this.#memory.announcedVolumes.add(volume);
        logs.warning(
          `This device has left application ${step.name} (${step.appId}). Once its new application runs, and the cloud has said so again, these volumes are removed: ${step.volumes.map(bare).join(", ")}`,
        );
        return done;
      case "forgetApplication":
        await this.#forgetApplication(step.appId);
        return done;
      case "takeLocks": {
        logs.system("Taking update locks");
        const { appId } = step;
        const lock = await locks.take(appId, step.services, { force });
        return lock.taken ? done : { is: "locked", message: lockedMessage(appId, lock.by) };
      }
      case "releaseLocks":
        logs.system("Releasing update locks");
        await locks.release(step.appId);
        return done;
      case "kill":
        await this.kill(step.id, current, step.why, step);
        return done;
      case "stop":
        await this.stop(step.id, current);
        // Should the target say `running: true` again, this stop is none that anybody asked for.
        this.#memory.seen.delete(step.id);
        return done;
      case "start":
        await this.start(step.id, current);
        return done;
      case "install":
        await this.#install(step, current);
        return done;
      case "rename":
        await engine.renameContainer(step.id, step.name);
        return done;
      case "moveAside":
        logs.system(`Handing over service '${this.#label(step.id, current)}': ${step.why}`);
        await handover.clearTakeOver(step.appId, step.service);
        // If the machine restarts now, only the successor shall come back.
        await engine.setRestartPolicy(step.id, { name: "no", retries: 0 });
        await engine.renameContainer(step.id, step.name);
        return done;
      case "reboot": {
        const outcome = await this.#reboot();
        if (isMissing(outcome)) throw new Error(outcome.missing);
        return outcome.is === "done" ? done : { is: "locked", message: outcome.reason };
      }
    }
  }

  /** Stops and removes a container. `again`: it is only restarted, so what it was is remembered. */
  async kill(id: string, current: CurrentState, why: string, { again = false } = {}): Promise<void> {
    const container = current.containers.find((one) => one.id === id);
    if (container && again) {
      const siblings = current.containers.filter(({ appId }) => appId === container.appId);
      this.#memory.interrupted.set(serviceKey(container.appId, container.service), {
        id,
        name: container.name,
        spec: toServiceNamespaces(container.spec, siblings),
      });
    }
    // If it stops and then cannot be removed, nobody wanted it to be stopped only.
    this.#memory.seen.delete(id);
    await this.#during("Stopping", id, current, async (label) => {
      this.#logs.system(`Killing service '${label}': ${why}`);
      await this.#ports.engine.stopContainer(id);
      this.#logs.system(`Service exited '${label}'`);
      await this.#ports.engine.removeContainer(id);
      this.#logs.system(`Killed service '${label}'`);
    });
  }

  async stop(id: string, current: CurrentState): Promise<void> {
    await this.#during("Stopping", id, current, async (label) => {
      this.#logs.system(`Stopping service '${label}'`);
      await this.#ports.engine.stopContainer(id);
      this.#logs.system(`Service exited '${label}'`);
    });
  }

  async start(id: string, current: CurrentState): Promise<void> {
    const container = current.containers.find((one) => one.id === id);
    await this.#during("Starting", id, current, async (label) => {
      this.#logs.system(`Starting service '${label}'`);
      // Where `/tmp` is empty after a boot, the engine would make the folder itself, and only for root.
      if (container) await this.#ports.folders.prepare(container.appId, container.service);
      await withoutValues(container?.spec, () => this.#ports.engine.startContainer(id));
      this.#memory.seen.add(id);
      this.#logs.system(`Started service '${label}'`);
    });
    if (container) await this.#memory.setStopped(serviceKey(container.appId, container.service), false);
  }

  async #install(step: Extract<Work, { readonly action: "install" }>, current: CurrentState): Promise<void> {
    const { engine, folders } = this.#ports;
    const { appId, service, name, spec } = step;
    const key = serviceKey(appId, service);
    const label = `${service} ${spec.image}`;
    try {
      this.#memory.activity.set(key, "Installing");
      this.#logs.system(`Installing service '${label}'`);
      await folders.prepare(appId, service);
      // Before it is made, so that it cannot be forgotten.
      if (isTruthy(spec.labels[rebootLabel])) await this.#requireReboot(`service '${label}'`);
      const wish = toContainerNamespaces(spec, appId, current.containers);
      const id = await withoutValues(wish, () => engine.createContainer(name, wish));
      this.#logs.system(`Installed service '${label}'`);
      const compared = this.#compareWithWish(id, wish);
      try {
        if (!step.start) return;
        this.#memory.activity.set(key, "Starting");
        this.#logs.system(`Starting service '${label}'`);
        await withoutValues(wish, () => engine.startContainer(id));
        this.#memory.seen.add(id);
        await this.#memory.setStopped(key, false);
        this.#logs.system(`Started service '${label}'`);
      } finally {
        await compared;
      }
    } finally {
      this.#memory.activity.delete(key);
    }
  }

  async #requireReboot(what: string): Promise<void> {
    const { power } = this.#ports;
    if (isMissing(power)) return this.#logs.warning(`The device should be rebooted for ${what}, and the agent cannot`);
    await power.requireReboot();
    this.#logs.system(`A reboot will follow, for ${what}`);
  }

  /**
   * An engine may make something else of what it was asked (a kernel without swap accounting, a daemon with defaults of
   * its own). It would do so again and again, so such a difference is said once, and is no reason to replace.
   */
  async #compareWithWish(id: string, wish: ContainerSpec): Promise<void> {
    // If the engine does not answer now, the next look finds the difference, and the container is made once more.
    const { containers } = await this.#ports.engine.look({ fresh: false }).catch(() => ({ containers: [] }));
    const made = containers.find((container) => container.id === id);
    if (!made) return;
    const found = differences(made.spec, wish);
    for (const difference of found)
      this.#logs.warning(
        `The engine made something else of what was asked for service '${made.service}': ${describeDifference(difference)}`,
      );
    await this.#memory.tolerate(id, found, new Set(containers.map((container) => container.id)));
  }

  async #during(word: string, id: string, current: CurrentState, act: (label: string) => Promise<void>): Promise<void> {
    const container = current.containers.find((one) => one.id === id);
    const key = container && serviceKey(container.appId, container.service);
    try {
      if (key) this.#memory.activity.set(key, word);
      await act(this.#label(id, current));
    } finally {
      if (key) this.#memory.activity.delete(key);
    }
  }

  #label(id: string, current: CurrentState): string {
    const container = current.containers.find((one) => one.id === id);
    return container ? `${container.service} ${container.spec.image}` : id.slice(0, 12);
  }
}

/**
 * Throws what `act` throws, without the values of the container's variables. An engine repeats what it refuses: "invalid
 * environment variable: TOKEN=…". The error that it was is no cause of this one, since whoever logs that logs the values.
 */
async function withoutValues<T>(
  spec: Pick<ContainerSpec, "environment"> | undefined,
  act: () => Promise<T>,
): Promise<T> {
  try {
    return await act();
  } catch (error) {
    const message = redact(messageOf(error), spec);
    throw error instanceof EngineError ? new EngineError(message, error.status) : new Error(message);
  }
}

/** Source: the labels' documentation; such an update is done only once the device has rebooted. */
const rebootLabel = "io.balena.update.requires-reboot";

/** The composition's name of a network or volume: the engine's without the application in front. */
const bare = (name: string): string => name.replace(/^[^_]+_/, "");
