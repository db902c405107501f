import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/history.ts";
import type { Events } from "../events/events.ts";
import { readHistory } from "../events/history.ts";

export async function history(
  { params: { appId, limit } }: Input<typeof api.history>,
  { events }: { readonly events: Pick<Events, "read"> },
): Promise<Reply<typeof api.history>> {
  const entries = await readHistory(events, appId, limit);
  return reply(200, {
    history: entries.map(({ at, differences, ...entry }) => ({
      at: new Date(at).toISOString(),
      ...entry,
      differences: [...differences],
    })),
  });
}
