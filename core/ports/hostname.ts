export interface Hostname {
  /** The machine's current name. */
  read(): Promise<string>;
  /** `name` is never empty. The change may take effect with a delay. */
  write(name: string): Promise<void>;
}

/** A hostname that can be read but not set. */
export type ReadableHostname = Pick<Hostname, "read">;
