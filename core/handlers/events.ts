import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/events.ts";
import { refuse } from "../api/refusal.ts";
import { mostEventReaders, type EventFeed } from "../events/event-feed.ts";
import { toShownEvent } from "../events/shown-event.ts";
import type { EventRecord } from "../model/event.ts";
import { covers, type Scope } from "../model/scope.ts";

export async function events(
  { params: { after, kinds, app, limit, wait, ...headers }, scope, left }: Input<typeof api.events>,
  { feed }: { readonly feed: Pick<EventFeed, "poll" | "stream"> },
): Promise<Reply<typeof api.events>> {
  const wants = wantedBy(scope, { kinds, app });
  const start = headers["last-event-id"] ?? after ?? "oldest";
  const full = () =>
    refuse("busy", `The events have ${mostEventReaders} readers already; try again when one of them has left`);
  if (isStreamPreferred(headers.accept)) {
    const stream = await feed.stream({ after: start, wants });
    return stream ? reply(200, stream) : full();
  }
  const polled = await feed.poll({
    after: start,
    wants,
    limit,
    waitMs: wait * 1000,
    ...(wait > 0 && { signal: left?.() }),
  });
  if (!polled) return full();
  const { entries, gaps, last } = polled;
  const shown = { events: entries.map(toShownEvent), last, gaps: [...gaps] };
  return reply(200, shown);
}

/** Events of the scope's applications; those of no application concern the device, and are not for keys of services. */
export const wantedBy =
  (
    scope: Scope,
    { kinds, app }: { readonly kinds?: readonly string[] | undefined; readonly app?: number | undefined },
  ) =>
  ({ kind, appId }: EventRecord): boolean =>
    (appId === undefined ? scope.device && scope.apps === "all" : covers(scope, appId)) &&
    (kinds === undefined || kinds.includes(kind)) &&
    (app === undefined || appId === app);

const isStreamPreferred = (accept = ""): boolean => /^[^,]*text\/event-stream/i.test(accept.trim());
