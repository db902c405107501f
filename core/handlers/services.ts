import type { Reached } from "../reconcile/view.ts";
import { reply, type Input, type Reply } from "../api/endpoint.ts";
import * as api from "../api/device/services.ts";
import { failed } from "../api/fields.ts";
import { withLocks } from "../operations/locks.ts";
import type { Container } from "../model/container.ts";
import { isHandingOver, parseContainerName, serviceKey } from "../model/names.ts";
import { covers } from "../model/scope.ts";
import { findApp } from "../model/target.ts";
import type { CurrentState } from "../reconcile/current.ts";
import type { Supervisor } from "../supervisor.ts";

type Found =
  | { readonly is: "found"; readonly container: Container; readonly current: CurrentState }
  | { readonly is: "noApp" | "several" | "noService" };

/** The container that a request means. With one service in the application, any name means that one. */
async function find(
  { loop, targets }: Supervisor,
  appId: number,
  wanted?: { readonly serviceName?: string | null | undefined; readonly imageId?: number | null | undefined },
): Promise<Found> {
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

type Action = "start" | "stop" | "restart";

/** Does it while the loop leaves the application alone. Only what stops something needs the locks. */
async function act(
  supervisor: Supervisor,
  action: Action,
  { container, current }: { container: Container; current: CurrentState },
  force: boolean,
): Promise<Reached> {
  const { loop, applier, memory, targets, events } = supervisor;
  const { appId, id, service } = container;
  const wanted = findApp(targets.current(), appId)?.services.find(({ name }) => name === service);
  if (action === "start" && wanted?.running === false) {
    // Recorded: 200, and it stays as it is. Started, it would be stopped by the next look.
    events.emit({ kind: "serviceNotStarted", appId, service });
    return { is: "settled" };
  }
  const siblings = current.containers.filter((one) => one.appId === appId);
  const outcome = await loop.exclusively(appId, async () => {
    if (action === "start") return applier.start(id, current);
    return withLocks(supervisor, siblings, { force }, async () => {
      if (action === "restart") return applier.kill(id, current, "a restart was asked for", { again: true });
      await applier.stop(id, current);
      // Stopped on purpose: it stays so until the agent restarts.
      memory.seen.add(id);
      await memory.setStopped(serviceKey(appId, service), true);
    });
  });
  if (outcome?.is === "locked") return outcome;
  return action === "restart" ? loop.reached(appId, { force }) : { is: "settled" };
}

async function v1(
  action: "start" | "stop",
  { params: { appId }, body }: Input<typeof api.start>,
  supervisor: Supervisor,
): Promise<Reply<typeof api.start>> {
  const found = await find(supervisor, appId);
  switch (found.is) {
    case "noApp":
    case "noService":
      return reply(400, api.appNotFound);
    case "several":
      return reply(400, api.noService);
    case "found": {
      const outcome = await act(supervisor, action, found, body.force);
      return outcome.is === "settled" ? reply(200, { containerId: found.container.id }) : refuse(outcome);
    }
  }
}

async function v2(
  action: Action,
  { params: { appId }, body }: Input<typeof api.startService>,
  supervisor: Supervisor,
): Promise<Reply<typeof api.startService>> {
  const { serviceName, imageId, force } = body;
  if (!serviceName && (imageId === undefined || imageId === null)) return reply(400, api.noService);
  const found = await find(supervisor, appId, { serviceName, imageId });
  switch (found.is) {
    case "noApp":
      return reply(404, api.appNotFound);
    case "noService":
    case "several":
      return reply(404, api.serviceNotFound);
    case "found": {
      const outcome = await act(supervisor, action, found, force);
      return outcome.is === "settled" ? reply(200, "OK") : refuse(outcome);
    }
  }
}

const refuse = (outcome: Exclude<Reached, { readonly is: "settled" }>) =>
  outcome.is === "locked" ? reply(423, failed(outcome.message)) : reply(503, failed(outcome.message));

export const start = (input: Input<typeof api.start>, supervisor: Supervisor) => v1("start", input, supervisor);
export const stop = (input: Input<typeof api.stop>, supervisor: Supervisor) => v1("stop", input, supervisor);
export const startService = (input: Input<typeof api.startService>, supervisor: Supervisor) =>
  v2("start", input, supervisor);
export const stopService = (input: Input<typeof api.stopService>, supervisor: Supervisor) =>
  v2("stop", input, supervisor);
export const restartService = (input: Input<typeof api.restartService>, supervisor: Supervisor) =>
  v2("restart", input, supervisor);

export function containerId(
  { params, scope }: Input<typeof api.containerId>,
  supervisor: Supervisor,
): Reply<typeof api.containerId> {
  const containers = supervisor
    .view()
    .current.containers.filter((one) => covers(scope, one.appId) && !isHandingOver(one));
  const name = params.service ?? params.serviceName;
  if (!name)
    return reply(200, {
      status: "success",
      services: Object.fromEntries(containers.map(({ service, id }) => [service, id])),
    });
  const container = containers.find(({ service }) => service === name);
  return container
    ? reply(200, { status: "success", containerId: container.id })
    : reply(503, failed("Could not find service with that name"));
}
