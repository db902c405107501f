import { volumeName } from "../model/names.ts";
import type { LeftApp, TargetState } from "../model/target.ts";
import type { CurrentState } from "./current.ts";
import type { Step } from "./step.ts";

/**
 * The volumes of an application that the device has left. The reference implementation removes them at once; but there may be
 * data in them that is nowhere else, and a cloud may be wrong for a moment. So they go only when
 * - the cloud had given the application to this device, and has said twice, with time in between, that it has no more: never
 *   on a first start, nor for what a developer or another program has made;
 * - its target state holds, not a developer's;
 * - another application has taken its place: it has services, and all that the target asks for is there (`isReached`);
 * - nothing is left of the application but its volumes;
 * - it has been said which volumes will be removed.
 */
export function planLeft(
  left: LeftApp,
  rest: readonly Step[],
  current: CurrentState,
  target: TargetState,
  isReached: boolean,
): Step[] {
  const { appId, name, uuid } = left;
  if (current.localMode || !target.apps.some(({ services }) => services.length > 0)) return [];
  const volumes = current.volumes.filter(
    ({ name, spec: { labels } }) =>
      name.startsWith(volumeName(appId, "")) &&
      labels["io.balena.supervised"] !== undefined &&
      // A developer's application in local mode may have the same id.
      (labels["io.balena.app-uuid"] ?? uuid) === uuid,
  );
  const unsaid = volumes.map((volume) => volume.name).filter((one) => !current.announcedVolumes.has(one));
  if (unsaid.length > 0) return [{ action: "announceRemoval", appId, name, volumes: unsaid }];
  if (!left.confirmed || !isReached || rest.length > 0) return [];
  if (volumes.length === 0) return [{ action: "forgetApplication", appId }];
  const used = new Set(current.containers.flatMap(({ spec }) => spec.mounts.map(({ source }) => source)));
  return volumes
    .filter((volume) => !used.has(volume.name))
    .map((volume) => ({ action: "removeVolume", name: volume.name }));
}
