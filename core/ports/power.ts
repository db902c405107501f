/** Reboot and shutdown. */
export interface Power {
  /** Only for simulated machines: the time from going down until the machine counts as started again. */
  readonly startsAgainAfterMs?: number;
  /** Whether an update of the host OS waits for the next boot. The device must not be rebooted meanwhile. */
  updateInProgress(): Promise<boolean>;
  /** Resolves when the machine has accepted. It goes down a second later, so that replies can be sent. Throws on refusal. */
  goDown(how: "reboot" | "shutdown"): Promise<void>;
  /** Whether a change was made since the machine started that takes effect at the next boot. */
  rebootRequired(): Promise<boolean>;
  /** Records that such a change was made. */
  requireReboot(): Promise<void>;
}
