/** The transparent proxy (redsocks). Fields as in the specification's `PATCH /v1/device/host-config`. */
export interface ProxySettings {
  readonly type: "socks4" | "socks5" | "http-connect" | "http-relay";
  readonly ip: string;
  readonly port: number;
  readonly login?: string;
  readonly password?: string;
  readonly dns?: string;
  readonly noProxy?: readonly string[];
}

/** A proxy whose configuration file was written by hand, and whose type and address the agent cannot read. */
export interface UnreadableProxy {
  readonly noProxy?: readonly string[];
}

export const isReadable = (proxy: ProxySettings | UnreadableProxy): proxy is ProxySettings => "type" in proxy;

/** Why settings are rejected. `to` is the path of the field: `dns`, `noProxy.1`; empty: the settings as a whole. */
export interface Objection {
  readonly to: string;
  readonly reason: string;
}

/** Result of a write. Rejected settings change nothing. */
export type ProxyOutcome = { readonly is: "done" } | ({ readonly is: "refused" } & Objection);

export interface Proxy {
  /** Undefined: no proxy. */
  read(): Promise<ProxySettings | UnreadableProxy | undefined>;
  /** Undefined disables the proxy. Throws if the settings cannot be applied; the previous ones then stay in effect. */
  write(settings: ProxySettings | undefined): Promise<ProxyOutcome>;
}
