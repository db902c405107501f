import type { ContainerSpec } from "../model/container.ts";
import { containerName, preparedName } from "../model/names.ts";
import type { Network, Volume } from "../model/network.ts";
import type { App } from "../model/target.ts";
import type { CurrentState } from "./current.ts";
import { killsFirst, mayPrepare, type Wanted } from "./plan-judge.ts";
import { missingResource } from "./plan-start.ts";
import { mountsVolume } from "./plan-volumes.ts";
import type { Step } from "./step.ts";

/**
 * While an update is tried, its containers are prepared: created before those of the release before are stopped. The services are
 * away only for a stop and a start, and what the engine refuses to create stops nothing. Ports and addresses are taken when
 * a container starts, so that two containers of a service can exist side by side.
 */

interface Outdated {
  readonly networks: readonly Pick<Network, "name">[];
  readonly volumes: readonly Volume[];
}

/** Prepares the containers of which the predecessors run. */
export const planPrepared = (wanted: readonly Wanted[], app: App, outdated: Outdated, current: CurrentState): Step[] =>
  wanted.flatMap(({ service, verdict, takenBack, prepared }): Step[] => {
    if ((verdict.is !== "stale" && verdict.is !== "absent") || takenBack || prepared) return [];
    // A hand-over needs no stop before its start. The other strategies say themselves what comes first.
    if (service.strategy === "hand-over" || killsFirst(service)) return [];
    const { spec } = verdict;
    if (!mayPrepare(spec, current) || uses(spec, outdated) || missingResource(spec, current, app)) return [];
    const name = preparedName(containerName(service.name, service.imageId, app.releaseId, app.commit));
    return [{ action: "prepare", appId: app.appId, service: service.name, name, spec }];
  });

/** Removes the containers that were prepared for another target, or that cannot start any more. */
export const planUnfit = (
  appId: number,
  wanted: readonly Wanted[],
  outdated: Outdated,
  { prepared }: CurrentState,
): Step[] =>
  prepared
    .filter((one) => one.appId === appId)
    .filter((one) => uses(one.spec, outdated) || !wanted.some((other) => other.prepared === one))
    .map(({ id, service }) => ({ action: "discard", id, service }));

const uses = (spec: ContainerSpec, { networks, volumes }: Outdated): boolean =>
  networks.some(({ name }) => name in spec.networks) || volumes.some((volume) => mountsVolume({ spec }, volume));
