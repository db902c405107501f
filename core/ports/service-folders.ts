/**
 * The folder that each service shares with the agent: `/tmp/balena` and `/tmp/resin` inside the container. Update locks
 * and hand-over signs are files in it. Sources: the specification ("update lockfile"), and the labels' documentation.
 */
export interface ServiceFolders {
  /** The root of the folders in the engine's file system: `<root>/<appId>/<service>`. */
  readonly root: string;
  /** Creates a service's folder, writable for every user in its container. */
  prepare(appId: number, service: string): Promise<void>;
  /**
   * Removes the locks of an earlier run of the agent. Also makes folders writable that the engine created when it started
   * containers itself. Users' locks, locks of leases and the locks of this run stay.
   */
  clearLeftovers(): Promise<void>;
}
