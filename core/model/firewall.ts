/** Who may reach the device. The API's port is never open to all: services and the host itself reach it. */
export interface FirewallPolicy {
  /** Whether the host's other ports are closed too. */
  readonly closed: boolean;
  /** In local mode, a developer may reach the API, if it answers there at all. */
  readonly localMode: boolean;
}
