import { keptEvents, type JournalEntry } from "../ports/event-journal.ts";
import type { Events } from "./events.ts";

/** Events that are lost: those with numbers between these two. `before` is the smaller one if the numbers began anew. */
export interface EventGap {
  readonly after: number;
  readonly before: number;
}

export type EventItem = { readonly is: "event"; readonly entry: JournalEntry } | ({ readonly is: "gap" } & EventGap);

/** Where a reader begins: after an event, with the oldest one, or after the events of now. */
export type EventStart = number | "oldest" | "latest";

/** A reader's place in the journal. It reads when it is asked to, so a slow reader needs no memory here. */
export class EventCursor {
  readonly #events: Pick<Events, "readSaved">;
  readonly #wants: (entry: JournalEntry) => boolean;
  #after: number;

  private constructor(events: Pick<Events, "readSaved">, after: number, wants: (entry: JournalEntry) => boolean) {
    this.#events = events;
    this.#wants = wants;
    this.#after = after;
  }

  static async at(
    events: Pick<Events, "readSaved" | "last">,
    start: EventStart,
    wants: (entry: JournalEntry) => boolean,
  ): Promise<EventCursor> {
    const after =
      start === "latest"
        ? await events.last()
        : start === "oldest"
          ? ((await events.readSaved(0, 1)).entries[0]?.number ?? 1) - 1
          : start;
    return new EventCursor(events, after, wants);
  }

  /** The last event that was passed, wanted or not. */
  get after(): number {
    return this.#after;
  }

  /** The next wanted events, at most `limit`, and the gaps between them; none: there are no more now. */
  async next(limit: number): Promise<readonly EventItem[]> {
    const items: EventItem[] = [];
    let count = 0;
    for (;;) {
      const { entries, gap } = await this.#events.readSaved(this.#after, Math.min(keptEvents, limit));
      const [first] = entries;
      if (!first) {
        // Without an event, there is a gap only if this device never gave the number.
        if (gap) items.push({ is: "gap", after: this.#after, before: 1 });
        if (gap) this.#after = 0;
        return items;
      }
      for (const entry of entries) {
        if (entry.number !== this.#after + 1) items.push({ is: "gap", after: this.#after, before: entry.number });
        this.#after = entry.number;
        if (!this.#wants(entry)) continue;
        items.push({ is: "event", entry });
        if (++count >= limit) return items;
      }
    }
  }
}
