import { toVolumeSpec } from "../compose/definitions.ts";
import { hostPartOf } from "../compose/powers.ts";
import type { Container } from "../model/container.ts";
import { volumeName } from "../model/names.ts";
import type { Volume, VolumeSpec } from "../model/network.ts";
import type { App } from "../model/target.ts";
import type { CurrentState } from "./current.ts";
import { waitIfInVain } from "./plan-repeats.ts";
import type { Step, Work } from "./step.ts";

/**
 * Finds volumes that show a part of the host although their definition no longer does. They are created again: their data
 * is on the host. All other volumes stay unchanged.
 */
export function judgeVolumes(appId: number, app: App | undefined, current: CurrentState) {
  if (!app || app.temporary) return { judged: [], outdated: [], waits: [] };
  const plain = Object.entries(app.volumes).flatMap(([name, definition]) =>
    hostPartOf(definition) === undefined ? [volumeName(appId, name)] : [],
  );
  const judged = current.volumes.filter(
    ({ name, spec }) => plain.includes(name) && spec.labels["io.balena.supervised"] && hostPartOf(spec) !== undefined,
  );
  return {
    judged,
    outdated: judged.filter((volume) => !waitIfInVain(toVolumeRemoval(volume), appId, current)),
    waits: judged.flatMap((volume) => waitIfInVain(toVolumeRemoval(volume), appId, current) ?? []),
  };
}

export const toVolumeRemoval = ({ name }: Volume): Work => ({ action: "removeVolume", name });

export const mountsVolume = ({ spec: { mounts } }: Pick<Container, "spec">, { name }: Volume): boolean =>
  mounts.some(({ type, source }) => type === "volume" && source === name);

/** Creates the missing volumes of a release, and notes those whose definition has changed. */
export function planVolumes(app: App, leaving: readonly Volume[], current: CurrentState): Step[] {
  const volumes = app.temporary === "purged" ? [] : Object.entries(app.volumes);
  return volumes.flatMap(([key, definition]): Step[] => {
    const name = volumeName(app.appId, key);
    const spec = toVolumeSpec(definition, app.uuid);
    const existing = current.volumes.find((volume) => volume.name === name);
    if (!existing) return [{ action: "createVolume", name, spec }];
    // Volumes of other programs are never changed, even by a purge.
    if (leaving.includes(existing) || !existing.spec.labels["io.balena.supervised"]) return [];
    // An existing volume is not replaced when its definition changes: it may hold data.
    const fields = differingFields(existing.spec, spec);
    return fields.length > 0 ? [{ action: "keepVolume", appId: app.appId, name, fields }] : [];
  });
}

/** The names of the fields that differ, as in compose. Values are left out: some are passwords of network shares. */
function differingFields(one: VolumeSpec, other: VolumeSpec): string[] {
  const differing = (a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>) =>
    [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((key) => a[key] !== b[key]);
  return [
    ...(one.driver === other.driver ? [] : ["driver"]),
    ...differing(one.driverOptions, other.driverOptions).map((key) => `driver_opts.${key}`),
    ...differing(one.labels, other.labels)
      // Ownership labels are ignored: the reference implementation and earlier agents set different ones.
      .filter((key) => !/^io\.(balena|resin)\./.test(key))
      .map((key) => `labels.${key}`),
  ];
}

export const planPurge = (appId: number, current: CurrentState): Step[] =>
  current.volumes
    .filter(({ name, spec }) => name.startsWith(volumeName(appId, "")) && spec.labels["io.balena.supervised"])
    .map(({ name }) => ({ action: "removeVolume", name }));
