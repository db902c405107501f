/** The way by which the cloud reaches this device, wherever it is. */
export interface Tunnel {
  state(): TunnelState;
}

export type TunnelState =
  /** Milliseconds since the epoch. */
  | { readonly is: "connected"; readonly since: number }
  /** Why, as a sentence; absent before the first attempt has ended. */
  | { readonly is: "disconnected"; readonly error?: string };
