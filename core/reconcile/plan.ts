import { findImage, keptImageName } from "../model/image.ts";
import { serviceKey } from "../model/names.ts";
import type { App, TargetState } from "../model/target.ts";
import type { CurrentState } from "./current.ts";
import { planBootConfig } from "./plan-boot-config.ts";
import { planFirewall } from "./plan-firewall.ts";
import { planLeft } from "./plan-left.ts";
import { canMakeSpace, planPreflights } from "./plan-preflight.ts";
import { planRefusals } from "./plan-refusals.ts";
import { withoutVain } from "./plan-repeats.ts";
import { planGateway, planReboot, planUnusedFiles, planUnusedImages } from "./plan-device.ts";
import { planUnusedSnapshots } from "./plan-snapshots.ts";
import { planUpdate } from "./plan-update.ts";
import { isNote, type Step } from "./step.ts";

/** Steps by subject. A subject is an application (by id) or the device as a whole. Applications are independent. */
export type Plan = ReadonlyMap<Subject, readonly Step[]>;
export type Subject = number | "device";

export const appIdOf = (subject: Subject): number | undefined => (subject === "device" ? undefined : subject);

/** The steps that bring `current` closer to `target` and may be applied now, in parallel. */
export function plan(current: CurrentState, target: TargetState): Plan {
  // Without a target state, the containers stay: after a take-over from the reference implementation, or the loss of the
  // store, the cloud or the developer will send a target with them. The firewall is set, since it protects the API's port.
  if (target.unset) return new Map([["device", withoutVain(planFirewall(current, target), "device", current)]]);
  const appIds = new Set([
    ...target.apps.map((app) => app.appId),
    ...[...current.containers, ...current.prepared].map((container) => container.appId),
    ...current.networks.flatMap(({ spec }) => {
      const id = spec.labels["io.balena.supervised"] ? Number(spec.labels["io.balena.app-id"] ?? NaN) : NaN;
      return Number.isInteger(id) ? [id] : [];
    }),
    ...current.locks.keys(),
    ...current.updates.keys(),
    ...(target.left ?? []).map(({ appId }) => appId),
  ]);
  const kept = withCommitted(target, current.updates);
  const makesSpace = ({ update }: App) => update?.onDiskShort === "delete-then-download";
  const preflights = planPreflights(current, target, wantedImagesOf(target, current.updates, makesSpace));
  const wantedImages = new Set([
    ...wantedImagesOf(target, current.updates, (app) => makesSpace(app) && canMakeSpace(preflights?.get(app.appId))),
    ...keptNames(target, current),
  ]);
  const apps = [...appIds].map((appId): [Subject, readonly Step[]] => [
    appId,
    planUpdate(
      appId,
      target.apps.find((app) => app.appId === appId),
      current,
      wantedImages,
      preflights?.get(appId),
    ),
  ]);
  const isReached = target.apps.every(
    ({ appId, rejected }) => !rejected && apps.some(([id, steps]) => id === appId && steps.length === 0),
  );
  const all = apps.map(([appId, steps]): [Subject, readonly Step[]] => {
    const left = target.left?.find((one) => one.appId === appId);
    return [
      appId,
      left ? [...steps, ...withoutVain(planLeft(left, steps, current, target, isReached), appId, current)] : steps,
    ];
  });
  const device = withoutVain(
    [
      ...planRefusals(current, target),
      ...planBootConfig(current, target),
      ...planFirewall(current, target),
      ...planGateway(current, kept),
      ...planUnusedImages(current, target, wantedImages, preflights),
      ...planUnusedFiles(current, kept),
      ...planUnusedSnapshots(current),
    ],
    "device",
    current,
  );
  const rest = [...device, ...all.flatMap(([, steps]) => steps)];
  const reboot = withoutVain(planReboot(current, rest), "device", current);
  return new Map<Subject, readonly Step[]>([["device", [...device, ...reboot]], ...all]);
}

/** The target state with the committed releases, whose images and files must stay. */
export function withCommitted(target: TargetState, updates: CurrentState["updates"]): TargetState {
  const committed = [...updates.values()].flatMap((facts) => facts.committed?.app ?? []);
  return committed.length === 0 ? target : { ...target, apps: [...target.apps, ...committed] };
}

/** The names of the images that must stay. `makesSpace`: the disk is short, and old images of the application may go. */
export function wantedImagesOf(
  { apps }: TargetState,
  updates: CurrentState["updates"],
  makesSpace: (app: App) => boolean = () => false,
): ReadonlySet<string> {
  // With this strategy, the old image makes room for the new one once the update has begun. A return downloads it again.
  const leaving = new Set(
    apps.flatMap((app) => {
      const phase = updates.get(app.appId)?.record?.phase;
      const isTried = phase === "trying" || phase === "paused";
      return app.services.flatMap(({ name, strategy }) =>
        (isTried && strategy === "delete-then-download") || makesSpace(app) ? [serviceKey(app.appId, name)] : [],
      );
    }),
  );
  const committed = [...updates.values()].flatMap((facts) => {
    if (!facts.committed) return [];
    const { app, images } = facts.committed;
    const isBack = facts.record?.phase === "back" || facts.record?.phase === "rejected";
    const services = app.services.filter(({ name }) => isBack || !leaving.has(serviceKey(app.appId, name)));
    return services.flatMap(({ name, image }) => [image.name, images[name] ?? image.name]);
  });
  return new Set([...apps.flatMap((app) => app.services.map(({ image }) => image.name)), ...committed]);
}

/** The names under which the images of releases are kept, or will be when they are committed. */
const keptNames = ({ apps }: TargetState, { images, updates }: CurrentState): readonly string[] =>
  apps
    .filter(({ appId }) => updates.has(appId))
    .flatMap(({ services }) => services.flatMap(({ image }) => findImage(images, image.name) ?? []))
    .map(({ id }) => keptImageName(id));

/** Whether the plan has neither steps nor waits. */
export const isSettled = (steps: readonly Step[] = []): boolean => steps.every(isNote);
