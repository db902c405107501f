/** Lock files in the folders of services: those that stand for leases, and those that the services have made. */
export interface LeaseFiles {
  /** Creates the service's lock file for a lease, unless there is a lock file. `clearLeftovers` keeps it. */
  putLease(appId: number, service: string): Promise<void>;
  /** Removes the service's lock file if it is one for a lease. */
  removeLease(appId: number, service: string): Promise<void>;
  /** The services with a lock file of their own. */
  lockedServices(): Promise<readonly { readonly appId: number; readonly service: string }[]>;
}
