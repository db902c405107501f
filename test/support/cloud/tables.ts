import { satisfies } from "balena-semver";

/** What the cloud keeps, and what people do to it. */

export interface Fleet {
  readonly id: number;
  readonly uuid: string;
  readonly name: string;
  /** The provisioning key. */
  readonly key: string;
  /** By balena-semver; the default of the public cloud's application types. */
  osVersionRange: string;
  config: Record<string, string>;
  environment: Record<string, string>;
}

export interface Release {
  readonly id: number;
  readonly commit: string;
  readonly fleet: Fleet;
  readonly services: Readonly<Record<string, ServiceRow>>;
  readonly networks?: object;
  readonly volumes?: object;
}

/** A service of a release as the target state has it. Its image's location is one row, whatever releases share it. */
type ServiceRow = { readonly image: string } & Readonly<Record<string, unknown>>;

export interface Device {
  readonly id: number;
  readonly uuid: string;
  readonly key: string;
  fleet: Fleet;
  name: string;
  config: Record<string, string>;
  environment: Record<string, string>;
  pinnedOn: Release | undefined;
  /** What it is told instead of what these tables make of it. */
  told: { readonly apps: object; readonly config: object } | undefined;
  /** The fields that it has reported, as they stand. */
  readonly fields: Record<string, unknown>;
  /** By image, as the target state spells it. */
  readonly installs: Map<string, Install>;
  /** The commit of the release that it said it runs. */
  running: string | undefined;
  updateStatus: string | undefined;
  readonly tags: Record<string, string>;
  readonly logs: LogLine[];
  /** Its part of each report that was taken. */
  readonly reports: Readonly<Record<string, unknown>>[];
  metricsAt: number;
  /** When it asked for its target state last. */
  askedAt: number | undefined;
}

interface Install {
  status: string | undefined;
  progress: number | null;
  commit: string;
  /** What was written last because a report said so; kept for five minutes, and not told of a deletion. */
  lastReport?: InstallReport & { readonly at: number };
}

export interface InstallReport {
  readonly status: string | undefined;
  /** Undefined: not said. */
  readonly progress: number | null | undefined;
  readonly commit: string;
}

interface LogLine {
  readonly message: string;
  readonly timestamp: number;
  readonly isSystem?: boolean | undefined;
  readonly isStdErr?: boolean | undefined;
  readonly serviceId?: number | undefined;
}

/** A refusal, as people and devices get it. */
export class Refusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export interface TablesOptions {
  /** Milliseconds, of the time that the cloud's limits are about. */
  readonly now: () => number;
  /** No device is told to poll more often. */
  readonly shortestPollMs: number;
}

export class Tables {
  readonly fleet: Fleet;
  readonly fleets: Fleet[] = [];
  readonly devices = new Map<string, Device>();
  /** By commit. */
  readonly releases = new Map<string, Release>();
  readonly deviceTypes = new Set(["generic-amd64", "generic-aarch64", "raspberrypi3", "intel-nuc"]);
  /** Keys that the cloud knows and that open nothing here. */
  readonly otherKeys = new Set<string>();
  /** Down: no key is known. */
  database: "up" | "down" = "up";
  /** Headers with which it answers for a target state, besides those recorded: what a Fairlead cloud says. */
  stateHeaders: Readonly<Record<string, string>> = {};
  /** When log lines came, of the last half second, by uuid. */
  readonly recentLines = new Map<string, readonly number[]>();
  readonly now: () => number;
  readonly shortestPollMs: number;
  #count = 0;

  constructor({ now, shortestPollMs }: TablesOptions) {
    this.now = now;
    this.shortestPollMs = shortestPollMs;
    this.fleet = this.addFleet("fleet-one", "e9eb9c68bb8547caa6b002595b443009", "<provisioning-key>");
  }

  addFleet(name: string, uuid: string, key = `<provisioning-key of ${name}>`): Fleet {
    const id = this.fleets.length + 1;
    const fleet = { id, uuid, name, key, osVersionRange: ">=2.11.0", config: {}, environment: {} };
    this.fleets.push(fleet);
    return fleet;
  }

  addRelease(release: Omit<Release, "fleet"> & { readonly fleet?: Fleet }): Release {
    const row = { fleet: this.fleet, ...release };
    this.releases.set(release.commit, row);
    return row;
  }

  addDevice(uuid: string, key: string, fleet = this.fleet): Device {
    const device: Device = {
      ...{ id: ++this.#count, uuid, key, fleet, name: "weathered-stream", config: {}, environment: {} },
      ...{
        pinnedOn: undefined,
        told: undefined,
        fields: {},
        installs: new Map(),
        running: undefined,
        updateStatus: undefined,
      },
      ...{ tags: {}, logs: [], reports: [], metricsAt: -Infinity, askedAt: undefined },
    };
    this.devices.set(uuid, device);
    return device;
  }

  device(uuid: string): Device {
    const device = this.devices.get(uuid);
    if (!device) throw new Error(`There is no device ${uuid}`);
    return device;
  }

  deviceOf(key: string | undefined): Device | undefined {
    if (this.database === "down") return undefined;
    return [...this.devices.values()].find((device) => device.key === key);
  }

  /** Whether routes for keys only listen to it at all. */
  isKey(key: string | undefined): boolean {
    if (key === undefined || this.database === "down") return false;
    return (
      this.deviceOf(key) !== undefined || this.fleets.some((fleet) => fleet.key === key) || this.otherKeys.has(key)
    );
  }

  /** What a device is to run: what it is pinned on, else its fleet's latest release. */
  targetOf({ pinnedOn, fleet }: Device): Release | undefined {
    return pinnedOn ?? [...this.releases.values()].findLast((release) => release.fleet === fleet);
  }

  /** Makes a release, and pins a device on it. */
  setTarget(
    uuid: string,
    commit: string,
    release: Omit<Release, "commit" | "fleet">,
    config: Record<string, string> = {},
  ): void {
    const device = this.device(uuid);
    device.pinnedOn = this.addRelease({ ...release, commit, fleet: device.fleet });
    device.config = { ...device.config, ...config };
  }

  /** Moves a device to another fleet, whose releases it follows from then on. */
  move(device: Device, to: Fleet): void {
    const { os_version: os, supervisor_version: supervisor } = device.fields;
    this.#checkVersions(device.name, to, { os, supervisor });
    device.fleet = to;
    device.pinnedOn = undefined;
  }

  /** Throws for a device whose operating system is none that the fleet's type knows. */
  checkNewDevice(fleet: Fleet, fields: Readonly<Record<string, unknown>>): void {
    this.#checkVersions("weathered-stream", fleet, {
      os: fields["os_version"],
      supervisor: fields["supervisor_version"],
    });
    checkVariant(fields);
  }

  #checkVersions(
    name: string,
    { osVersionRange }: Fleet,
    { os, supervisor }: { os: unknown; supervisor: unknown },
  ): void {
    if (typeof os !== "string") {
      if (typeof supervisor !== "string") return;
      throw new Refusal(403, `Device ${name} is too old to satisfy required version range: ${osVersionRange}`);
    }
    if (!satisfies(os, osVersionRange))
      throw new Refusal(
        403,
        `Device ${name} has OS version ${os} but needs to satisfy version range: ${osVersionRange}`,
      );
  }

  /** The releases of a fleet that share an image's row; the location counts, with its digest or without. */
  hasImage(location: string): boolean {
    return [...this.releases.values()].some(({ services }) =>
      Object.values(services).some(({ image }) => withoutDigest(image) === location),
    );
  }
}

/** A constraint of the database: what ends in a bracket must have a variant. */
export function checkVariant({ os_version: version, os_variant: variant }: Readonly<Record<string, unknown>>): void {
  if (typeof version === "string" && /\([^)]*\)$/.test(version) && variant !== "dev" && variant !== "prod")
    throw new Refusal(400, "Check constraint violated");
}

export const withoutDigest = (image: string): string => image.split("@")[0] ?? image;
