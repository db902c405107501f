import { messageOf } from "../../../core/model/show.ts";

/** Nudges under way at a time. Devices that are offline hold no place; a fleet that is online is through in seconds. */
const atOnce = 50;

/**
 * Nudges devices in the background, a few at a time. One that is named again while it waits for its turn is nudged once;
 * one that is named again after its turn has begun, once more, since what it was told of may be older.
 */
export function createUpdateRequester(
  requestUpdate: (uuid: string) => Promise<void>,
): (uuids: readonly string[]) => void {
  const waiting = new Set<string>();
  let lanes = 0;
  const lane = async () => {
    for (const uuid of waiting) {
      waiting.delete(uuid);
      await requestUpdate(uuid).catch((error: unknown) => {
        console.warn(`A device could not be nudged: ${messageOf(error)}`);
      });
    }
    lanes--;
  };
  return (uuids) => {
    for (const uuid of uuids) waiting.add(uuid);
    const wanted = Math.min(atOnce, lanes + waiting.size);
    for (; lanes < wanted; lanes++) void lane();
  };
}
