import { supervisorVersion } from "../model/version.ts";
import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/state.ts";
import { findImage } from "../model/image.ts";
import { volumeName } from "../model/names.ts";
import { covers } from "../model/scope.ts";
import { findApp } from "../model/target.ts";
import { appIdsOf, keptImages, meanProgress, containerStatuses, serviceStatuses } from "../reconcile/status.ts";
import type { Supervisor } from "../supervisor.ts";

/** The first application as if there were no other. */
export function stateStatus(
  { scope }: Input<typeof api.stateStatus>,
  supervisor: Supervisor,
): Reply<typeof api.stateStatus> {
  const view = supervisor.view();
  const { memory, loop } = supervisor;
  const appState = loop.isSettled() ? "applied" : "applying";
  const appId = appIdsOf(view).find((one) => covers(scope, one));
  if (appId === undefined)
    return reply(200, { status: "success", appState, overallDownloadProgress: null, containers: [], images: [] });
  const app = findApp(view.target, appId);
  const services = app ? serviceStatuses(app, view, memory.activity) : [];
  const coming = services.filter(({ image }) => !findImage(view.current.images, image));
  const commit = memory.commitOf(appId);
  return reply(200, {
    status: "success",
    appState,
    overallDownloadProgress: meanProgress(services),
    containers: containerStatuses(appId, view, memory.activity).map(({ container, status, imageId }) => ({
      status,
      serviceName: container.service,
      appId,
      imageId,
      serviceId: container.serviceId,
      containerId: container.id,
      createdAt: container.createdAt,
    })),
    images: [
      ...coming.map(({ image, name, imageId, downloadProgress }) => ({
        name: image,
        appId,
        serviceName: name,
        imageId,
        status: "Downloading",
        downloadProgress: downloadProgress ?? 0,
      })),
      ...keptImages(view)
        .filter((record) => record.appId === appId)
        .map(({ name, serviceName, imageId, dockerImageId }) => ({
          name,
          appId,
          serviceName,
          imageId,
          dockerImageId,
          status: "Downloaded",
          downloadProgress: null,
        })),
    ],
    ...(commit !== undefined && { release: commit }),
  });
}

export const version = (): Reply<typeof api.version> => reply(200, { status: "success", version: supervisorVersion });

/** Volumes of applications in the key's scope (or, with the global key, of any) that the target state does not have. */
export async function cleanupVolumes(
  { scope }: Input<typeof api.cleanupVolumes>,
  { loop, targets, ports, events }: Supervisor,
): Promise<Reply<typeof api.cleanupVolumes>> {
  const { current } = await loop.look();
  const wanted = new Set(
    targets.current().apps.flatMap((app) => Object.keys(app.volumes).map((name) => volumeName(app.appId, name))),
  );
  const used = new Set(current.containers.flatMap(({ spec }) => spec.mounts.map(({ source }) => source)));
  const unused = current.volumes.filter(({ name, spec }) => {
    const appId = Number(/^(\d+)_/.exec(name)?.[1] ?? NaN);
    return spec.labels["io.balena.supervised"] && covers(scope, appId) && !wanted.has(name) && !used.has(name);
  });
  for (const { name } of unused) {
    events.emit({ kind: "volumeRemoving", name, cause: "request" });
    await ports.engine.removeVolume(name);
  }
  if (unused.length > 0) loop.nudge();
  return reply(200, { status: "success" });
}
