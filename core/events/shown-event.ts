import type { EventLevel } from "../model/event.ts";
import type { JournalEntry } from "../ports/event-journal.ts";

/** An event as readers of the API see it. It never contains the value of a variable. */
export interface ShownEvent {
  readonly id: number;
  /** ISO 8601. */
  readonly at: string;
  readonly kind: string;
  readonly level: EventLevel;
  readonly app?: number | undefined;
  readonly service?: string | undefined;
  /** The commit. */
  readonly release?: string | undefined;
  readonly text: string;
  readonly why: string[];
  readonly by?: string | undefined;
}

export function toShownEvent(entry: JournalEntry): ShownEvent {
  const { number: id, at, kind, level, appId: app, service, commit: release, text, reason, fields = [] } = entry;
  return {
    ...{ id, at: new Date(at).toISOString(), kind, level },
    ...(app !== undefined && { app }),
    ...(service !== undefined && { service }),
    ...(release !== undefined && { release }),
    text,
    why: [...(reason === undefined ? [] : [reason]), ...fields.map((field) => `${field} differs`)],
    ...byOf(entry),
  };
}

const byOf = ({ by, cause }: JournalEntry): { readonly by?: string } => {
  const found = by ?? cause;
  return found === undefined ? {} : { by: found };
};
