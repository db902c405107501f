/** What must survive a restart: JSON documents by name. */
export interface Store {
  /** Undefined when there is none. */
  read(name: string): Promise<unknown>;
  /** Writes all of them or none; undefined removes. Resolves when they would survive a power cut; rejects when none was written. */
  write(documents: Readonly<Record<string, unknown>>): Promise<void>;
}
