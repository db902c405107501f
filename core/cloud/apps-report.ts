import type { View } from "../reconcile/view.ts";
import type { Container } from "../model/container.ts";
import { findImage } from "../model/image.ts";
import { own } from "../model/json.ts";
import { isHandingOver, serviceKey } from "../model/names.ts";
import type { App } from "../model/target.ts";
import {
  reachedCommit,
  serviceStatuses,
  runningCommit,
  statusOf,
  updateStatus,
  type ServiceStatus,
  type UpdateStatus,
} from "../reconcile/status.ts";
import { commitOf, type ReleaseImages } from "./release-images.ts";

/** An application in `PATCH /device/v3/state`: of each release that is on the device, or on its way, how far it is. */
export type AppReport = {
  /** The release that runs. */
  readonly release_uuid?: string;
  readonly releases: Readonly<Record<string, ReleaseReport>>;
};
type ReleaseReport = {
  readonly update_status: UpdateStatus;
  readonly services: Readonly<Record<string, ServiceState>>;
};
type ServiceState = {
  /** As the cloud spells it: it refuses a whole report for an image that it does not know. */
  readonly image: string;
  readonly status: string;
  /** Left out, an old number would stay. */
  readonly download_progress: number | null;
};

interface AppsView {
  readonly view: View;
  readonly activity: ReadonlyMap<string, string>;
  /** The releases whose images are known. */
  readonly images: ReleaseImages;
  /** Names the releases of the target alone: the cloud has refused a report for others. */
  readonly targetOnly: boolean;
}

/** What each application of the target state has come to. */
export const appsReport = (all: AppsView): Readonly<Record<string, AppReport>> =>
  Object.fromEntries(all.view.target.apps.map((app) => [app.uuid, appReport(app, all)]));

/**
 * The target's release and, as long as containers are of them, the older ones: what a report does not name is deleted for
 * the cloud, though it may run for as long as the update is stuck. A release whose images are not known is left out.
 */
function appReport(app: App, { view, activity, images, targetOnly }: AppsView): AppReport {
  const known = images[app.uuid] ?? {};
  const containers = view.current.containers.filter(({ appId }) => appId === app.appId);
  const commits = targetOnly ? [] : containers.flatMap((container) => commitOf(container) ?? []);
  const older = [...new Set(commits)].filter((commit) => commit !== app.commit && own(known, commit)).toSorted();
  const releases = withSharedImages(
    [...older, ...(app.commit === "" ? [] : [app.commit])].map((commit) => {
      const services = known[commit] ?? {};
      const made = containers.filter((container) => commitOf(container) === commit);
      return {
        commit,
        images: services,
        services:
          commit === app.commit
            ? targetServices(app, services, view, activity)
            : olderServices(made, services, view, activity),
      };
    }),
  );
  const running = runningCommit(app, view);
  const isReached = running === app.commit && reachedCommit(app, view) === running && running !== "";
  return {
    ...(running !== undefined && (isReached || older.includes(running)) && { release_uuid: running }),
    releases: Object.fromEntries(
      releases.map(({ commit, services }) => [
        commit,
        {
          update_status: commit === app.commit ? updateStatus(app, view) : "done",
          services: Object.fromEntries(services.map(({ name, container: _, ...service }) => [name, service])),
        },
      ]),
    ),
  };
}

interface StatedService extends ServiceState {
  readonly name: string;
  /** What is made of its image, if this says what it does. */
  readonly container: Container | undefined;
}

interface StatedRelease {
  readonly commit: string;
  /** By service: all of the release. */
  readonly images: Readonly<Record<string, string>>;
  readonly services: readonly StatedService[];
}

/** What the target's release is to run. Of one that is rejected, nothing. */
function targetServices(
  app: App,
  images: Readonly<Record<string, string>>,
  view: View,
  activity: ReadonlyMap<string, string>,
): StatedService[] {
  return serviceStatuses(app, view, activity).map((service) => ({
    name: service.name,
    image: images[service.name] ?? service.image,
    download_progress: service.downloadProgress,
    ...statusOfService(service, view),
  }));
}

/** A container that is made of another image is not this release's. */
function statusOfService(
  { status, image, downloadProgress, container }: ServiceStatus,
  view: View,
): Pick<StatedService, "status" | "container"> {
  const id = findImage(view.current.images, image)?.id;
  if (downloadProgress !== null || id === undefined) return { status: "Downloading", container: undefined };
  if (container && container.spec.image !== id) return { status: "Downloaded", container: undefined };
  return { status, container };
}

/** What is left of an older release. */
const olderServices = (
  containers: readonly Container[],
  images: Readonly<Record<string, string>>,
  view: View,
  activity: ReadonlyMap<string, string>,
): StatedService[] =>
  containers.flatMap((container) => {
    const { appId, service: name } = container;
    const image = images[name];
    if (image === undefined) return [];
    const status = isHandingOver(container)
      ? "Handing over"
      : (activity.get(serviceKey(appId, name)) ?? statusOf(container, view));
    return [{ name, image, status, download_progress: null, container }];
  });

/**
 * The public cloud has one row for an image, whatever releases it belongs to, and refuses a report in which one of them does
 * not name it. So an image that is named somewhere is named in each release that it belongs to, with one status for all: that
 * of a container which runs, if there is one. A release of that cloud has an image once; where one has it for two services,
 * the cloud is another one, which tells them apart.
 */
function withSharedImages(releases: readonly StatedRelease[]): readonly StatedRelease[] {
  const rows = new Map<string, StatedService>();
  for (const service of releases.flatMap(({ services }) => services)) {
    const row = rowOf(service.image);
    const before = rows.get(row);
    if (!before || rankOf(service) > rankOf(before)) rows.set(row, service);
  }
  const isShared = (image: string) => {
    const times = releases.map(
      ({ images }) => Object.values(images).filter((one) => rowOf(one) === rowOf(image)).length,
    );
    return times.filter((n) => n > 0).length > 1 && times.every((n) => n <= 1);
  };
  return releases.map((release) => {
    const stated = release.services.map((service) => {
      const row = isShared(service.image) ? rows.get(rowOf(service.image)) : undefined;
      return row ? { ...service, status: row.status, download_progress: row.download_progress } : service;
    });
    const others = Object.entries(release.images).flatMap(([name, image]) => {
      const row = isShared(image) ? rows.get(rowOf(image)) : undefined;
      const isNamed = stated.some((one) => one.name === name || rowOf(one.image) === rowOf(image));
      return row && !isNamed ? [{ ...row, name, image }] : [];
    });
    return { ...release, services: [...stated, ...others] };
  });
}

const rowOf = (image: string): string => image.split("@")[0] ?? image;

const rankOf = ({ container }: StatedService): number => (container ? (container.state === "running" ? 2 : 1) : 0);
