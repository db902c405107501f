import { messageOf } from "../../../core/model/show.ts";

/** Requests in progress. Offline devices fail at once; those of an online fleet take seconds. */
const atOnce = 50;

/**
 * Sends update requests in the background, a few at a time. A device that is added twice while it waits gets one request;
 * one that is added again after its request has begun gets another, since the first may have carried an older state.
 */
export function createUpdateRequester(
  requestUpdate: (uuid: string) => Promise<void>,
): (uuids: readonly string[]) => void {
  const waiting = new Set<string>();
  let workers = 0;
  const work = async () => {
    for (const uuid of waiting) {
      waiting.delete(uuid);
      await requestUpdate(uuid).catch((error: unknown) => {
        console.warn(`A device could not be asked to update: ${messageOf(error)}`);
      });
    }
    workers--;
  };
  return (uuids) => {
    for (const uuid of uuids) waiting.add(uuid);
    const wanted = Math.min(atOnce, workers + waiting.size);
    for (; workers < wanted; workers++) void work();
  };
}
