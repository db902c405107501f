import type { UpdateStatus } from "../api/cloud/report.ts";
import type { View } from "./view.ts";
import type { Container } from "../model/container.ts";
import { fingerprintOf, rejectionOf } from "../model/fingerprint.ts";
import { findImage, isKeptImageName, type ImageRecord } from "../model/image.ts";
import { isHandingOver, parseContainerName, serviceKey } from "../model/names.ts";
import { findApp, type App, type TargetState } from "../model/target.ts";
import { describeFailure } from "../model/update.ts";
import type { CurrentState } from "./current.ts";
import { isSettled } from "./plan.ts";

/** The status of a service in the target release of an application. */
export interface ServiceStatus {
  readonly name: string;
  readonly imageId: number;
  readonly releaseId: number;
  /** The image's name in the target state. */
  readonly image: string;
  /** "Running", "Downloading", "exited"…, as in the reference implementation. */
  readonly status: string;
  /** In whole percent while the image is downloaded. */
  readonly downloadProgress: number | null;
  /** The service's container, if it belongs to this release. */
  readonly container: Container | undefined;
}

/** A container and its release. The ids are taken from the container's name. */
export interface ContainerStatus {
  readonly container: Container;
  readonly status: string;
  readonly imageId: number;
  readonly releaseId: number;
  readonly commit: string | undefined;
}

/** The operation in progress on a service, such as "Starting", by `serviceKey`. */
type Activity = ReadonlyMap<string, string>;

/** The reference implementation's words for states of the engine. Other states keep the engine's word. */
const words: Readonly<Partial<Record<Container["state"], string>>> = { running: "Running", created: "Installed" };

/** The status of each service in the target release. `containers` are those of the application. */
export function serviceStatuses(
  app: App,
  view: View,
  activity: Activity,
  containers = containerStatuses(app.appId, view, activity),
): ServiceStatus[] {
  if (app.rejected) return [];
  return app.services.map((service): ServiceStatus => {
    const own = containers.find(({ commit, container }) => container.service === service.name && commit === app.commit);
    const download = view.current.downloads.get(service.image.name);
    const isHere = findImage(view.current.images, service.image.name) !== undefined;
    return {
      name: service.name,
      imageId: service.imageId,
      releaseId: app.releaseId,
      image: service.image.name,
      status:
        activity.get(serviceKey(app.appId, service.name)) ?? own?.status ?? (isHere ? "Downloaded" : "Downloading"),
      // A failed download is retried, so it counts as running.
      downloadProgress: download?.is === "running" ? download.percent : isHere ? null : 0,
      container: own?.container,
    };
  });
}

/** The containers of an application, of all releases, in the order of the target state. */
export function containerStatuses(appId: number, view: View, activity: Activity): ContainerStatus[] {
  const order = findApp(view.target, appId)?.services.map(({ name }) => name) ?? [];
  const place = ({ service }: Container) => {
    const index = order.indexOf(service);
    return index < 0 ? order.length : index;
  };
  return view.current.containers
    .filter((container) => container.appId === appId && !isHandingOver(container))
    .sort((a, b) => place(a) - place(b))
    .map((container) => {
      const ids = parseContainerName(container.name, container.service);
      return {
        container,
        status: activity.get(serviceKey(appId, container.service)) ?? statusOf(container, view),
        imageId: ids?.imageId ?? 0,
        releaseId: ids?.releaseId ?? 0,
        commit: ids?.commit,
      };
    });
}

export const statusOf = (container: Container, view: View): string =>
  view.current.containers.some(
    (other) => other.appId === container.appId && other.service === container.service && isHandingOver(other),
  )
    ? "Awaiting handover"
    : (words[container.state] ?? container.state);

/** The images on the engine that were used for services, including those that the target state no longer needs. */
export const keptImages = ({ current }: View): readonly ImageRecord[] =>
  current.imageRecords.filter(
    ({ name, dockerImageId }) => dockerImageId !== "" && !isKeptImageName(name) && findImage(current.images, name),
  );

/** A release whose update has failed on this device is marked as rejected. */
export function withRejection(app: App, { updates }: Pick<CurrentState, "updates">): App {
  const failure = rejectionOf(app, updates.get(app.appId)?.record);
  return failure ? { ...app, rejected: describeFailure(failure) } : app;
}

/** The same object if nothing is marked. */
export function withRejections(target: TargetState, current: Pick<CurrentState, "updates">): TargetState {
  const apps = target.apps.map((app) => withRejection(app, current));
  return apps.every((app, n) => app === target.apps[n]) ? target : { ...target, apps };
}

/** The release that runs instead of one whose update has failed; else the one of the target. */
export function releaseInstead(app: App, { current }: View): App {
  const { committed, record } = current.updates.get(app.appId) ?? {};
  return (rejectionOf(app, record) && committed?.app) || app;
}

/**
 * Whether the update of an application has failed: it is being taken back, waits for a person, is not tried again, or cannot
 * begin, since it would not fit or run here.
 */
export function hasFailedUpdate(app: App, view: View): boolean {
  const record = view.current.updates.get(app.appId)?.record;
  const isEnded = record?.phase === "back" || record?.phase === "paused" || rejectionOf(app, record) !== undefined;
  return isEnded || isHeldUp(app, view);
}

const isHeldUp = ({ appId }: App, { plan }: View): boolean =>
  plan.get(appId)?.some((step) => step.action === "wait" && step.obstacle !== undefined) ?? false;

/** The state of an application by image id, from its containers, its target services and its kept images. */
export function stateByImage(
  appId: number,
  view: View,
  containers: readonly ContainerStatus[],
  services: readonly ServiceStatus[],
) {
  const state: Record<number, { status: string; releaseId: number; download_progress: number | null }> = {};
  for (const { imageId, status, releaseId } of containers)
    state[imageId] ??= { status, releaseId, download_progress: null };
  for (const { imageId, status, releaseId, downloadProgress } of services)
    state[imageId] ??= { status, releaseId, download_progress: downloadProgress };
  for (const { appId: owner, imageId, releaseId = 0 } of keptImages(view))
    if (owner === appId) state[imageId] ??= { status: "Downloaded", releaseId, download_progress: null };
  return state;
}

/**
 * The status of an application's update. The earliest stage that applies counts. Until the device has looked at this target, the
 * update goes on.
 */
export function updateStatus(app: App, view: View): UpdateStatus {
  const { downloads } = view.current;
  const steps = view.plan.get(app.appId) ?? [];
  const own = app.services.flatMap(({ image }) => downloads.get(image.name) ?? []);
  if (app.rejected) return "rejected";
  if (findApp(view.target, app.appId) !== app) return "applying changes";
  const record = view.current.updates.get(app.appId)?.record;
  if (record?.phase === "back" || record?.phase === "paused" || isHeldUp(app, view)) return "aborted";
  if (record?.phase === "waiting" && record.fingerprint === fingerprintOf(app)) return "downloaded";
  if (own.length > 0 || steps.some(({ action }) => action === "fetch")) return "downloading";
  if (steps.some(({ action }) => action === "takeLocks")) return "downloaded";
  return isSettled(steps) && !view.temporary.has(app.appId) ? "done" : "applying changes";
}

/** The release that an application has reached; undefined during an update. */
export const reachedCommit = (app: App, view: View): string | undefined =>
  isSettled(view.plan.get(app.appId)) && !view.temporary.has(app.appId) && !app.rejected ? app.commit : undefined;

/**
 * The release that runs. During an update, or after a rejected release, it is the release of all running containers, if
 * they have the same one.
 */
export function runningCommit(app: App, view: View): string | undefined {
  const reached = reachedCommit(app, view);
  if (reached !== undefined) return reached;
  const commits = new Set(
    view.current.containers
      .filter((container) => container.appId === app.appId && container.state === "running")
      .map(({ name, service }) => parseContainerName(name, service)?.commit),
  );
  return commits.size === 1 ? [...commits][0] : undefined;
}

/** The reached releases by application. */
export const reachedCommits = (view: View): Readonly<Record<string, string>> =>
  Object.fromEntries(
    view.target.apps.flatMap((app): [string, string][] => {
      const commit = reachedCommit(app, view);
      return commit === undefined ? [] : [[String(app.appId), commit]];
    }),
  );

/** Applications that have containers, are in the target, or have only kept images, in this order. */
export const appIdsOf = (view: View): readonly number[] => [
  ...new Set([...view.current.containers, ...view.target.apps, ...keptImages(view)].map(({ appId }) => appId)),
];

/** The mean progress of all downloads; null when there are none. */
export function meanProgress(services: readonly ServiceStatus[]): number | null {
  const running = services.flatMap(({ downloadProgress }) => downloadProgress ?? []);
  return running.length === 0 ? null : Math.floor(running.reduce((sum, percent) => sum + percent, 0) / running.length);
}
