import { toContainerSpec } from "../compose/container-spec.ts";
import { describeDifference, differences, type Difference } from "../compose/differences.ts";
import { namespaceServices, toServiceNamespaces } from "../compose/namespaces.ts";
import { isActive, type Container, type ContainerSpec } from "../model/container.ts";
import { findImage } from "../model/image.ts";
import { sameJson } from "../model/json.ts";
import { isHandingOver, serviceKey } from "../model/names.ts";
import type { App, Service } from "../model/target.ts";
import type { CurrentState } from "./current.ts";
import { waitIfInVain } from "./plan-repeats.ts";
import type { Step, Stop } from "./step.ts";

/** The result of comparing the container of a service with its target. */
export type Verdict =
  | { readonly is: "absent"; readonly spec: ContainerSpec }
  /** The image is missing, so the spec is not known. An existing container is outdated. */
  | { readonly is: "imageless"; readonly container: Container | undefined }
  | { readonly is: "stale"; readonly container: Container; readonly spec: ContainerSpec; readonly reason: Reason }
  | { readonly is: "ready"; readonly container: Container };

/** Why something must be removed: the text for the log, and the fields that differ. */
export interface Reason {
  readonly why: string;
  readonly differences?: readonly Difference[];
}

export interface Wanted {
  readonly service: Service;
  readonly verdict: Verdict;
  /** The service's container that was moved aside, if it still runs and is what the target wants. It is taken back. */
  readonly takenBack?: Container;
  /** The container that has been created for the service, and that starts when its predecessor is gone. */
  readonly prepared?: Container;
}

export const killsFirst = ({ strategy }: Service): boolean =>
  strategy === "kill-then-download" || strategy === "delete-then-download";

export function judge(service: Service, app: App, present: readonly Container[], current: CurrentState): Wanted {
  const own = present.filter((container) => container.service === service.name);
  const image = findImage(current.images, service.image.name);
  const config = image && current.imageConfigs.get(image.id);
  if (!image || !config) return { service, verdict: { is: "imageless", container: own[0] } };

  const apiKey = current.apiKeys.get(serviceKey(app.appId, service.name)) ?? "";
  const spec = toContainerSpec(service, app, current.device, { id: image.id, config }, apiKey);
  const judged = own.map((container) => ({ container, reason: whyReplace(container, spec, present, current) }));
  const best = judged.find(({ reason }) => reason === undefined) ?? judged[0];
  // In local mode, in which no update is tried, everything is as it always was.
  const takenBack =
    service.running && current.updates.has(app.appId) ? findAside(service, app, spec, present, current) : undefined;
  const prepared =
    mayPrepare(spec, current) &&
    current.prepared.find(
      (one) => one.appId === app.appId && one.service === service.name && !whyReplace(one, spec, present, current),
    );
  const wanted = { service, ...(takenBack && { takenBack }), ...(prepared && { prepared }) };
  if (!best) return { ...wanted, verdict: { is: "absent", spec } };
  const { container, reason } = best;
  return reason
    ? { ...wanted, verdict: { is: "stale", container, spec, reason } }
    : { service, verdict: { is: "ready", container } };
}

/** Whether a container may exist beside its predecessor. A shared namespace is that of one container. */
export const mayPrepare = (spec: ContainerSpec, { createsFirst }: CurrentState): boolean =>
  createsFirst !== undefined &&
  namespaceServices(spec).length === 0 &&
  !spec.mounts.some(({ type, source }) => type === "volume" && createsFirst.without.has(source));

/** A container that was moved aside has lost its restart policy. Nothing else of it has changed. */
const findAside = (
  service: Service,
  app: App,
  spec: ContainerSpec,
  present: readonly Container[],
  current: CurrentState,
): Container | undefined =>
  current.containers.find((one) => {
    if (one.appId !== app.appId || one.service !== service.name || !isHandingOver(one)) return false;
    const { restart } = spec;
    return (
      one.state === "running" &&
      whyReplace({ ...one, spec: { ...one.spec, restart } }, spec, present, current) === undefined
    );
  });

/**
 * Treats a container that was recently replaced in vain as ready. Other containers then do not wait for its replacement,
 * and are not replaced with it.
 */
export function keepInVain(judged: readonly Wanted[], appId: number, current: CurrentState) {
  const waits: Step[] = [];
  const differencesOf = new Map<Container, readonly Difference[]>();
  const wanted = judged.map((one): Wanted => {
    const { verdict } = one;
    const wait = verdict.is === "stale" && waitIfInVain(toKill(verdict.container, verdict.reason), appId, current);
    if (!wait) return one;
    waits.push(wait);
    differencesOf.set(verdict.container, verdict.reason.differences ?? []);
    return { ...one, verdict: { is: "ready", container: verdict.container } };
  });
  return { wanted, waits, differencesOf };
}

export const toKill = ({ id, service }: Container, reason: Reason): Stop => ({
  action: "kill",
  id,
  service,
  ...reason,
});

/**
 * What containerd and runc say if the engine ended while it started the container. It says so at each start, and the engine
 * does not clean up.
 */
const leftoverError = /\b(?:task [0-9a-f]+:?|container with given ID) already exists/;

/** Why the container must be replaced, with the old and new values; undefined when it can stay. */
function whyReplace(
  container: Container,
  spec: ContainerSpec,
  present: readonly Container[],
  current: CurrentState,
): Reason | undefined {
  if (container.state === "dead") return { why: "the engine could not remove it" };
  if (!isActive(container) && leftoverError.test(container.error))
    return { why: "the engine still has a task of it, and cannot start it" };
  const tolerated = current.tolerated.get(container.id) ?? [];
  return toReason(
    differences(toServiceNamespaces(container.spec, present), spec).filter(
      (difference) => !tolerated.some((one) => sameJson(one, difference)),
    ),
  );
}

export const toReason = (found: readonly Difference[]): Reason | undefined =>
  found.length > 0 ? { why: found.map(describeDifference).join("; "), differences: found } : undefined;

/** The spec that the service's container has, or will have. */
export const specOf = (verdict: Exclude<Verdict, { is: "imageless" }>): ContainerSpec =>
  verdict.is === "ready" ? verdict.container.spec : verdict.spec;
