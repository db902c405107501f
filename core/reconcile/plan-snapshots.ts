import { toVolumeSpec } from "../compose/definitions.ts";
import { findImage } from "../model/image.ts";
import { volumeName } from "../model/names.ts";
import type { VolumeSpec } from "../model/network.ts";
import { copiedVolumes, snapshotLabel, snapshotName } from "../model/snapshot.ts";
import type { App } from "../model/target.ts";
import type { Snapshots, UpdateRecord } from "../model/update.ts";
import type { CurrentState } from "./current.ts";
import { withLocks } from "./gate.ts";
import { isStop, type Step } from "./step.ts";

/**
 * The copies of volumes that an update makes before the first start of its release, and restores when it fails. A volume is
 * copied only while no container has it: a container that the update leaves as it is may have it, too.
 */

interface Input {
  readonly appId: number;
  /** The target, and the release to go back to. */
  readonly app: App;
  readonly committed: App;
  readonly current: CurrentState;
}

/** The volumes to copy: those of which the release asks for it, and which its new containers will have. */
export function dueSnapshots({ appId, app, current }: Omit<Input, "committed">, steps: readonly Step[]): Snapshots {
  const leaving = new Set(steps.filter((step) => step.action === "kill").map(({ id }) => id));
  const staying = new Set(
    current.containers.filter((one) => one.appId === appId && !leaving.has(one.id)).map(({ service }) => service),
  );
  const mounts = app.services.filter(({ name }) => !staying.has(name)).flatMap(({ config }) => config.mounts);
  const names = mounts.filter(({ type }) => type === "volume").map(({ source }) => volumeName(appId, source));
  const copied = copiedVolumes(app, current.volumes).filter((name) => names.includes(name));
  return Object.fromEntries(copied.map((name) => [name, "due"]));
}

/** The copies that must be made before the target's `steps` go on; undefined: all are. */
export function planSnapshots(input: Input, record: UpdateRecord, steps: readonly Step[]): Step[] | undefined {
  const { appId } = input;
  return planCopies(input, volumesOf(record, "due"), steps, (volume, image) => ({
    ...{ action: "snapshotVolume", appId, volume, image },
  }));
}

/** The copies that must be restored before the `steps` to the committed release go on; undefined: all are. */
export function planRestoration(input: Input, record: UpdateRecord, steps: readonly Step[]): Step[] | undefined {
  const { appId, committed, current } = input;
  const made = volumesOf(record, "made");
  const lost = [...made].find((volume) => !current.volumes.some(({ name }) => name === snapshotName(volume)));
  if (lost !== undefined) return [{ action: "dropSnapshot", appId, volume: lost, why: "it does not exist any more" }];
  return planCopies(input, made, steps, (volume, image) => {
    const definition = committed.volumes[volume.slice(volumeName(appId, "").length)] ?? plain;
    const spec = current.volumes.find(({ name }) => name === volume)?.spec ?? toVolumeSpec(definition, committed.uuid);
    return { action: "restoreVolume", appId, volume, spec, image };
  });
}

const isOfImages = ({ action }: Step): boolean => action === "fetch" || action === "removeImage" || action === "wait";

const plain: VolumeSpec = { driver: "local", driverOptions: {}, labels: {} };

/** The volumes of which a copy is due, or is made. */
export const volumesOf = ({ snapshots = {} }: UpdateRecord, is: Snapshots[string]): ReadonlySet<string> =>
  new Set(Object.keys(snapshots).filter((volume) => snapshots[volume] === is));

/** First what stops; then the other containers that have the volumes; then the copies, one after the other. */
function planCopies(
  { appId, app, committed, current }: Input,
  volumes: ReadonlySet<string>,
  steps: readonly Step[],
  toCopy: (volume: string, image: string) => Step,
): Step[] | undefined {
  const [volume] = volumes;
  if (volume === undefined || steps.some(({ action }) => action === "prepare")) return undefined;
  if (steps.some((step) => isStop(step) || step.action === "takeLocks"))
    return steps.filter(({ action }) => action !== "install" && action !== "start");
  const kills = current.containers
    .filter(({ spec }) => spec.mounts.some(({ type, source }) => type === "volume" && volumes.has(source)))
    .map(({ id, service }): Step => ({ action: "kill", id, service, why: "the data in its volume is copied" }));
  if (kills.length > 0) return withLocks(kills, appId, current);
  const images = [...committed.services, ...app.services].map(({ image }) => findImage(current.images, image.name));
  const image = images.find((one) => one !== undefined);
  return image ? [toCopy(volume, image.id)] : steps.filter(isOfImages);
}

/** Forgets all copies. After a purge, nothing of the data may come back. */
export const planDrops = (appId: number, record: UpdateRecord | undefined, why: string): Step[] =>
  Object.keys(record?.snapshots ?? {}).map((volume) => ({ action: "dropSnapshot", appId, volume, why }));

/** Removes the copies that no update needs any more. */
export function planUnusedSnapshots({ volumes, updates }: CurrentState): Step[] {
  const needed = new Set(
    [...updates.values()].flatMap(({ record }) => Object.keys(record?.snapshots ?? {}).map(snapshotName)),
  );
  return volumes
    .filter(({ name, spec }) => snapshotLabel in spec.labels && !needed.has(name))
    .map(({ name }) => ({ action: "removeSnapshot", name }));
}
