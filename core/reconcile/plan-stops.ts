import type { Difference } from "../compose/differences.ts";
import { namespaceServices, toServiceNamespaces } from "../compose/namespaces.ts";
import { isActive, type Container } from "../model/container.ts";
import type { CurrentState } from "./current.ts";
import { canHandOver, moveAside, whyLeave, type HandOverContext } from "./plan-hand-over.ts";
import { killsFirst, toKill, type Reason, type Wanted } from "./plan-judge.ts";
import { mountsVolume } from "./plan-volumes.ts";
import type { Stop } from "./step.ts";

interface StopContext extends HandOverContext {
  readonly appId: number;
  readonly wanted: readonly Wanted[];
  /** Containers that were replaced in vain and stay until the back-off ends, with the fields that differ. */
  readonly inVain: ReadonlyMap<Container, readonly Difference[]>;
  readonly current: CurrentState;
  readonly imagesComplete: boolean;
  /** Why a container without a service in the target is removed. */
  readonly whyRemove: string;
  /** Whether the containers are created again afterwards. */
  readonly again: boolean;
}

/** The containers that must stop now, with the reasons. */
export function planStops(context: StopContext): Stop[] {
  const { appId, wanted, present, leaving, networks, volumes, current, imagesComplete } = context;
  const kills = new Map<Container, Stop>();
  const kill = (container: Container, reason: Reason) => {
    const hasSuccessor = leaving.includes(container) && present.some(({ service }) => service === container.service);
    const again = context.again && !hasSuccessor;
    if (!kills.has(container)) kills.set(container, { ...toKill(container, reason), ...(again && { again }) });
  };
  /** Replaces a container because of another change. The differences are kept, so that `Repeats` counts this try too. */
  const follow = (container: Container, why: string) => {
    const differences = context.inVain.get(container);
    kill(container, { why, ...(differences && { differences }) });
  };

  for (const { service, verdict } of wanted) {
    if (verdict.is === "imageless" && verdict.container && killsFirst(service))
      kill(verdict.container, { why: `image: ${service.image.name} will be downloaded` });
    if (verdict.is === "stale" && (imagesComplete || killsFirst(service)) && !canHandOver(service, verdict, context))
      kill(verdict.container, verdict.reason);
  }
  if (imagesComplete) {
    const kept = new Set(
      wanted.flatMap(({ verdict }) => ("container" in verdict && verdict.container ? [verdict.container] : [])),
    );
    for (const container of present) if (!kept.has(container)) kill(container, { why: context.whyRemove });
    for (const network of networks.outdated)
      for (const container of [...present, ...leaving])
        if (network.name in container.spec.networks)
          follow(container, `network ${network.name} goes (${network.reason.why})`);
    for (const volume of volumes)
      for (const container of [...present, ...leaving])
        if (mountsVolume(container, volume)) follow(container, `volume ${volume.name} changes`);
    for (const container of leaving) {
      const why = whyLeave(container, wanted, current, context.appId);
      if (why) kill(container, { why });
    }
  }
  // A container loses a shared namespace when the container that owns it is removed.
  for (let found = true; found;) {
    found = false;
    for (const container of present) {
      const lost = namespaceServices(toServiceNamespaces(container.spec, present)).find((name) =>
        [...kills.keys()].some((other) => other.service === name && !leaving.includes(other)),
      );
      if (lost && !kills.has(container)) {
        follow(container, `it uses a namespace of ${lost}, which is replaced`);
        found = true;
      }
    }
  }
  return [
    ...kills.values(),
    ...wanted.flatMap(({ service, verdict }): Stop[] =>
      verdict.is === "stale" && imagesComplete && !kills.has(verdict.container)
        ? [moveAside(appId, verdict)]
        : verdict.is === "ready" &&
            !service.running &&
            isActive(verdict.container) &&
            (imagesComplete || killsFirst(service))
          ? [{ action: "stop", id: verdict.container.id, service: service.name }]
          : [],
    ),
  ];
}
