import { hasFeature } from "../compose/features.ts";
import { supervisorNetworkSpec } from "../compose/definitions.ts";
import { isGivenUp } from "../model/fingerprint.ts";
import { findImage, isKeptImageName } from "../model/image.ts";
import { supervisorNetwork, serviceKey } from "../model/names.ts";
import type { TargetState } from "../model/target.ts";
import { isImageInUse, usersOf, type CurrentState } from "./current.ts";
import type { Preflight } from "./plan-preflight.ts";
import { isNote, type Step } from "./step.ts";

/** Creates the network on which services reach the API, and makes the API listen there. */
export function planGateway(current: CurrentState, target: TargetState): Step[] {
  const wanted = target.apps.some((app) =>
    app.services.some(({ config }) => hasFeature(config.labels, "supervisor-api")),
  );
  if (!wanted) return [];
  const exists = current.networks.some(({ name }) => name === supervisorNetwork.name);
  if (!exists) return [{ action: "createNetwork", name: supervisorNetwork.name, spec: supervisorNetworkSpec }];
  return current.gatewayOpen === false ? [{ action: "openGateway", address: supervisorNetwork.gateway }] : [];
}

/** Reboots when a reboot is required and the rest of the plan has neither steps nor waits, but for an update to prove itself. */
export const planReboot = ({ rebootRequired }: CurrentState, rest: readonly Step[]): Step[] =>
  rebootRequired && rest.every((step) => isNote(step) || (step.action === "wait" && step.gate))
    ? [{ action: "reboot" }]
    : [];

/** Removes files of services that neither the target nor a container uses. */
export function planUnusedFiles(current: CurrentState, { apps }: TargetState): Step[] {
  const mounts = usersOf(current).flatMap(({ spec }) => spec.mounts);
  const used = new Set([
    ...apps.flatMap(({ files = {} }) => Object.keys(files)),
    ...mounts.map(({ source }) => source.slice(source.lastIndexOf("/") + 1)),
  ]);
  return [...current.files].filter((id) => !used.has(id)).map((id) => ({ action: "removeFile", id }));
}

const isShort = (preflight: Preflight | undefined): boolean => preflight?.download?.is === "short";

/** Removes unused images that were fetched for services. Other images on the engine belong to other programs. */
export function planUnusedImages(
  current: CurrentState,
  { apps }: TargetState,
  wantedImages: ReadonlySet<string>,
  preflights?: ReadonlyMap<number, Preflight>,
): Step[] {
  if (current.localMode) return [];
  // The old image is kept during the download: layers that both images share are then not downloaded again.
  const downloading = new Set(
    apps
      .filter((app) => !isShort(preflights?.get(app.appId)) && !isGivenUp(app, current.updates.get(app.appId)?.record))
      .flatMap(({ appId, services }) =>
        services
          .filter(({ strategy, image }) => strategy === "kill-then-download" && !findImage(current.images, image.name))
          .map(({ name }) => serviceKey(appId, name)),
      ),
  );
  const recorded = current.imageRecords
    .filter(({ appId, serviceName }) => !downloading.has(serviceKey(appId, serviceName)))
    .map(({ name }) => name);
  // Nobody else gives these names: they go also if their records were lost.
  const second = current.images.flatMap(({ tags }) => tags.filter(isKeptImageName));
  const unused = [...new Set([...recorded, ...second])].filter(
    (name) => !wantedImages.has(name) && !current.keptImages.has(name) && !isImageInUse(name, current),
  );
  return unused.map((name) => ({ action: "removeImage", name }));
}
