import { namespaceServices, toServiceNamespaces } from "../compose/namespaces.ts";
import { fixedHostPorts } from "../compose/ports.ts";
import { isActive, type Container, type ContainerSpec } from "../model/container.ts";
import { handOverName, serviceKey } from "../model/names.ts";
import type { Volume } from "../model/network.ts";
import type { Service } from "../model/target.ts";
import type { CurrentState } from "./current.ts";
import { specOf, type Verdict, type Wanted } from "./plan-judge.ts";
import type { OutdatedNetwork } from "./plan-networks.ts";
import { mountsVolume } from "./plan-volumes.ts";
import type { Step, Stop } from "./step.ts";

export interface HandOverContext {
  readonly present: readonly Container[];
  /** Containers that were moved aside. */
  readonly leaving: readonly Container[];
  readonly networks: { readonly outdated: readonly OutdatedNetwork[] };
  /** Volumes that must be created again. */
  readonly volumes: readonly Volume[];
}

type Stale = Extract<Verdict, { readonly is: "stale" }>;

export const moveAside = (appId: number, { container: { id, name, service }, reason }: Stale): Stop => ({
  action: "moveAside",
  appId,
  id,
  service,
  name: handOverName(name),
  ...reason,
});

/** Whether the successor can run beside the old container, as `hand-over` requires. */
export function canHandOver(
  service: Service,
  { container, spec }: Stale,
  { leaving, networks, volumes, present }: HandOverContext,
): boolean {
  return (
    service.strategy === "hand-over" &&
    service.running &&
    container.state === "running" &&
    !leaving.some((other) => other.service === service.name) &&
    !networks.outdated.some(({ name }) => name in container.spec.networks) &&
    !volumes.some((volume) => mountsVolume(container, volume)) &&
    !present.some((other) => namespaceServices(toServiceNamespaces(other.spec, present)).includes(service.name)) &&
    !areInConflict(container.spec, spec)
  );
}

/** Whether two containers need the same port of the host, or the same address. */
function areInConflict(one: ContainerSpec, other: ContainerSpec): boolean {
  const both = (a: readonly string[], b: readonly string[]) => a.some((need) => need !== "" && b.includes(need));
  const addresses = (of: ContainerSpec) => Object.values(of.networks).flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]);
  return both(fixedHostPorts(one.ports), fixedHostPorts(other.ports)) || both(addresses(one), addresses(other));
}

/** Why a container that was moved aside is removed now; undefined while it must stay. */
export function whyLeave(
  container: Container,
  wanted: readonly Wanted[],
  current: CurrentState,
  appId: number,
): string | undefined {
  const successor = wanted.find(({ service }) => service.name === container.service);
  if (!successor) return "no longer in the target state";
  if (!isActive(container)) return "it has ended by itself";
  const { verdict, service } = successor;
  if (successor.takenBack === container) return undefined;
  if (!service.running) return "the target state says `running: false`";
  // A new target state may have caused this conflict after the hand-over began.
  if (verdict.is !== "imageless" && areInConflict(container.spec, specOf(verdict)))
    return "its successor needs its port or address";
  if (verdict.is !== "ready" || verdict.container.state !== "running" || verdict.container.health === "unhealthy")
    return undefined;
  // The time to hand over is no reason to remove a container that serves while its successor may not.
  if (isUnproven(service, appId, current)) return undefined;
  if (current.takenOver.has(serviceKey(appId, service.name))) return "its successor has taken over";
  // The time of its start is on the wall clock, which may have been set since.
  const { upForMs = 0 } = current.watch.get(verdict.container.id) ?? {};
  return upForMs >= service.handoverTimeoutMs ? "the time to hand over is up" : undefined;
}

const handOverPollMs = 100;

const isUnproven = ({ name }: Service, appId: number, { unproven }: CurrentState): boolean =>
  unproven?.has(serviceKey(appId, name)) ?? false;

/** Polls for the signal that the successor has taken over, but only while that decides: it does not for an unhealthy one. */
export function waitForHandOver(
  { service, verdict, takenBack }: Wanted,
  leaving: readonly Container[],
  current: CurrentState,
  appId: number,
): Step[] {
  if (takenBack || !leaving.some((container) => container.service === service.name)) return [];
  if (isUnproven(service, appId, current)) return [{ action: "wait", reason: `the gates of ${service.name} to open` }];
  const ask =
    verdict.is === "ready" && verdict.container.state === "running" && verdict.container.health !== "unhealthy";
  return [{ action: "wait", reason: `${service.name} to take over`, ...(ask && { recheckMs: handOverPollMs }) }];
}

export const isNear = (step: Step): boolean => step.action === "wait" && step.recheckMs !== undefined;
