/** Reboot and shutdown. */
export interface Power {
  /** Set only where nothing real happens: the machine counts as started again this long after it went down. */
  readonly startsAgainAfterMs?: number;
  /** Whether an update of the host OS waits for the next boot. The device must not be rebooted meanwhile. */
  updateInProgress(): Promise<boolean>;
  /** Resolves when the machine has accepted; it goes down a second later, so that replies can be sent. Throws if it refuses. */
  goDown(how: "reboot" | "shutdown"): Promise<void>;
  /** Whether a change was made since the machine started that takes effect at the next boot. */
  rebootRequired(): Promise<boolean>;
  /** Records that such a change was made. */
  requireReboot(): Promise<void>;
}
