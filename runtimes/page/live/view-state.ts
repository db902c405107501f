import { signal } from "@preact/signals";

/** What somebody has chosen in the view of one device. It is kept across screens; another device has its own. */
export class ViewState {
  /** What is typed in the filter of the log. */
  readonly filter = signal("");
  /** Whose lines are shown; empty: the agent's; undefined: all. */
  readonly service = signal<string | undefined>(undefined);
  /** The journal of the host is shown instead of the log. */
  readonly showsJournal = signal(false);
  readonly showsAllEvents = signal(false);
}
