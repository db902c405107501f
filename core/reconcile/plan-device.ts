import { hasFeature } from "../compose/features.ts";
import { supervisorNetworkSpec } from "../compose/definitions.ts";
import { supervisorNetwork } from "../model/names.ts";
import type { TargetState } from "../model/target.ts";
import type { CurrentState } from "./current.ts";
import type { Step } from "./step.ts";

/** What belongs to no application: the network on which services reach the API, and images nobody wants any more. */
export function planDevice(current: CurrentState, target: TargetState, appsSettled: boolean): Step[] {
  return [...planGateway(current, target), ...(appsSettled ? planUnusedImages(current, target) : [])];
}

function planGateway(current: CurrentState, target: TargetState): Step[] {
  const wanted = target.apps.some((app) =>
    app.services.some(({ config }) => hasFeature(config.labels, "supervisor-api")),
  );
  if (!wanted) return [];
  const exists = current.networks.some(({ name }) => name === supervisorNetwork.name);
  if (!exists) return [{ action: "createNetwork", name: supervisorNetwork.name, spec: supervisorNetworkSpec }];
  return current.gatewayOpen === false ? [{ action: "openGateway", address: supervisorNetwork.gateway }] : [];
}

/** Only images that were fetched for services of ours: what else is on the engine is none of our business. */
function planUnusedImages(current: CurrentState, target: TargetState): Step[] {
  if (current.localMode) return [];
  const wanted = new Set(target.apps.flatMap((app) => app.services.map(({ image }) => image.name)));
  const inUse = new Set(current.containers.map(({ spec }) => spec.image));
  const unused = current.imageRecords.filter(
    ({ name, dockerImageId }) => !wanted.has(name) && !inUse.has(dockerImageId),
  );
  return [...new Set(unused.map(({ name }) => name))].map((name) => ({ action: "removeImage", name }));
}
