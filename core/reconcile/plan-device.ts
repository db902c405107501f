import { hasFeature } from "../compose/features.ts";
import { supervisorNetworkSpec } from "../compose/definitions.ts";
import { findImage } from "../model/image.ts";
import { supervisorNetwork, serviceKey } from "../model/names.ts";
import type { TargetState } from "../model/target.ts";
import { isImageInUse, type CurrentState } from "./current.ts";
import { isNote, type Step } from "./step.ts";

/** The network on which services reach the API, and the agent's answering there. */
export function planGateway(current: CurrentState, target: TargetState): Step[] {
  const wanted = target.apps.some((app) =>
    app.services.some(({ config }) => hasFeature(config.labels, "supervisor-api")),
  );
  if (!wanted) return [];
  const exists = current.networks.some(({ name }) => name === supervisorNetwork.name);
  if (!exists) return [{ action: "createNetwork", name: supervisorNetwork.name, spec: supervisorNetworkSpec }];
  return current.gatewayOpen === false ? [{ action: "openGateway", address: supervisorNetwork.gateway }] : [];
}

/** When there is nothing left to do, nor to wait for, but what a reboot does. */
export const planReboot = ({ rebootRequired }: CurrentState, rest: readonly Step[]): Step[] =>
  rebootRequired && rest.every(isNote) ? [{ action: "reboot" }] : [];

/** Only images that were fetched for services of ours: what else is on the engine is none of our business. */
export function planUnusedImages(
  current: CurrentState,
  { apps }: TargetState,
  wantedImages: ReadonlySet<string>,
): Step[] {
  if (current.localMode) return [];
  // The predecessor's image has layers in common with the one that is to be downloaded, which are not downloaded again.
  const downloading = new Set(
    apps.flatMap(({ appId, services }) =>
      services
        .filter(({ strategy, image }) => strategy === "kill-then-download" && !findImage(current.images, image.name))
        .map(({ name }) => serviceKey(appId, name)),
    ),
  );
  const unused = current.imageRecords.filter(
    ({ name, appId, serviceName }) =>
      !wantedImages.has(name) &&
      !current.keptImages.has(name) &&
      !downloading.has(serviceKey(appId, serviceName)) &&
      !isImageInUse(name, current),
  );
  return [...new Set(unused.map(({ name }) => name))].map((name) => ({ action: "removeImage", name }));
}
