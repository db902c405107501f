/**
 * The folder that each service shares with the agent: `/tmp/balena` and `/tmp/resin` inside the container. Update locks
 * and hand-over signs are files in it. Sources: the specification ("update lockfile"), and the labels' documentation.
 */
export interface ServiceFolders {
  /** Where the folders are, as the engine sees them: `<root>/<appId>/<service>`. */
  readonly root: string;
  /** Creates a service's folder, writable for every user in its container. */
  prepare(appId: number, service: string): Promise<void>;
  /**
   * Removes the locks of an earlier run of the agent, and makes writable the folders that the engine created for services
   * that it started itself. The users' locks stay, and so do
   * the locks that this run holds.
   */
  clearLeftovers(): Promise<void>;
}
