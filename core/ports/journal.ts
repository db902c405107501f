/** Options of `POST /v2/journal-logs`, each with journalctl's meaning. */
export interface JournalQuery {
  readonly all: boolean;
  readonly follow: boolean;
  readonly count: number | undefined;
  readonly unit: string | undefined;
  readonly containerId: string | undefined;
  readonly format: string | undefined;
  readonly since: string | undefined;
  readonly until: string | undefined;
}

/** The lines as a stream; or journalctl's own message about a query that it rejects. */
export type JournalReading = ReadableStream<Uint8Array> | { readonly refused: string };

export interface Journal {
  /** Cancelling the stream ends the reading. */
  read(query: JournalQuery): JournalReading | Promise<JournalReading>;
}
