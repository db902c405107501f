import type { Container } from "./model/container.ts";
import { findImage } from "./model/image.ts";
import { isHandingOver, parseContainerName } from "./model/names.ts";
import type { App } from "./model/target.ts";
import { serviceKey } from "./reconcile/current.ts";
import type { View } from "./reconcile/loop.ts";
import { isWork } from "./reconcile/step.ts";

/** A service as the state endpoints show it. */
export interface ServiceReport {
  readonly name: string;
  readonly serviceId: number;
  readonly imageId: number;
  readonly releaseId: number;
  /** The image's name in the target state. */
  readonly image: string;
  /** "Running", "Downloading", "exited"…: the original's words. */
  readonly status: string;
  /** Whole percents while its image is fetched. */
  readonly downloadProgress: number | null;
  readonly container: Container | undefined;
}

export type UpdateStatus = "done" | "downloading" | "downloaded" | "applying changes" | "rejected" | "aborted";

/** What is being done to services right now, by `serviceKey`. */
type Activity = ReadonlyMap<string, string>;

/** The original's words for the engine's; those that it passes on stand for themselves. */
const words: Readonly<Partial<Record<Container["state"], string>>> = { running: "Running", created: "Installed" };

/** The services of an application: those that it should have, then those that are still there. */
export function reportServices(appId: number, app: App | undefined, view: View, activity: Activity): ServiceReport[] {
  const containers = view.current.containers.filter(
    (container) => container.appId === appId && !isHandingOver(container),
  );
  const wanted = (app?.rejected ? [] : (app?.services ?? [])).map((service): ServiceReport => {
    const container = containers.find((one) => one.service === service.name);
    const download = view.current.downloads.get(service.image.name);
    const isHere = findImage(view.current.images, service.image.name) !== undefined;
    const downloading = download?.is === "running" || (!isHere && download === undefined);
    return {
      name: service.name,
      serviceId: service.serviceId,
      imageId: service.imageId,
      releaseId: app?.releaseId ?? 0,
      image: service.image.name,
      status:
        activity.get(serviceKey(appId, service.name)) ??
        (container ? statusOf(container, view) : isHere ? "Downloaded" : "Downloading"),
      downloadProgress: download?.is === "running" ? download.percent : downloading ? 0 : null,
      container,
    };
  });
  const others = containers
    .filter(({ service }) => !wanted.some(({ name }) => name === service))
    .map((container): ServiceReport => {
      const ids = parseContainerName(container.name, container.service);
      return {
        name: container.service,
        serviceId: container.serviceId,
        imageId: ids?.imageId ?? 0,
        releaseId: ids?.releaseId ?? 0,
        image: container.spec.image,
        status: activity.get(serviceKey(appId, container.service)) ?? statusOf(container, view),
        downloadProgress: null,
        container,
      };
    });
  return [...wanted, ...others];
}

const statusOf = (container: Container, view: View): string =>
  view.current.containers.some(
    (other) => other.appId === container.appId && other.service === container.service && isHandingOver(other),
  )
    ? "Awaiting handover"
    : (words[container.state] ?? container.state);

/** How far an application is, the least advanced first. */
export function updateStatus(app: App, view: View): UpdateStatus {
  const { downloads } = view.current;
  const steps = view.plan.get(app.appId) ?? [];
  const own = app.services.flatMap(({ image }) => downloads.get(image.name) ?? []);
  if (app.rejected) return "rejected";
  if (own.some(({ is }) => is === "failed")) return "aborted";
  if (own.length > 0 || steps.some(({ action }) => action === "fetch")) return "downloading";
  if (steps.some(({ action }) => action === "takeLocks")) return "downloaded";
  return steps.some(isWork) || steps.length > 0 ? "applying changes" : "done";
}

/** The release that an application has reached: none while it is on its way. */
export const reachedCommit = (app: App, view: View): string | undefined =>
  (view.plan.get(app.appId) ?? []).length === 0 && !app.rejected ? app.commit : undefined;

/** The release that runs: the one that is reached or, until then, the one that all containers are still of. */
export function runningCommit(appId: number, app: App | undefined, view: View): string | undefined {
  const reached = app && reachedCommit(app, view);
  if (reached !== undefined) return reached;
  const commits = new Set(
    view.current.containers
      .filter((container) => container.appId === appId && container.state === "running")
      .map(({ name, service }) => parseContainerName(name, service)?.commit),
  );
  return commits.size === 1 ? [...commits][0] : undefined;
}

/** The application that the endpoints for a single one speak of: that of the first container, else the first wanted. */
export function firstApp(
  view: View,
  covers: (appId: number) => boolean,
): { appId: number; app: App | undefined } | undefined {
  const appId = [...view.current.containers, ...view.target.apps].map((one) => one.appId).find(covers);
  return appId === undefined ? undefined : { appId, app: view.target.apps.find((app) => app.appId === appId) };
}

/** The mean progress of what is being fetched; null when nothing is. */
export function meanProgress(services: readonly ServiceReport[]): number | null {
  const running = services.flatMap(({ downloadProgress }) => downloadProgress ?? []);
  return running.length === 0 ? null : Math.floor(running.reduce((sum, percent) => sum + percent, 0) / running.length);
}
