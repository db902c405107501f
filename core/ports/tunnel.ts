/** The device's tunnel to the cloud. */
export interface Tunnel {
  state(): TunnelState;
}

export type TunnelState =
  /** Milliseconds since the epoch. */
  | { readonly is: "connected"; readonly since: number }
  /** The reason, as a sentence; absent before the first attempt has ended. */
  | { readonly is: "disconnected"; readonly error?: string };
