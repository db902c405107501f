import type { EventSink } from "../events/events.ts";
import type { Container } from "../model/container.ts";
import { isHandingOver, parseContainerName, serviceKey } from "../model/names.ts";
import type { Turn } from "../model/turn.ts";
import { findApp } from "../model/target.ts";
import type { Applier } from "../reconcile/apply.ts";
import type { CurrentState } from "../reconcile/current.ts";
import type { Loop } from "../reconcile/loop.ts";
import type { Reached } from "../reconcile/view.ts";
import type { Memory } from "../state/memory.ts";
import { withLocks, type LockContext } from "./locks.ts";

export interface ServiceContext extends LockContext {
  readonly loop: Pick<Loop, "look" | "exclusively" | "reached">;
  readonly applier: Pick<Applier, "start" | "stop" | "kill">;
  readonly memory: Pick<Memory, "markSeen" | "setStopped">;
  readonly events: EventSink;
}

export type FoundService =
  | { readonly is: "found"; readonly container: Container; readonly current: CurrentState }
  | { readonly is: "noApp" | "several" | "noService" };

/** The container that a request names. In an application with one service, any name means that one. */
export async function findService(
  { loop, targets }: Pick<ServiceContext, "loop" | "targets">,
  appId: number,
  wanted?: { readonly serviceName?: string | null | undefined; readonly imageId?: number | null | undefined },
): Promise<FoundService> {
  const { current } = await loop.look({ fresh: false });
  const containers = current.containers.filter((container) => container.appId === appId && !isHandingOver(container));
  const services = findApp(targets.current(), appId)?.services ?? [];
  if (containers.length === 0 && services.length === 0) return { is: "noApp" };
  const single = services.length <= 1 && containers.length <= 1;
  if (!single && !wanted) return { is: "several" };
  const matches = ({ service, name }: Container) =>
    service === wanted?.serviceName || parseContainerName(name, service)?.imageId === wanted?.imageId;
  const container = single ? containers[0] : containers.find(matches);
  return container ? { is: "found", container, current } : { is: "noService" };
}

export type ServiceAction = "start" | "stop" | "restart";

/** Acts on a service while the loop leaves its application alone. Only what stops it needs the locks. */
export async function controlService(
  context: ServiceContext,
  action: ServiceAction,
  { container, current }: Extract<FoundService, { readonly is: "found" }>,
  { force, turn }: { readonly force: boolean; readonly turn?: Turn | undefined },
): Promise<Reached> {
  const { loop, applier, memory, targets, events } = context;
  const { appId, id, service } = container;
  const wanted = findApp(targets.current(), appId)?.services.find(({ name }) => name === service);
  if (action === "start" && wanted?.running === false) {
    // Recorded: 200, and the service stays stopped. The next plan would stop it again.
    events.emit({ kind: "serviceNotStarted", appId, service });
    return { is: "settled" };
  }
  const siblings = current.containers.filter((one) => one.appId === appId);
  const outcome = await loop.exclusively(appId, async () => {
    turn?.take();
    if (action === "start") return applier.start(id, current);
    return withLocks(context, siblings, { force }, async () => {
      if (action === "restart") return applier.kill(id, current, "a restart was asked for", { again: true });
      await applier.stop(id, current);
      // The service stays stopped until the agent restarts.
      memory.markSeen(id);
      await memory.setStopped(serviceKey(appId, service), true);
    });
  });
  if (outcome?.is === "locked") return outcome;
  return action === "restart" ? loop.reached(appId, { force }) : { is: "settled" };
}
