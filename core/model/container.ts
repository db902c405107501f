import type { Healthcheck, ImageConfig } from "./image.ts";
import type { Json } from "./json.ts";

/** The normal form of a container's definition, wanted or observed. Two containers are compared by it. */
export interface ContainerSpec extends Omit<ImageConfig, "architecture" | "layers"> {
  /** The engine's image id. */
  readonly image: string;
  /** Empty: the engine names the host after the container. */
  readonly hostname: string;
  /** null: no healthcheck, even if the image has one. */
  readonly healthcheck: Healthcheck | null;
  readonly restart: RestartPolicy;
  readonly ports: readonly Port[];
  readonly mounts: readonly Mount[];
  /** `host`, `none`, `service:<name>`, `container:<id>`, or `networks` for the networks below. */
  readonly networkMode: string;
  /** By the engine's name of the network. */
  readonly networks: Readonly<Record<string, NetworkEndpoint>>;
  /** All other compose fields, by compose name; only values that differ from the default. */
  readonly settings: Readonly<Record<string, Json>>;
}

export interface RestartPolicy {
  readonly name: "no" | "always" | "on-failure" | "unless-stopped";
  readonly retries: number;
}

export interface Port {
  readonly target: number;
  readonly protocol: string;
  /** Host port or range; empty: the engine chooses. */
  readonly published: string;
  /** Host address; empty: all. */
  readonly ip: string;
}

export interface Mount {
  readonly type: "bind" | "volume" | "tmpfs";
  /** A host path, the engine's name of a volume, or empty for tmpfs. */
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
  /** Further options in the engine's words, comma separated, sorted. */
  readonly options: string;
}

/** The names and addresses of a container on one network. */
export interface NetworkEndpoint {
  readonly aliases: readonly string[];
  readonly ipv4: string;
  readonly ipv6: string;
  readonly linkLocal: readonly string[];
}

/** A service's container on the engine. */
export interface Container {
  readonly id: string;
  readonly name: string;
  readonly appId: number;
  readonly appUuid: string;
  readonly service: string;
  readonly serviceId: number;
  readonly state: "created" | "running" | "paused" | "restarting" | "removing" | "exited" | "dead";
  /** Absent without a healthcheck. */
  readonly health?: "starting" | "healthy" | "unhealthy";
  readonly exitCode: number;
  /** Why the engine could not start the container; empty if there was no error. */
  readonly error: string;
  /** ISO 8601. */
  readonly createdAt: string;
  /** Milliseconds since the epoch; 0 when it never ran. */
  readonly startedAt: number;
  /** When it ended last, in milliseconds since the epoch; 0 when it never ended. */
  readonly finishedAt: number;
  /** How often the engine has restarted it because it had ended, since its last start on request. */
  readonly restarts: number;
  /** By the engine's name of the network, the address that the container has on it now. Empty: it does not run. */
  readonly addresses: Readonly<Record<string, string>>;
  readonly spec: ContainerSpec;
}

/** The definition of a container that a restart or a purge has removed. It names shared namespaces by their services. */
export interface InterruptedContainer extends Pick<Container, "id" | "name" | "spec"> {}

export const isActive = ({ state }: Pick<Container, "state">): boolean =>
  state === "running" || state === "paused" || state === "restarting";
