import type { Ended } from "../../../core/api/admin/index.ts";
import type { Database } from "../database.ts";
import type { DirectoryContext } from "./context.ts";

/** SQL: a token with its descendants: the tokens that it created, and that these created. */
export const lineage = `WITH RECURSIVE lineage (id) AS
  (SELECT ?1 UNION SELECT tokens.id FROM tokens JOIN lineage ON tokens.made_by = lineage.id)`;

/** Revokes a token and what it created. `uuids`: devices to synchronize, beside those of its fleets. */
export function endToken(
  { db, now }: Pick<DirectoryContext, "db" | "now">,
  tokenId: string,
): { uuids: readonly string[]; ended: Ended } {
  const ids = db.all<{ id: string }>(`${lineage} SELECT id FROM lineage`, tokenId).map(({ id }) => id);
  const all = <T extends Record<string, SqlStorageValue>>(sql: string) => db.all<T>(sql, JSON.stringify(ids));
  const theirs = "IN (SELECT value FROM json_each(?))";
  const revoked = all<{ id: string }>(
    `UPDATE tokens SET revoked_at = ${Math.floor(now() / 1000)} WHERE revoked_at IS NULL AND id ${theirs} RETURNING id`,
  );
  const joined = all(`SELECT 1 FROM devices WHERE joined_by ${theirs}`);
  const provisioningKeys = all(`DELETE FROM provisioning_keys WHERE made_by ${theirs} RETURNING id`);
  // No key has this digest.
  const devices = all<{ id: number; uuid: string }>(
    `UPDATE devices SET key_digest = 'none ' || hex(randomblob(32)), service_key_digest = NULL, key_made_by = NULL
     WHERE key_made_by ${theirs} RETURNING id, uuid`,
  );
  const apiKeys = endApiKeys(db, [...ids, ...devices.map(({ id }) => `device:${id}`)]);
  return {
    uuids: [...devices.map(({ uuid }) => uuid), ...apiKeys],
    ended: {
      tokens: revoked.filter(({ id }) => id !== tokenId).length,
      provisioningKeys: provisioningKeys.length,
      deviceKeys: devices.length,
      apiKeys: apiKeys.length,
      joined: joined.length,
    },
  };
}

/** Marks the API keys of devices that these holders know for replacement. Returns the devices, whose sessions replace them. */
export function endApiKeys(db: Database, holders: readonly string[]): readonly string[] {
  const ended = db.all<{ id: number }>(
    `UPDATE api_keys SET ended = 1 WHERE NOT ended AND holder IN (SELECT value FROM json_each(?))
     RETURNING device_id AS id`,
    JSON.stringify(holders),
  );
  const devices = JSON.stringify(ended.map(({ id }) => id));
  return db
    .all<{ uuid: string }>("SELECT uuid FROM devices WHERE id IN (SELECT value FROM json_each(?))", devices)
    .map(({ uuid }) => uuid);
}
