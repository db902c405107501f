import type { Database } from "../database.ts";

const mostTags = 100;

/** Why a device cannot have these tags in addition to its others, if it cannot. */
export function tagsFault(db: Database, deviceId: number, keys: readonly string[]): string | undefined {
  const others = "tags WHERE device_id = ? AND tag_key NOT IN (SELECT value FROM json_each(?))";
  const count = db.count(others, deviceId, JSON.stringify(keys)) + keys.length;
  return count > mostTags ? `A device has at most ${mostTags} tags, and would have ${count}` : undefined;
}
