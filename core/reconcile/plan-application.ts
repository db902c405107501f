import { isActive } from "../model/container.ts";
import { isHandingOver } from "../model/names.ts";
import type { App } from "../model/target.ts";
import type { CurrentState } from "./current.ts";
import { withLocks } from "./gate.ts";
import { planFetch } from "./plan-fetch.ts";
import { isNear, waitForHandOver } from "./plan-hand-over.ts";
import { judge, keepInVain, killsFirst } from "./plan-judge.ts";
import { judgeNetworks, toNetworkCreation, toNetworkRemoval } from "./plan-networks.ts";
import { withPreflight, type Preflight } from "./plan-preflight.ts";
import { planPrepared, planUnfit } from "./plan-prepared.ts";
import { withoutVain } from "./plan-repeats.ts";
import { planInterrupted, planStart } from "./plan-start.ts";
import { planStops } from "./plan-stops.ts";
import { judgeVolumes, mountsVolume, planPurge, planVolumes, toVolumeRemoval } from "./plan-volumes.ts";
import type { Step } from "./step.ts";

/**
 * The next steps for one application. There are four stages: fetch images; take the locks and stop containers; change
 * networks and volumes; release the locks and start containers in the order of their dependencies. A stage begins when the
 * previous one has no steps left.
 */
export function planApplication(
  appId: number,
  app: App | undefined,
  current: CurrentState,
  wantedImages: ReadonlySet<string>,
  preflight?: Preflight,
): Step[] {
  return withoutVain(withLocks(planNow(appId, app, current, wantedImages, preflight), appId, current), appId, current);
}

function planNow(
  appId: number,
  app: App | undefined,
  current: CurrentState,
  wantedImages: ReadonlySet<string>,
  preflight: Preflight | undefined,
): Step[] {
  // A rejected release is not applied. The running containers stay.
  if (app?.rejected) return releaseLocks(appId, current);

  const containers = current.containers.filter((container) => container.appId === appId);
  const leaving = containers.filter(isHandingOver);
  const present = containers.filter((container) => !isHandingOver(container));
  const judged = app && !app.temporary ? app.services.map((service) => judge(service, app, present, current)) : [];
  const kept = keepInVain(judged, appId, current);
  const { wanted, hold, obstacle } =
    app && preflight ? withPreflight(kept.wanted, app, preflight, current) : { wanted: kept.wanted };

  const due = wanted.flatMap((one) => planFetch(one, appId, current, wantedImages));
  const fetches = hold ? [...due.filter(({ action }) => action !== "fetch"), hold] : due;
  // Services are stopped only when every image of the release is there, except with a strategy that kills first.
  const awaited = wanted.filter(({ service, verdict }) => verdict.is === "imageless" && !killsFirst(service));
  const networks = judgeNetworks(appId, app, current);
  const volumes = judgeVolumes(appId, app, current);

  const whyRemove = app?.temporary ? temporaryReasons[app.temporary] : "no longer in the target state";
  const imagesComplete = awaited.length === 0 && !obstacle;
  const again = app?.temporary !== undefined;
  const outdated = { networks: networks.outdated, volumes: volumes.outdated };
  const stops = planStops({
    ...{ appId, wanted, present, leaving, current, imagesComplete, whyRemove, again },
    ...{ networks, volumes: volumes.outdated },
    inVain: kept.differencesOf,
  });
  const unfit = planUnfit(appId, wanted, outdated, current);
  const waits = [...kept.waits, ...(obstacle ? [obstacle] : []), ...networks.waits, ...volumes.waits];
  const creations = [
    ...networks.missing.map(toNetworkCreation),
    ...(app ? planVolumes(app, volumes.judged, current) : []),
  ];
  const serving = new Set(present.filter(isActive).map(({ id }) => id));
  const endsService = stops.some(({ action, id }) => action === "kill" && serving.has(id));
  const first = app && imagesComplete && endsService ? planPrepared(wanted, app, outdated, current) : [];
  // The new ones may have the names of those that go.
  if (first.length > 0) return [...fetches, ...creations, ...waits, ...(unfit.length > 0 ? unfit : first)];
  if (stops.length + unfit.length > 0) return [...fetches, ...creations, ...waits, ...unfit, ...stops];

  const removals = [
    ...networks.outdated.flatMap((network) =>
      containers.some((container) => network.name in container.spec.networks) ? [] : [toNetworkRemoval(network)],
    ),
    ...volumes.outdated.flatMap((volume) =>
      containers.some((container) => mountsVolume(container, volume)) ? [] : [toVolumeRemoval(volume)],
    ),
    ...(app?.temporary === "purged" ? planPurge(appId, current) : []),
  ];
  if (removals.length > 0) return [...fetches, ...waits, ...removals];

  const starts = app ? wanted.flatMap((one) => planStart(one, app, wanted, current)) : [];
  const interrupted = app ? wanted.flatMap((one) => planInterrupted(one, app, present, current)) : [];
  const handOvers = wanted.flatMap((one) => waitForHandOver(one, leaving, current, appId));
  return [
    ...fetches,
    ...creations,
    // Existing containers may start while other images of the release are downloaded.
    ...starts.filter(({ action }) => imagesComplete || action === "start"),
    ...interrupted,
    ...waits,
    ...handOvers,
    // The end of a hand-over needs the update locks. Starting a container does not.
    ...(handOvers.some(isNear) ? [] : releaseLocks(appId, current)),
  ];
}

const temporaryReasons = { stopped: "the application is restarted", purged: "the application is purged" };

const releaseLocks = (appId: number, current: CurrentState): Step[] =>
  current.locks.has(appId) ? [{ action: "releaseLocks", appId }] : [];
