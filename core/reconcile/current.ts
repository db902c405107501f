import type { DeviceFacts } from "../compose/container-spec.ts";
import type { Difference } from "../compose/differences.ts";
import type { InterruptedContainer } from "../model/container.ts";
import type { BootConfigState } from "../model/boot-config.ts";
import type { FirewallPolicy } from "../model/firewall.ts";
import { findImage, type ImageConfig, type ImageRecord } from "../model/image.ts";
import type { EngineState } from "../ports/engine.ts";

/** Everything that `plan` decides from: one observation of the device, and what the agent remembers. */
export interface CurrentState extends EngineState {
  readonly now: number;
  readonly bootedAt: number;
  readonly device: DeviceFacts;
  /** Nothing that local mode does not need is removed in it. */
  readonly localMode: boolean;
  /** By image id, for the images of the target that are here. */
  readonly imageConfigs: ReadonlyMap<string, ImageConfig>;
  /** By image name: fetches that run or have failed. */
  readonly downloads: ReadonlyMap<string, Download>;
  /** The images that were fetched or used for services, so that we know which ones are ours to remove. */
  readonly imageRecords: readonly ImageRecord[];
  /** Images that the engine refused to remove in this run, because a container that is not ours uses them. */
  readonly keptImages: ReadonlySet<string>;
  /** The services whose update locks we hold, by application. */
  readonly locks: ReadonlyMap<number, readonly string[]>;
  /** Services in a hand-over that have said that they have taken over, as `serviceKey`. */
  readonly takenOver: ReadonlySet<string>;
  /** Containers that this run of the agent has started or seen running: if they stop, that was on purpose. */
  readonly seen: ReadonlySet<string>;
  /** When this run of the agent began. */
  readonly runningSince: number;
  /** Services that were stopped through the API in an earlier run, as `serviceKey`: they start again now. */
  readonly stoppedBefore: ReadonlySet<string>;
  /** Services that were stopped through the API in this run, likewise: they stay so. */
  readonly stoppedNow: ReadonlySet<string>;
  /** Containers that a restart or a purge has taken away, likewise: while their successors' images are on the way, they come back. */
  readonly interrupted: ReadonlyMap<string, InterruptedContainer>;
  /** Keys for the API, by `serviceKey`. */
  readonly apiKeys: ReadonlyMap<string, string>;
  /** By container id: in which fields the engine made something else of what we asked; no reason to replace. */
  readonly tolerated: ReadonlyMap<string, readonly Difference[]>;
  /** By `repeatKey`: when a step that has succeeded may be done again, should it be due again. */
  readonly repeats: ReadonlyMap<string, number>;
  /** Something was applied since the machine started that takes effect with its next start. */
  readonly rebootRequired: boolean;
  /** The firewall that this run of the agent has set, or why this machine has none that it could set. */
  readonly firewall: FirewallPolicy | "unset" | { readonly missing: string };
  readonly bootConfig: BootConfigState;
  /** What of the config was refused last, and logged, in this run. */
  readonly refusedConfig: readonly string[];
  /** The volumes of which it has been said in this run that they will be removed. */
  readonly announcedVolumes: ReadonlySet<string>;
  /** Whether services can reach the API on their network; undefined when this machine has no such network. */
  readonly gatewayOpen: boolean | undefined;
}

/** What of it the agent remembers. */
export type Remembered = Pick<
  CurrentState,
  | "imageRecords"
  | "keptImages"
  | "seen"
  | "stoppedBefore"
  | "stoppedNow"
  | "interrupted"
  | "apiKeys"
  | "tolerated"
  | "refusedConfig"
  | "announcedVolumes"
>;

/** What of it is read from the world. */
export type Observation = Omit<CurrentState, keyof Remembered | "device" | "localMode">;

export type Download =
  | { readonly is: "running"; readonly percent: number }
  | { readonly is: "failed"; readonly reason: string; readonly retryAt: number };

/** The key of a step of an application (by id) or of the device, by its purpose (`aimOf`). */
export const repeatKey = (subject: number | "device", aim: string): string => `${subject} ${aim}`;

/** Whether a container is made of what an image's name stands for now, or is about to be made of it again. */
export function isImageInUse(name: string, { images, containers, interrupted }: CurrentState): boolean {
  const image = findImage(images, name);
  return image !== undefined && [...containers, ...interrupted.values()].some(({ spec }) => spec.image === image.id);
}

/** A device of which nothing is known yet. */
export const unseen = (now: number, device: DeviceFacts, localMode: boolean): CurrentState => ({
  containers: [],
  images: [],
  networks: [],
  volumes: [],
  now,
  bootedAt: 0,
  device,
  localMode,
  imageConfigs: new Map(),
  downloads: new Map(),
  imageRecords: [],
  keptImages: new Set(),
  locks: new Map(),
  takenOver: new Set(),
  seen: new Set(),
  runningSince: now,
  stoppedBefore: new Set(),
  stoppedNow: new Set(),
  interrupted: new Map(),
  apiKeys: new Map(),
  tolerated: new Map(),
  repeats: new Map(),
  rebootRequired: false,
  firewall: { missing: "nothing is known of this machine yet" },
  bootConfig: { is: "absent", why: "nothing is known of this machine yet" },
  refusedConfig: [],
  announcedVolumes: new Set(),
  gatewayOpen: undefined,
});
