import type { Volume } from "./network.ts";

/** The copy of a volume that an update may go back to. */

/** Marks the copy. The value is the name of the volume. */
export const snapshotLabel = "io.fairlead.snapshot-of";

/** The name is none of an application's volumes: those begin with its id. So neither a purge nor a clean-up removes it. */
export const snapshotName = (volume: string): string => `before_${volume}`;

export const toSnapshot = (volume: string): Volume => ({
  name: snapshotName(volume),
  spec: { driver: "local", driverOptions: {}, labels: { [snapshotLabel]: volume } },
});
