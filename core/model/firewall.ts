/** Which hosts may connect to the device. Only services and the host itself can always connect to the API's port. */
export interface FirewallPolicy {
  /** Whether the host's other ports are closed too. */
  readonly closed: boolean;
  /** In local mode, a developer may also connect to the API, if it listens on the network at all. */
  readonly localMode: boolean;
}
