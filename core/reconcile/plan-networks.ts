import { toNetworkSpec } from "../compose/definitions.ts";
import { networkDifferences } from "../compose/network-differences.ts";
import { networkName } from "../model/names.ts";
import type { Network, NetworkSpec } from "../model/network.ts";
import type { App } from "../model/target.ts";
import type { CurrentState } from "./current.ts";
import { toReason, type Reason } from "./plan-judge.ts";
import { waitIfInVain } from "./plan-repeats.ts";
import type { Step, Work } from "./step.ts";

export interface OutdatedNetwork extends Network {
  /** Why the network must be removed. */
  readonly reason: Reason;
}

export const toNetworkRemoval = ({ id, name, reason }: OutdatedNetwork): Work => ({
  action: "removeNetwork",
  id,
  name,
  ...reason,
});

/** The networks of an application that must be removed or created. */
export function judgeNetworks(appId: number, app: App | undefined, current: CurrentState) {
  const definitions = new Map(
    app
      ? Object.entries(app.networks).map(([name, definition]) => [
          networkName(app.uuid, name),
          toNetworkSpec(definition, appId),
        ])
      : [],
  );
  const ours = current.networks.filter(
    ({ spec: { labels } }) => labels["io.balena.supervised"] && labels["io.balena.app-id"] === String(appId),
  );
  const judged = ours.flatMap((network): OutdatedNetwork[] => {
    const definition = definitions.get(network.name);
    const reason = definition
      ? toReason(networkDifferences(network.spec, definition))
      : { why: "no longer in the target state" };
    // A restart keeps the networks: the new containers use them again.
    return reason && !app?.temporary ? [{ ...network, reason }] : [];
  });
  const waits = judged.flatMap((network) => waitIfInVain(toNetworkRemoval(network), appId, current) ?? []);
  const outdated = judged.filter((network) => !waitIfInVain(toNetworkRemoval(network), appId, current));
  const missing = [...definitions].filter(([name]) => !ours.some((network) => network.name === name));
  return { outdated, missing, waits };
}

export const toNetworkCreation = ([name, spec]: readonly [string, NetworkSpec]): Step => ({
  action: "createNetwork",
  name,
  spec,
});
