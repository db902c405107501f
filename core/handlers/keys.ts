import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/keys.ts";
import { failed } from "../api/fields.ts";
import { hidden } from "../model/secrets.ts";
import { replaceKey, type KeyContext } from "../operations/keys.ts";

export async function regenerateApiKey(
  { key, scope }: Input<typeof api.regenerateApiKey>,
  context: KeyContext,
): Promise<Reply<typeof api.regenerateApiKey>> {
  const made = await replaceKey(context, key);
  return made === undefined
    ? reply(503, failed("Expected the key to replace, as ?apikey= or in the Authorization header"))
    : reply(200, scope.secrets === "none" ? hidden : made);
}
