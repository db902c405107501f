import type { ImageRecord } from "../model/image.ts";
import * as z from "zod";
import type { Difference } from "../compose/differences.ts";
import type { Lease } from "../model/lease.ts";
import type { LeftApp } from "../model/target.ts";
import { gateKinds, type UpdateFailure, type UpdateRecord } from "../model/update.ts";
import type { Store } from "../ports/store.ts";
import { oneByOne } from "./one-by-one.ts";

/** The documents that the agent stores. */
export interface DocumentShapes {
  /** The body of the last accepted `POST /v2/local/target-state`. */
  readonly "local-target": object;
  /** The last accepted target state of the cloud. */
  readonly "cloud-target": object;
  readonly "left-applications": readonly LeftApplication[];
  /** By application's uuid, commit and service: the images of cloud releases that are partly or fully on the device. */
  readonly "release-images": Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, string>>>>>>;
  /** The name from the last target state that had one. */
  readonly "device-name": string;
  readonly uuid: string;
  readonly keys: readonly Key[];
  readonly images: readonly ImageRecord[];
  /** By application: the release that it reached last. */
  readonly commits: Readonly<Record<string, string>>;
  /** Services that were stopped through the API, as `serviceKey`. */
  readonly stopped: readonly string[];
  /** By container id: differences between the request and what the engine created. */
  readonly tolerated: Readonly<Record<string, readonly Difference[]>>;
  readonly tags: Readonly<Record<string, string>>;
  /** The names of tags that have not been sent to the cloud yet. */
  readonly "unsent-tags": readonly string[];
  readonly "cloud-device": CloudDevice;
  /** The address of a cloud that accepts service keys derived from the device key. */
  readonly "deriving-cloud": string;
  readonly leases: readonly StoredLease[];
  /** By application: the release that it returns to if an update fails. */
  readonly committed: Readonly<Record<string, CommittedRelease>>;
  /** By application. */
  readonly updates: Readonly<Record<string, UpdateRecord>>;
  /** The time from which log lines are kept for the cloud, in milliseconds since the epoch. */
  readonly "logs-since": number;
}

/** An application that the cloud had assigned to this device. */
export interface LeftApplication extends LeftApp {
  /** When the cloud first confirmed a target state without it, in milliseconds since the epoch. */
  readonly missingSince?: number | undefined;
}

/** The part of an accepted target state that describes one application, as it was sent. */
export interface AppSource {
  /** Who sent it, and so in which version of the target state it is. */
  readonly of: "developer" | "cloud";
  /** The application's key in the target state. */
  readonly key: string;
  readonly body: unknown;
}

export interface CommittedRelease {
  readonly commit: string;
  readonly fingerprint: string;
  /** The image ids of its services. */
  readonly images: Readonly<Record<string, string>>;
  readonly source: AppSource;
}

interface StoredLease extends Lease {
  /** The services whose folders have a lock file for it. */
  readonly services: readonly string[];
  readonly remainingMs: number;
}

/** The device's registration with a cloud. */
interface CloudDevice {
  readonly endpoint: string;
  readonly key: string;
  /** False: the key was proposed, and the cloud has not confirmed it yet. */
  readonly registered: boolean;
  readonly id?: number | undefined;
  /** The device's new name, until it has been sent to the cloud. */
  readonly unsentName?: string | undefined;
}

export interface Key {
  readonly key: string;
  /** The key of a service has both fields; the global key has neither. */
  readonly appId?: number | undefined;
  readonly service?: string | undefined;
}

const Failure: z.ZodType<UpdateFailure> = z.object({
  service: z.string().optional(),
  gate: z.enum(gateKinds).optional(),
  message: z.string(),
  lines: z.array(z.string()).optional(),
});
const ofUpdate = {
  fingerprint: z.string(),
  commit: z.string(),
  snapshots: z.record(z.string(), z.enum(["due", "made"])).optional(),
};
const Update: z.ZodType<UpdateRecord> = z.discriminatedUnion("phase", [
  z.object({
    ...{ phase: z.literal("waiting"), ...ofUpdate, bootId: z.string() },
    ...{ consent: z.string().optional(), since: z.number().optional() },
  }),
  z.object({ phase: z.literal("trying"), ...ofUpdate, attempts: z.number(), confirmed: z.array(z.string()) }),
  z.object({ phase: z.literal("paused"), ...ofUpdate, failure: Failure, accepted: z.literal(true).optional() }),
  z.object({ phase: z.literal("back"), ...ofUpdate, failure: Failure, rejects: z.boolean() }),
  z.object({ phase: z.literal("rejected"), ...ofUpdate, failure: Failure, at: z.number() }),
]);

const shapes: { readonly [N in keyof DocumentShapes]: z.ZodType<DocumentShapes[N]> } = {
  "local-target": z.looseObject({}),
  "cloud-target": z.looseObject({}),
  "left-applications": z.array(
    z.object({
      appId: z.number(),
      uuid: z.string(),
      name: z.string(),
      confirmed: z.boolean(),
      missingSince: z.number().optional(),
    }),
  ),
  "release-images": z.record(z.string(), z.record(z.string(), z.record(z.string(), z.string()))),
  "device-name": z.string(),
  uuid: z.string(),
  keys: z.array(z.object({ key: z.string(), appId: z.number().optional(), service: z.string().optional() })),
  images: z.array(
    z.object({
      name: z.string(),
      appId: z.number(),
      serviceName: z.string(),
      imageId: z.number(),
      dockerImageId: z.string(),
      releaseId: z.number().optional(),
    }),
  ),
  commits: z.record(z.string(), z.string()),
  stopped: z.array(z.string()),
  tolerated: z.record(z.string(), z.array(z.object({ field: z.string(), from: z.json(), to: z.json() }))),
  tags: z.record(z.string(), z.string()),
  "unsent-tags": z.array(z.string()),
  leases: z.array(
    z.object({
      id: z.string(),
      appId: z.number(),
      service: z.string().optional(),
      owner: z.string(),
      reason: z.string(),
      services: z.array(z.string()),
      remainingMs: z.number(),
    }),
  ),
  committed: z.record(
    z.string(),
    z.object({
      commit: z.string(),
      fingerprint: z.string(),
      images: z.record(z.string(), z.string()),
      source: z.object({ of: z.enum(["developer", "cloud"]), key: z.string(), body: z.unknown() }),
    }),
  ),
  updates: z.record(z.string(), Update),
  "logs-since": z.number(),
  "deriving-cloud": z.string(),
  "cloud-device": z.object({
    endpoint: z.string(),
    key: z.string(),
    registered: z.boolean(),
    id: z.number().optional(),
    unsentName: z.string().optional(),
  }),
};

/** A typed view of the store. A document with a wrong shape counts as absent. */
export class Documents {
  readonly #store: Store;
  readonly #inOrder = oneByOne();

  constructor(store: Store) {
    this.#store = store;
  }

  async read<N extends keyof DocumentShapes>(name: N): Promise<DocumentShapes[N] | undefined> {
    return shapes[name].safeParse(await this.#store.read(name)).data;
  }

  /** Writes all documents or none; undefined removes one. Writes keep their order. */
  write(changes: { readonly [N in keyof DocumentShapes]?: DocumentShapes[N] | undefined }): Promise<void> {
    return this.#inOrder(() => this.#store.write(changes));
  }
}
