import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/state.ts";
import { findImage } from "../model/image.ts";
import { volumeName } from "../model/names.ts";
import { covers } from "../model/scope.ts";
import { firstApp, meanProgress, reportServices, runningCommit } from "../report.ts";
import { supervisorVersion, type Supervisor } from "../supervisor.ts";

/** The first application as if there were no other. */
export function stateStatus(
  { scope }: Input<typeof api.stateStatus>,
  supervisor: Supervisor,
): Reply<typeof api.stateStatus> {
  const view = supervisor.view();
  const settled = supervisor.loop.isSettled();
  const first = firstApp(view, (appId) => covers(scope, appId));
  const services = first ? reportServices(first.appId, first.app, view, supervisor.memory.activity) : [];
  const commit = first && runningCommit(first.appId, first.app, view);
  const coming = services.filter(
    ({ image }) => !findImage(view.current.images, image) && image.includes(":") && !image.startsWith("sha256:"),
  );
  const here = view.current.imageRecords.filter(
    ({ appId, name, dockerImageId }) => appId === first?.appId && dockerImageId && findImage(view.current.images, name),
  );
  return reply(200, {
    status: "success",
    appState: settled ? "applied" : "applying",
    overallDownloadProgress: meanProgress(services),
    containers: services.flatMap(({ container, status, imageId }) =>
      container
        ? [
            {
              status,
              serviceName: container.service,
              appId: container.appId,
              imageId,
              serviceId: container.serviceId,
              containerId: container.id,
              createdAt: container.createdAt,
            },
          ]
        : [],
    ),
    images: [
      ...coming.map(({ image, name, imageId, downloadProgress }) => ({
        name: image,
        appId: first?.appId ?? 0,
        serviceName: name,
        imageId,
        status: "Downloading",
        downloadProgress: downloadProgress ?? 0,
      })),
      ...here.map((record) => ({ ...record, status: "Downloaded", downloadProgress: null })),
    ],
    ...(commit !== undefined && { release: commit }),
  });
}

export const version = (): Reply<typeof api.version> => reply(200, { status: "success", version: supervisorVersion });

/** Volumes of applications in the key's scope (or, with the global key, of any) that the target state does not have. */
export async function cleanupVolumes(
  { scope }: Input<typeof api.cleanupVolumes>,
  { loop, targets, ports, logs }: Supervisor,
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
    logs.system(`Removing volume '${name}'`);
    await ports.engine.removeVolume(name);
  }
  if (unused.length > 0) loop.nudge();
  return reply(200, { status: "success" });
}
