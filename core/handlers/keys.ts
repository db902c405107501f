import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/keys.ts";
import { failed } from "../api/fields.ts";
import { hidden } from "../model/secrets.ts";
import type { Supervisor } from "../supervisor.ts";

/** The service learns its new key when it is next applied; until then nothing restarts it. */
export async function regenerateApiKey(
  { key, scope }: Input<typeof api.regenerateApiKey>,
  { keys, cloud }: Supervisor,
): Promise<Reply<typeof api.regenerateApiKey>> {
  const made = key === undefined ? undefined : await keys.regenerate(key);
  // The global one is how the cloud calls the API.
  cloud?.reportSoon();
  return made === undefined
    ? reply(503, failed("Expected the key to replace, as ?apikey= or in the Authorization header"))
    : reply(200, scope.secrets === "none" ? hidden : made);
}
