import { satisfies } from "balena-semver";

/** The database of the fake cloud, and the changes that its users make. */

export interface Fleet {
  readonly id: number;
  readonly uuid: string;
  readonly name: string;
  /** The provisioning key. */
  readonly key: string;
  /** A range of balena-semver. The value is the default of the public cloud's application types. */
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

/** A service of a release, in the form of the target state. Releases with the same image location share its row. */
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
  /** The target state to answer with; undefined: it is made from these tables. */
  told: { readonly apps: object; readonly config: object } | undefined;
  /** The latest values of the fields that it has reported. */
  readonly fields: Record<string, unknown>;
  /** By image, in the spelling of the target state. */
  readonly installs: Map<string, Install>;
  /** The commit of the release that it has reported as running. */
  running: string | undefined;
  updateStatus: string | undefined;
  readonly tags: Record<string, string>;
  readonly logs: LogLine[];
  /** Its part of each accepted report. */
  readonly reports: Readonly<Record<string, unknown>>[];
  metricsAt: number;
  /** When it last asked for its target state. */
  askedAt: number | undefined;
}

interface Install {
  status: string | undefined;
  progress: number | null;
  commit: string;
  /** The last values from a report. They are valid for five minutes, and a deletion does not change them. */
  lastReport?: InstallReport & { readonly at: number };
}

export interface InstallReport {
  readonly status: string | undefined;
  /** Undefined: not in the report. */
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

/** A refusal, with the status and the message of its answer. */
export class Refusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export interface TablesOptions {
  /** The time in milliseconds, for the cloud's time limits. */
  readonly now: () => number;
  /** The shortest poll interval that a device may be given. */
  readonly shortestPollMs: number;
}

export class Tables {
  readonly fleet: Fleet;
  readonly fleets: Fleet[] = [];
  readonly devices = new Map<string, Device>();
  /** By commit. */
  readonly releases = new Map<string, Release>();
  readonly deviceTypes = new Set(["generic-amd64", "generic-aarch64", "raspberrypi3", "intel-nuc"]);
  /** Valid keys that have no permissions here. */
  readonly otherKeys = new Set<string>();
  /** While it is down, every key is unknown. */
  database: "up" | "down" = "up";
  /** Further headers of the answer with a target state, such as those of a Fairlead cloud. */
  stateHeaders: Readonly<Record<string, string>> = {};
  /** The arrival times of the log lines of the last half second, by uuid. */
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

  /** Whether routes that require a key accept this one. */
  isKey(key: string | undefined): boolean {
    if (key === undefined || this.database === "down") return false;
    return (
      this.deviceOf(key) !== undefined || this.fleets.some((fleet) => fleet.key === key) || this.otherKeys.has(key)
    );
  }

  /** The target release of a device: the pinned one, else its fleet's latest. */
  targetOf({ pinnedOn, fleet }: Device): Release | undefined {
    return pinnedOn ?? [...this.releases.values()].findLast((release) => release.fleet === fleet);
  }

  /** Creates a release and pins a device to it. */
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

  /** Moves a device to another fleet; it then follows that fleet's releases. */
  move(device: Device, to: Fleet): void {
    const { os_version: os, supervisor_version: supervisor } = device.fields;
    this.#checkVersions(device.name, to, { os, supervisor });
    device.fleet = to;
    device.pinnedOn = undefined;
  }

  /** Throws a refusal if the version or variant of the operating system does not fit the fleet. */
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

  /** Whether a release has an image at this location; digests are ignored. */
  hasImage(location: string): boolean {
    return [...this.releases.values()].some(({ services }) =>
      Object.values(services).some(({ image }) => withoutDigest(image) === location),
    );
  }
}

/** A constraint of the database: a version that ends with a parenthesis needs a variant. */
export function checkVariant({ os_version: version, os_variant: variant }: Readonly<Record<string, unknown>>): void {
  if (typeof version === "string" && /\([^)]*\)$/.test(version) && variant !== "dev" && variant !== "prod")
    throw new Refusal(400, "Check constraint violated");
}

export const withoutDigest = (image: string): string => image.split("@")[0] ?? image;
