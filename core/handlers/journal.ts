import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/journal.ts";
import { failed } from "../api/fields.ts";
import { isMissing, type Ports } from "../ports/index.ts";

export async function journalLogs(
  { body }: Input<typeof api.journalLogs>,
  { ports: { journal } }: { readonly ports: Pick<Ports, "journal"> },
): Promise<Reply<typeof api.journalLogs>> {
  if (isMissing(journal)) return reply(501, failed(journal.missing));
  const reading = await journal.read(body);
  return "refused" in reading ? reply(400, failed(reading.refused)) : reply(200, reading);
}
