import { supervisorVersion } from "../model/version.ts";
import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/state.ts";
import { findImage } from "../model/image.ts";
import { covers } from "../model/scope.ts";
import { findApp } from "../model/target.ts";
import { cleanupVolumes as cleanup, type CleanupContext } from "../operations/cleanup-volumes.ts";
import type { Loop } from "../reconcile/loop.ts";
import { appIdsOf, keptImages, meanProgress, containerStatuses, serviceStatuses } from "../reconcile/status.ts";
import type { StateContext } from "./context.ts";

export interface StatusContext extends Pick<StateContext, "view" | "memory"> {
  readonly loop: Pick<Loop, "isSettled">;
}

/** The first application only, as the specification has it. */
export function stateStatus(
  { scope }: Input<typeof api.stateStatus>,
  context: StatusContext,
): Reply<typeof api.stateStatus> {
  const view = context.view();
  const { memory, loop } = context;
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

export async function cleanupVolumes(
  { scope }: Input<typeof api.cleanupVolumes>,
  context: CleanupContext,
): Promise<Reply<typeof api.cleanupVolumes>> {
  await cleanup(context, scope);
  return reply(200, { status: "success" });
}
