/** JSON documents by name that survive a restart. */
export interface Store {
  /** Undefined if the document does not exist. */
  read(name: string): Promise<unknown>;
  /** Writes all documents or none; undefined removes one. Resolves when a power cut cannot lose them. Rejects if none is written. */
  write(documents: Readonly<Record<string, unknown>>): Promise<void>;
}
