/** An update lock that was taken over HTTP, until its time is over. */
export interface Lease {
  readonly id: string;
  readonly appId: number;
  /** Absent: all services of the application. */
  readonly service?: string | undefined;
  /** The service whose key took it, "device key", "cloud" or "caller without a key". */
  readonly owner: string;
  readonly reason: string;
}

/** At most this many leases exist at the same time. */
export const leaseLimit = 100;
export const longestLeaseS = 86_400;

/** `expiresAt`: milliseconds since the epoch. */
export const describeLease = ({ owner, reason }: Pick<Lease, "owner" | "reason">, expiresAt: number): string =>
  `locked by ${owner}: ${reason}, until ${new Date(expiresAt).toISOString().slice(11, 16)} UTC`;
