import type { DeviceFacts } from "../compose/container-spec.ts";
import type { Difference } from "../compose/differences.ts";
import type { Container, InterruptedContainer } from "../model/container.ts";
import type { BootConfigState } from "../model/boot-config.ts";
import type { FirewallPolicy } from "../model/firewall.ts";
import type { Space } from "../model/disk.ts";
import { findImage, type ImageConfig, type ImageRecord, type Manifest } from "../model/image.ts";
import type { WatchFacts } from "../model/update.ts";
import type { UpdateFacts } from "../model/update-facts.ts";
import type { EngineState } from "../ports/engine.ts";

/** The input of `plan`: one observation of the device, and the memory of the agent. */
export interface CurrentState extends EngineState {
  /** Containers that an update has created, and that have not been started. They are not among `containers`. */
  readonly prepared: readonly Container[];
  /** The wall clock. It jumps when the time of the machine is set. */
  readonly now: number;
  /** The clock that never jumps: for durations. */
  readonly monotonicMs: number;
  readonly bootedAt: number;
  /** Differs after each boot. */
  readonly bootId: string;
  readonly timeZone: string;
  readonly device: DeviceFacts;
  /** In local mode, neither unused images nor the volumes of applications that the device has left are removed. */
  readonly localMode: boolean;
  /** By image id, for those images of the target that are on the engine. */
  readonly imageConfigs: ReadonlyMap<string, ImageConfig>;
  /** By container id: the last line of a run that has failed. */
  readonly lastLines: ReadonlyMap<string, string>;
  /** By image name: downloads that run or have failed. */
  readonly downloads: ReadonlyMap<string, Download>;
  /** Absent: no download is due, in local mode, or if the free space is not known. */
  readonly preflight: PreflightFacts | undefined;
  /** Architectures of images that this machine runs by an interpreter; undefined if the engine's machine is not known. */
  readonly emulated: ReadonlySet<string> | undefined;
  /** The images that were fetched or used for services. The agent removes only these. */
  readonly imageRecords: readonly ImageRecord[];
  /** Images that the engine refused to remove in this run, because a container of another program uses them. */
  readonly keptImages: ReadonlySet<string>;
  /** The services whose update locks the agent holds, by application. */
  readonly locks: ReadonlyMap<number, readonly string[]>;
  /** Services that have signalled in a hand-over that they have taken over, as `serviceKey`. */
  readonly takenOver: ReadonlySet<string>;
  /**
   * Services of a release that is being tried, as `serviceKey`: they have gates, and not all of them are open. A predecessor
   * that was moved aside stays. Absent: there is none.
   */
  readonly unproven?: ReadonlySet<string>;
  /**
   * An update is tried, or taken back: new containers are created before the old ones are stopped, but none with these
   * volumes. Absent: they are created afterwards.
   */
  readonly createsFirst?: { readonly without: ReadonlySet<string> };
  /** The committed release comes back. A lock file of a service that does not run does not count then. */
  readonly isReturning?: boolean;
  /** Services that have confirmed an update with a file, as `serviceKey`. */
  readonly confirmed: ReadonlySet<string>;
  /** Containers that this run of the agent has started or seen running. If one stops, it was stopped on purpose. */
  readonly seen: ReadonlySet<string>;
  /** When this run of the agent began. */
  readonly runningSince: number;
  /** The same, if the clock was set forward since: what it would have shown then. */
  readonly runningSinceBySetClock?: number;
  /** Services that were stopped through the API in an earlier run, as `serviceKey`. They are started again. */
  readonly stoppedBefore: ReadonlySet<string>;
  /** Services that were stopped through the API in this run, as `serviceKey`. They stay stopped. */
  readonly stoppedNow: ReadonlySet<string>;
  /** By `serviceKey`: containers removed by a restart or a purge. They run again while the new image is downloaded. */
  readonly interrupted: ReadonlyMap<string, InterruptedContainer>;
  /** Keys for the API, by `serviceKey`. */
  readonly apiKeys: ReadonlyMap<string, string>;
  /** By container id: differences between the request and what the engine created. They are no reason to replace. */
  readonly tolerated: ReadonlyMap<string, readonly Difference[]>;
  /** By `repeatKey`: the earliest time, on the monotonic clock, at which a step that has succeeded may be applied again. */
  readonly repeats: ReadonlyMap<string, number>;
  /** A change was applied that takes effect with the next boot. */
  readonly rebootRequired: boolean;
  /** The firewall policy that this run of the agent has set, or why this machine has no firewall to set. */
  readonly firewall: FirewallPolicy | "unset" | { readonly missing: string };
  readonly bootConfig: BootConfigState;
  /** The refusals of config variables that this run has logged last. */
  readonly refusedConfig: readonly string[];
  /** The ids of the stored files of services. */
  readonly files: ReadonlySet<string>;
  /** The volumes whose removal this run has announced in the log. */
  readonly announcedVolumes: ReadonlySet<string>;
  /** Whether services can reach the API on their network; undefined when this machine has no such network. */
  readonly gatewayOpen: boolean | undefined;
  /** By application. Empty in local mode, in which releases are not committed. */
  readonly updates: ReadonlyMap<number, UpdateFacts>;
  readonly watch: WatchFacts;
  /** For how long nobody has held an update lock or a lease, by application, for those whose updates wait for that. */
  readonly unlockedMs: ReadonlyMap<number, number>;
  /** Why the last steps of an application have failed. */
  readonly failures: ReadonlyMap<number, string>;
  /** Applications whose update somebody forces. */
  readonly forced: ReadonlySet<number>;
}

/** The part that the agent remembers. */
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
  | "updates"
  | "watch"
  | "unlockedMs"
>;

/** The part that is read from the device. */
export type Observation = Omit<
  CurrentState,
  keyof Remembered | "device" | "localMode" | "unproven" | "createsFirst" | "isReturning" | "failures" | "forced"
>;

export type Download =
  /** `lastFailure`: why the last attempt failed, if there was one. */
  | { readonly is: "running"; readonly percent: number; readonly lastFailure?: string | undefined }
  /** `retryAt`: on the monotonic clock. */
  | { readonly is: "failed"; readonly reason: string; readonly retryAt: number };

/** What is known about images before they are downloaded. */
export interface PreflightFacts {
  readonly space: Space;
  /** Names of images whose registry has been asked, and has not answered yet. */
  readonly asked: ReadonlySet<string>;
  /** By name. */
  readonly manifests: ReadonlyMap<string, Manifest>;
  /** The layers of each image on the engine, if that makes a difference. */
  readonly layers: ReadonlyMap<string, readonly string[]>;
  /** The bytes of the volumes that updates copy, by name. The engine has been asked for those that are missing. */
  readonly volumes: ReadonlyMap<string, number>;
}

/** The key of a step: its application (by id) or the device, and its purpose (`aimOf`). */
export const repeatKey = (subject: number | "device", aim: string): string => `${subject} ${aim}`;

/** Whether a container, or one that is about to be created again, uses the image that the name refers to now. */
export function isImageInUse(name: string, current: CurrentState): boolean {
  const image = findImage(current.images, name);
  return image !== undefined && usersOf(current).some(({ spec }) => spec.image === image.id);
}

/** All containers, and those that are about to be created again. What they use stays. */
export const usersOf = ({ containers, prepared, interrupted }: CurrentState): readonly Pick<Container, "spec">[] => [
  ...containers,
  ...prepared,
  ...interrupted.values(),
];

/** The current state before the first observation. */
export const unseen = (now: number, device: DeviceFacts, localMode: boolean): CurrentState => ({
  containers: [],
  prepared: [],
  images: [],
  networks: [],
  volumes: [],
  now,
  monotonicMs: now,
  bootedAt: 0,
  bootId: "",
  timeZone: "UTC",
  device,
  localMode,
  imageConfigs: new Map(),
  lastLines: new Map(),
  downloads: new Map(),
  preflight: undefined,
  emulated: undefined,
  imageRecords: [],
  keptImages: new Set(),
  locks: new Map(),
  takenOver: new Set(),
  confirmed: new Set(),
  seen: new Set(),
  runningSince: now,
  stoppedBefore: new Set(),
  stoppedNow: new Set(),
  interrupted: new Map(),
  apiKeys: new Map(),
  tolerated: new Map(),
  repeats: new Map(),
  rebootRequired: false,
  firewall: { missing: "the machine has not been observed yet" },
  bootConfig: { is: "absent", why: "the machine has not been observed yet" },
  refusedConfig: [],
  files: new Set(),
  announcedVolumes: new Set(),
  gatewayOpen: undefined,
  updates: new Map(),
  watch: new Map(),
  unlockedMs: new Map(),
  failures: new Map(),
  forced: new Set(),
});
