import { volumeName } from "./names.ts";
import type { Volume, VolumeSpec } from "./network.ts";
import type { App } from "./target.ts";

/** The copy of a volume that an update may go back to. */

/** Marks the copy. The value is the name of the volume. */
export const snapshotLabel = "io.fairlead.snapshot-of";

/** The name is none of an application's volumes: those begin with its id. So neither a purge nor a clean-up removes it. */
export const snapshotName = (volume: string): string => `before_${volume}`;

export const toSnapshot = (volume: string): Volume => ({
  name: snapshotName(volume),
  spec: { driver: "local", driverOptions: {}, labels: { [snapshotLabel]: volume } },
});

/** The volumes that an update may copy. */
export function copiedVolumes({ appId, volumes }: App, present: readonly Volume[]): readonly string[] {
  const names = Object.keys(volumes).filter((source) => volumes[source]?.snapshot);
  const asked = new Set(names.map((source) => volumeName(appId, source)));
  return present.filter(({ name, spec }) => asked.has(name) && isCopyable(spec)).map(({ name }) => name);
}

/** With options, the content may be elsewhere, such as in a folder of the host, and a new volume is not empty. */
const isCopyable = ({ driver, driverOptions }: VolumeSpec): boolean =>
  driver === "local" && Object.keys(driverOptions).length === 0;
