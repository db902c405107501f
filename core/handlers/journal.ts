import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/journal.ts";
import { failed } from "../api/fields.ts";
import { isMissing } from "../ports/index.ts";
import type { Supervisor } from "../supervisor.ts";

export const journalLogs = (
  { body }: Input<typeof api.journalLogs>,
  { ports: { journal } }: Supervisor,
): Reply<typeof api.journalLogs> =>
  isMissing(journal) ? reply(501, failed(journal.missing)) : reply(200, journal.read(body));
