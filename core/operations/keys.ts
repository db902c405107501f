import type { Keys } from "../state/keys.ts";

export interface KeyContext {
  readonly keys: Pick<Keys, "regenerate">;
  /** Absent: the device has no cloud. */
  readonly cloud: { reportSoon(): void } | undefined;
}

/** Replaces a key; undefined when it is not one of the device's. A service gets its new key when it is next applied. */
export async function replaceKey({ keys, cloud }: KeyContext, key: string | undefined): Promise<string | undefined> {
  const made = key === undefined ? undefined : await keys.regenerate(key);
  // With the global key, the cloud calls the API.
  cloud?.reportSoon();
  return made;
}
