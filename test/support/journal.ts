import type { JournalQuery } from "../../core/ports/journal.ts";

/** A query without options. */
export const plainQuery: JournalQuery = {
  all: false,
  follow: false,
  count: undefined,
  unit: undefined,
  containerId: undefined,
  format: undefined,
  since: undefined,
  until: undefined,
};
