/** Properties of the machine that change while it runs. */
export interface System {
  /** IP addresses of the machine, except those of the engine's bridges. */
  addresses(): readonly string[];
  macAddresses(): readonly string[];
  /** Milliseconds since the epoch. */
  bootedAt(): number;
  /** Differs after each boot, and stays the same until then. */
  bootId(): string;
  /** The name of the device's time zone, such as Europe/Berlin. */
  timeZone(): string;
  /** Whether the operating system's VPN is connected. */
  vpnIsUp(): boolean;
}
