import { volumeName } from "../model/names.ts";
import type { LeftApp, TargetState } from "../model/target.ts";
import type { CurrentState } from "./current.ts";
import type { Step } from "./step.ts";

/**
 * Removes the volumes of an application that the device has left. The reference implementation removes them at once. But
 * they may hold the only copy of data, and a cloud may be wrong for a moment. So all of these conditions must hold:
 * - The cloud had assigned the application to this device, and has left it out of two target states with time in between.
 *   This excludes the first start, and volumes that a developer or another program has created.
 * - The cloud's target state is in effect, not a developer's.
 * - The target has an application with services, and the target is reached (`isReached`).
 * - The application has nothing left on the device but its volumes.
 * - The log has announced which volumes will be removed.
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
