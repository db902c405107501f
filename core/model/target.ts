import type { NetworkEndpoint, Mount, Port, RestartPolicy } from "./container.ts";
import type { Healthcheck, ImageReference } from "./image.ts";
import type { Json } from "./json.ts";
import type { NetworkSpec, VolumeSpec } from "./network.ts";
import type { FileContent, ServiceFile } from "./service-file.ts";
import type { Gates, UpdateRules } from "./update.ts";

/** The accepted target state. Its form does not depend on the version in which it was sent. */
export interface TargetState {
  readonly name: string;
  /** Config variables by their bare name (`SUPERVISOR_…`, `HOST_…`), without defaults. */
  readonly config: Readonly<Record<string, string>>;
  readonly apps: readonly App[];
  /** No target state has been set yet. Running containers stay. */
  readonly unset?: true;
  /** Applications that the cloud had assigned to this device, and that may still have objects on it. */
  readonly left?: readonly LeftApp[];
}

/** An application that a device has left, for example by a move to another fleet. */
export interface LeftApp {
  readonly appId: number;
  readonly uuid: string;
  readonly name: string;
  /** The cloud has confirmed this after some time. */
  readonly confirmed: boolean;
}

/** One version of an application. */
export interface Release {
  /** The release's uuid. */
  readonly commit: string;
  readonly releaseId: number;
  readonly services: readonly Service[];
  readonly networks: Readonly<Record<string, NetworkSpec>>;
  readonly volumes: Readonly<Record<string, VolumeSpec>>;
  /** The contents of the services' files, by id. */
  readonly files?: Readonly<Record<string, FileContent>>;
}

/** An application and its target release. */
export interface App extends Release {
  readonly appId: number;
  readonly uuid: string;
  readonly name: string;
  /** Why the release is not applied: an unmet requirement of its contracts, or a forbidden power. */
  readonly rejected?: string;
  /** Absent: the defaults. */
  readonly update?: UpdateRules;
  /** Set only during a restart or a purge: the target has no containers and, for "purged", no volumes. */
  readonly temporary?: "stopped" | "purged";
}

export interface Service {
  readonly name: string;
  readonly serviceId: number;
  readonly imageId: number;
  readonly image: ImageReference;
  /** Whether the container is started. It is created in any case. */
  readonly running: boolean;
  readonly config: ServiceConfig;
  readonly dependsOn: readonly Dependency[];
  readonly strategy: UpdateStrategy;
  readonly handoverTimeoutMs: number;
  /** Absent: the release asks for no gate. A healthcheck is a gate without a word here. */
  readonly gates?: Gates;
}

/** The normalized fields of a service in a composition. Fields that are not set are absent. */
export interface ServiceConfig {
  readonly command?: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly user?: string;
  readonly workingDir?: string;
  readonly stopSignal?: string;
  readonly hostname?: string;
  /** "none" disables the image's healthcheck. Missing fields come from the image. */
  readonly healthcheck?: Partial<Healthcheck> | "none";
  readonly restart: RestartPolicy;
  readonly ports: readonly Port[];
  /** Volumes have the composition's names. */
  readonly mounts: readonly Mount[];
  readonly files?: readonly ServiceFile[];
  readonly networkMode?: string;
  /** By the composition's names. */
  readonly networks: Readonly<Record<string, NetworkEndpoint>>;
  /** Only values that differ from the default. */
  readonly settings: Readonly<Record<string, Json>>;
}

export interface Dependency {
  readonly service: string;
  readonly condition: "service_started" | "service_healthy" | "service_completed_successfully";
}

export type UpdateStrategy = "download-then-kill" | "kill-then-download" | "delete-then-download" | "hand-over";

export const findApp = (target: TargetState, appId: number): App | undefined =>
  target.apps.find((app) => app.appId === appId);
