import { MemoryEventJournal } from "../../core/embedded/ports.ts";
import { Events, toLog } from "../../core/events/events.ts";
import { systemClock, type Clock } from "../../core/ports/clock.ts";
import type { Log } from "../../core/ports/log.ts";

/** Events that are written to a log and stored in memory. */
export function eventsTo(log: Log, clock: Clock = systemClock): Events {
  const events = new Events({ clock, journal: new MemoryEventJournal() });
  events.onEvent(toLog(log));
  return events;
}
