/** A network as a composition defines it. */
export interface NetworkSpec {
  readonly driver: string;
  readonly driverOptions: Readonly<Record<string, string>>;
  readonly internal: boolean;
  readonly ipv6: boolean;
  readonly configOnly: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly ipam: {
    readonly driver: string;
    readonly options: Readonly<Record<string, string>>;
    /** Empty: the engine chooses. */
    readonly config: readonly IpamConfig[];
  };
}

export interface IpamConfig {
  readonly subnet?: string;
  readonly ipRange?: string;
  readonly gateway?: string;
  readonly auxAddresses?: Readonly<Record<string, string>>;
}

/** A network on the engine. */
export interface Network {
  readonly id: string;
  readonly name: string;
  readonly spec: NetworkSpec;
}

/** A volume as a composition defines it. */
export interface VolumeSpec {
  readonly driver: string;
  readonly driverOptions: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** Its contents are copied before an update, and restored if the update fails. Only of a target. */
  readonly snapshot?: true;
}

/** A volume on the engine. */
export interface Volume {
  readonly name: string;
  readonly spec: VolumeSpec;
}
