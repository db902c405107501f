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
 * Volumes that show a part of the host and must not do so any more. They hold no data, which is on the host, so they are
 * created again. Other volumes stay as they are.
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

/** The volumes of a release that are missing, and those that have another definition by now. */
export function planVolumes(app: App, leaving: readonly Volume[], current: CurrentState): Step[] {
  const volumes = app.temporary === "purged" ? [] : Object.entries(app.volumes);
  return volumes.flatMap(([key, definition]): Step[] => {
    const name = volumeName(app.appId, key);
    const spec = toVolumeSpec(definition, app.uuid);
    const existing = current.volumes.find((volume) => volume.name === name);
    if (!existing) return [{ action: "createVolume", name, spec }];
    // Volumes of other programs are never changed, not even by a purge.
    if (leaving.includes(existing) || !existing.spec.labels["io.balena.supervised"]) return [];
    // An existing volume stays as it is, whatever its definition says now: there may be data in it.
    const fields = differingFields(existing.spec, spec);
    return fields.length > 0 ? [{ action: "keepVolume", appId: app.appId, name, fields }] : [];
  });
}

/** The fields in which two volumes differ, by the composition's names. Not the values: some are passwords of network shares. */
function differingFields(one: VolumeSpec, other: VolumeSpec): string[] {
  const differing = (a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>) =>
    [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((key) => a[key] !== b[key]);
  return [
    ...(one.driver === other.driver ? [] : ["driver"]),
    ...differing(one.driverOptions, other.driverOptions).map((key) => `driver_opts.${key}`),
    ...differing(one.labels, other.labels)
      // The labels of ownership: the reference implementation and earlier agents set others.
      .filter((key) => !/^io\.(balena|resin)\./.test(key))
      .map((key) => `labels.${key}`),
  ];
}

export const planPurge = (appId: number, current: CurrentState): Step[] =>
  current.volumes
    .filter(({ name, spec }) => name.startsWith(volumeName(appId, "")) && spec.labels["io.balena.supervised"])
    .map(({ name }) => ({ action: "removeVolume", name }));
