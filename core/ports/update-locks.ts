/** Result of taking the update locks of an application. */
export type LockResult =
  | { readonly taken: true }
  /** `by` is the service whose lock file exists; `why`: what is known of who holds the lock. */
  | { readonly taken: false; readonly by: string; readonly why?: string };

/** Files with which a service blocks its update: `updates.lock` and `resin-updates.lock`. */
export interface UpdateLocks {
  /** Takes both locks of all these services or none. `force` removes the users' lock files; those of leases are always replaced. */
  take(appId: number, services: readonly string[], options: { readonly force: boolean }): Promise<LockResult>;
  /** Releases what `take` took. */
  release(appId: number): Promise<void>;
  /** The services whose locks the agent holds, by application. */
  held(): ReadonlyMap<number, readonly string[]>;
}
