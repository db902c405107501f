import type { AppReport, ServiceReport } from "./api/cloud/report.ts";
import { commitOf, type ReleaseImages } from "./cloud/release-images.ts";
import type { Container } from "./model/container.ts";
import { findImage } from "./model/image.ts";
import { own } from "./model/json.ts";
import { isHandingOver, serviceKey } from "./model/names.ts";
import type { App } from "./model/target.ts";
import {
  reachedCommit,
  serviceStatuses,
  runningCommit,
  statusOf,
  updateStatus,
  type ServiceStatus,
} from "./reconcile/status.ts";
import type { View } from "./reconcile/view.ts";

interface AppsView {
  readonly view: View;
  readonly activity: ReadonlyMap<string, string>;
  /** The releases whose images are known. */
  readonly images: ReleaseImages;
  /** Names the target's releases alone: the cloud has rejected a report that names others. */
  readonly targetOnly: boolean;
}

/** The applications of the target state as they are reported to the cloud. */
export const appsReport = (all: AppsView): Readonly<Record<string, AppReport>> =>
  Object.fromEntries(all.view.target.apps.map((app) => [app.uuid, appReport(app, all)]));

/**
 * The target's release, and older releases while containers of them exist: the cloud takes services that a report does not
 * name for deleted. A release whose images are not known is left out.
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
  // A release that was tried and replaced by another target has not proved itself.
  const committed = view.current.updates.get(app.appId)?.committed?.app.commit ?? running;
  const isOlder = running !== undefined && older.includes(running) && running === committed;
  return {
    ...((isReached || isOlder) && { release_uuid: running }),
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

interface StatedService extends Required<ServiceReport> {
  readonly name: string;
  /** The container of this image whose status this is. */
  readonly container: Container | undefined;
}

interface StatedRelease {
  readonly commit: string;
  /** All images of the release, by service. */
  readonly images: Readonly<Record<string, string>>;
  readonly services: readonly StatedService[];
}

/** The services of the target's release; none of a rejected release. */
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

/** A container of another image does not belong to this release. */
function statusOfService(
  { status, image, downloadProgress, container }: ServiceStatus,
  view: View,
): Pick<StatedService, "status" | "container"> {
  const id = findImage(view.current.images, image)?.id;
  if (downloadProgress !== null || id === undefined) return { status: "Downloading", container: undefined };
  if (container && container.spec.image !== id) return { status: "Downloaded", container: undefined };
  return { status, container };
}

/** The remaining services of an older release. */
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
 * The public cloud has one row for an image, and rejects a report in which one of the image's releases does not name it. So a
 * reported image is named in each release that it belongs to, with one status: that of a running container, if there is one.
 * Where a release has an image for two services, the cloud is another one, which distinguishes them.
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
