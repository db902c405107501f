/** What became of asking for the update locks of an application. */
export type LockResult =
  | { readonly taken: true }
  /** `by` is the service whose file is in the way. */
  | { readonly taken: false; readonly by: string };

/**
 * The folder that each service shares with the agent: `/tmp/balena` and `/tmp/resin` inside the container. In it a
 * service says "not now" (`updates.lock`, `resin-updates.lock`) and "I have taken over" (`handover-complete`,
 * `resin-kill-me`). Sources: the specification ("update lockfile"), and the labels' documentation.
 */
export interface Folders {
  /** Where the folders are, as the engine sees them: `<root>/<appId>/<service>`. */
  readonly root: string;
  /** Makes a service's folder, writable for every user in its container. */
  prepare(appId: number, service: string): Promise<void>;
  /** Takes both locks of all these services or none. `force` removes what is in the way. */
  take(appId: number, services: readonly string[], options: { readonly force: boolean }): Promise<LockResult>;
  /** Gives back what `take` took. */
  release(appId: number): Promise<void>;
  /** The services whose locks we hold, by application. */
  held(): ReadonlyMap<number, readonly string[]>;
  /**
   * Removes what an earlier run of the agent left behind, and opens the folders that the engine has made for services
   * which it has started by itself; the users' locks stay, and so does what is held.
   */
  clearLeftovers(): Promise<void>;
  /** Whether the service has said that it has taken over. */
  hasTakenOver(appId: number, service: string): Promise<boolean>;
  /** Removes that sign, before the next hand-over. */
  clearTakeOver(appId: number, service: string): Promise<void>;
}
