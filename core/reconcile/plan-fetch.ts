import { findImage } from "../model/image.ts";
import { isImageInUse, type CurrentState } from "./current.ts";
import { killsFirst, type Wanted } from "./plan-judge.ts";
import type { Step } from "./step.ts";

/** The step that downloads a service's image, or the steps that must come first. */
export function planFetch(
  { service, verdict }: Wanted,
  appId: number,
  current: CurrentState,
  wantedImages: ReadonlySet<string>,
): Step[] {
  if (verdict.is !== "imageless") return [];
  if (killsFirst(service) && verdict.container) return [];
  const predecessor = current.imageRecords.find(
    (record) =>
      record.appId === appId &&
      record.serviceName === service.name &&
      !wantedImages.has(record.name) &&
      !current.keptImages.has(record.name) &&
      findImage(current.images, record.name) &&
      !isImageInUse(record.name, current),
  );
  if (service.strategy === "delete-then-download" && predecessor)
    return [{ action: "removeImage", name: predecessor.name }];

  const download = current.downloads.get(service.image.name);
  const { image, name, imageId } = service;
  const fetch: Step = { action: "fetch", image, appId, service: name, imageId };
  if (!download) return [fetch];
  switch (download.is) {
    case "running":
      return [{ action: "wait", reason: `image ${image.name}`, isSaid: true }];
    case "failed": {
      const wait = download.retryAt - current.monotonicMs;
      return wait > 0
        ? [
            {
              action: "wait",
              reason: `another try to fetch ${image.name} (${download.reason})`,
              recheckMs: wait,
              isSaid: true,
            },
          ]
        : [fetch];
    }
  }
}
