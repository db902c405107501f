export interface Hostname {
  /** The machine's current name. */
  read(): Promise<string>;
  /** `name` is never empty. The change may take effect with a delay. */
  write(name: string): Promise<void>;
}

/** The hostname of a machine on which it cannot be set. */
export type ReadableHostname = Pick<Hostname, "read">;
