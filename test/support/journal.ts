import type { JournalQuery } from "../../core/ports/journal.ts";

/** The query without any option. */
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
