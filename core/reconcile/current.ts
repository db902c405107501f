import type { DeviceFacts, Difference } from "../compose/container.ts";
import type { ImageConfig } from "../model/image.ts";
import type { EngineState } from "../ports/engine.ts";

/** Everything that deciding may look at: what one look at the world showed, and what the agent itself remembers. */
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
  /** Applications whose update locks we hold. */
  readonly lockedApps: readonly number[];
  /** Services in a hand-over that have said that they have taken over, as `serviceKey`. */
  readonly takenOver: ReadonlySet<string>;
  /** Containers that this run of the agent has started or seen running: if they stop, somebody wanted that. */
  readonly seen: ReadonlySet<string>;
  /** Services that were stopped through the API in an earlier run, as `serviceKey`: they start again now. */
  readonly stoppedBefore: ReadonlySet<string>;
  /** Keys for the API, by `serviceKey`. */
  readonly apiKeys: ReadonlyMap<string, string>;
  /** By container id: in which fields the engine made something else of what we asked; no reason to replace. */
  readonly tolerated: ReadonlyMap<string, readonly Difference[]>;
  /** Whether services can reach the API on their network; undefined when this machine has no such thing. */
  readonly gatewayOpen: boolean | undefined;
}

export type Download =
  | { readonly is: "running"; readonly percent: number }
  | { readonly is: "failed"; readonly reason: string; readonly retryAt: number };

/** An image as the state endpoints list it. */
export interface ImageRecord {
  readonly name: string;
  readonly appId: number;
  readonly serviceName: string;
  readonly imageId: number;
  readonly dockerImageId: string;
}

export const serviceKey = (appId: number, service: string): string => `${appId}/${service}`;

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
  lockedApps: [],
  takenOver: new Set(),
  seen: new Set(),
  stoppedBefore: new Set(),
  apiKeys: new Map(),
  tolerated: new Map(),
  gatewayOpen: undefined,
});
