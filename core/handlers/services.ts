import { reply, type Input, type Reply } from "../api/endpoint.ts";
import * as api from "../api/device/services.ts";
import { failed } from "../api/fields.ts";
import { isHandingOver } from "../model/names.ts";
import { covers } from "../model/scope.ts";
import { controlService, findService, type ServiceAction, type ServiceContext } from "../operations/services.ts";
import type { Failure, View } from "../reconcile/view.ts";

async function v1(
  action: "start" | "stop",
  { params: { appId }, body, turn }: Input<typeof api.start>,
  context: ServiceContext,
): Promise<Reply<typeof api.start>> {
  const found = await findService(context, appId);
  switch (found.is) {
    case "noApp":
    case "noService":
      return reply(400, api.appNotFound);
    case "several":
      return reply(400, api.noService);
    case "found": {
      const outcome = await controlService(context, action, found, { ...body, turn });
      return outcome.is === "settled" ? reply(200, { containerId: found.container.id }) : refuse(outcome);
    }
  }
}

async function v2(
  action: ServiceAction,
  { params: { appId }, body, turn }: Input<typeof api.startService>,
  context: ServiceContext,
): Promise<Reply<typeof api.startService>> {
  const { serviceName, imageId } = body;
  if (!serviceName && (imageId === undefined || imageId === null)) return reply(400, api.noService);
  const found = await findService(context, appId, { serviceName, imageId });
  switch (found.is) {
    case "noApp":
      return reply(404, api.appNotFound);
    case "noService":
    case "several":
      return reply(404, api.serviceNotFound);
    case "found": {
      const outcome = await controlService(context, action, found, { ...body, turn });
      return outcome.is === "settled" ? reply(200, "OK") : refuse(outcome);
    }
  }
}

const refuse = ({ is, message }: Failure) =>
  is === "locked" ? reply(423, failed(message)) : reply(503, failed(message));

export const start = (input: Input<typeof api.start>, context: ServiceContext) => v1("start", input, context);
export const stop = (input: Input<typeof api.stop>, context: ServiceContext) => v1("stop", input, context);
export const startService = (input: Input<typeof api.startService>, context: ServiceContext) =>
  v2("start", input, context);
export const stopService = (input: Input<typeof api.stopService>, context: ServiceContext) =>
  v2("stop", input, context);
export const restartService = (input: Input<typeof api.restartService>, context: ServiceContext) =>
  v2("restart", input, context);

export function containerId(
  { params, scope }: Input<typeof api.containerId>,
  { view }: { readonly view: () => View },
): Reply<typeof api.containerId> {
  const containers = view().current.containers.filter((one) => covers(scope, one.appId) && !isHandingOver(one));
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
