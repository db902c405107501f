import type { NetworkEndpoint, Mount, Port, RestartPolicy } from "./container.ts";
import type { Healthcheck, ImageReference } from "./image.ts";
import type { Json } from "./json.ts";
import type { NetworkSpec, VolumeSpec } from "./network.ts";

/** What the device should run: the accepted target state, in one form whatever shape it came in. */
export interface TargetState {
  readonly name: string;
  /** Config variables by their bare name (`SUPERVISOR_…`, `HOST_…`), defaults left out. */
  readonly config: Readonly<Record<string, string>>;
  readonly apps: readonly App[];
  /** No target state has been set yet: what runs keeps running. */
  readonly unset?: true;
  /** Applications that the cloud had given to this device, and of which something may be left. */
  readonly left?: readonly LeftApp[];
}

/** An application that a device has left, as by a move to another fleet. */
export interface LeftApp {
  readonly appId: number;
  readonly uuid: string;
  readonly name: string;
  /** The cloud has confirmed it some time later. */
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
}

/** An application, and the release of it that should run. */
export interface App extends Release {
  readonly appId: number;
  readonly uuid: string;
  readonly name: string;
  /** Which requirement of its contracts this device does not meet, or which power it forbids. The release is not applied. */
  readonly rejected?: string;
  /** A target that holds only during a restart or a purge: no containers, and for "purged" no volumes either. */
  readonly temporary?: "stopped" | "purged";
}

export interface Service {
  readonly name: string;
  readonly serviceId: number;
  readonly imageId: number;
  readonly image: ImageReference;
  /** Whether it should be started; the container is made in any case. */
  readonly running: boolean;
  readonly config: ServiceConfig;
  readonly dependsOn: readonly Dependency[];
  readonly strategy: UpdateStrategy;
  readonly handoverTimeoutMs: number;
}

/** What a composition says about one service, each field in one form; what it does not set is absent. */
export interface ServiceConfig {
  readonly command?: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly user?: string;
  readonly workingDir?: string;
  readonly stopSignal?: string;
  readonly hostname?: string;
  /** "none" switches the image's off; what is left out comes from the image. */
  readonly healthcheck?: Partial<Healthcheck> | "none";
  readonly restart: RestartPolicy;
  readonly ports: readonly Port[];
  /** Volumes under the composition's own names. */
  readonly mounts: readonly Mount[];
  readonly networkMode?: string;
  /** Under the composition's own names. */
  readonly networks: Readonly<Record<string, NetworkEndpoint>>;
  /** Only what is not the default. */
  readonly settings: Readonly<Record<string, Json>>;
}

export interface Dependency {
  readonly service: string;
  readonly condition: "service_started" | "service_healthy" | "service_completed_successfully";
}

export type UpdateStrategy = "download-then-kill" | "kill-then-download" | "delete-then-download" | "hand-over";

export const findApp = (target: TargetState, appId: number): App | undefined =>
  target.apps.find((app) => app.appId === appId);
