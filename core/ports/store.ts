/** JSON documents by name that survive a restart. */
export interface Store {
  /** Undefined if the document does not exist. */
  read(name: string): Promise<unknown>;
  /** Writes all documents or none; undefined removes one. Resolves when they survive a power cut; rejects if it wrote none. */
  write(documents: Readonly<Record<string, unknown>>): Promise<void>;
}
