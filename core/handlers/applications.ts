import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/applications.ts";
import { failed } from "../api/fields.ts";
import { isHandingOver, parseContainerName } from "../model/names.ts";
import { covers } from "../model/scope.ts";
import { hidden } from "../model/secrets.ts";
import type { Turn } from "../model/turn.ts";
import { findApp, type App } from "../model/target.ts";
import { recreateApplication, type RecreateContext } from "../operations/recreate.ts";
import {
  containerStatuses,
  releaseInstead,
  serviceStatuses,
  stateByImage,
  updateStatus,
  withRejection,
} from "../reconcile/status.ts";
import type { Failure, View } from "../reconcile/view.ts";
import type { StateContext } from "./context.ts";

const refuse = (appId: number, outcome: Failure | { readonly is: "unknown" }) => {
  switch (outcome.is) {
    case "locked":
      return reply(423, failed(outcome.message));
    case "failed":
      return reply(503, failed(outcome.message));
    case "unknown":
      return reply(503, failed(`Application with ID ${appId} is not in the current state`));
  }
};

export async function restart(
  { body, turn }: Input<typeof api.restart>,
  context: RecreateContext,
): Promise<Reply<typeof api.restart>> {
  const outcome = await recreateApplication(context, body.appId, "stopped", { ...body, turn });
  return outcome.is === "settled" ? reply(200, "OK") : refuse(body.appId, outcome);
}

export async function purge(
  { body, turn }: Input<typeof api.purge>,
  context: RecreateContext,
): Promise<Reply<typeof api.purge>> {
  const outcome = await recreateApplication(context, body.appId, "purged", { ...body, turn });
  return outcome.is === "settled" ? reply(200, { Data: "OK", Error: "" }) : refuse(body.appId, outcome);
}

export const restartV2 = (
  { params, body, turn }: Input<typeof api.restartV2>,
  context: RecreateContext,
): Promise<Reply<typeof api.restartV2>> => recreateV2(params.appId, "stopped", { ...body, turn }, context);

export const purgeV2 = (
  { params, body, turn }: Input<typeof api.purgeV2>,
  context: RecreateContext,
): Promise<Reply<typeof api.purgeV2>> => recreateV2(params.appId, "purged", { ...body, turn }, context);

async function recreateV2(
  appId: number,
  kind: "stopped" | "purged",
  options: { readonly force: boolean; readonly turn: Turn | undefined },
  context: RecreateContext,
): Promise<Reply<typeof api.restartV2>> {
  const outcome = await recreateApplication(context, appId, kind, options);
  return outcome.is === "settled" ? reply(200, "OK") : refuse(appId, outcome);
}

// Variables that only the service itself may see.
const keyName = /^(BALENA|RESIN)_(SUPERVISOR_)?API_KEY$|_DEVICE_NAME_AT_INIT$/;

export function application(
  { params: { appId }, scope }: Input<typeof api.application>,
  { view }: Pick<StateContext, "view">,
): Reply<typeof api.application> {
  const { current, target } = view();
  const containers = current.containers.filter((container) => container.appId === appId && !isHandingOver(container));
  const services = findApp(target, appId)?.services ?? [];
  if (Math.max(containers.length, services.length) > 1)
    return reply(400, "Some v1 endpoints are only allowed on single-container apps");
  const [container] = containers;
  if (!container) return reply(400, "App not found");
  const ids = parseContainerName(container.name, container.service);
  return reply(200, {
    appId,
    commit: ids?.commit ?? "",
    containerId: container.id,
    env: Object.fromEntries(
      Object.entries(container.spec.environment)
        .filter(([name]) => !keyName.test(name))
        .map(([name, value]) => [name, scope.secrets === "none" ? hidden : value]),
    ),
    imageId: container.spec.image,
    releaseId: ids?.releaseId ?? 0,
  });
}

export function applicationsState(
  { scope }: Input<typeof api.applicationsState>,
  { view, memory, targets }: StateContext,
): Reply<typeof api.applicationsState> {
  const apps = targets.current().apps.filter(({ appId }) => covers(scope, appId));
  return reply(200, Object.fromEntries(apps.map((app) => [app.name, stateOf(app, view(), memory.activity)])));
}

export function stateOf(target: App, view: View, activity: ReadonlyMap<string, string>) {
  const app = releaseInstead(target, view);
  const containers = containerStatuses(app.appId, view, activity);
  // Containers of this release whose service the target state no longer has.
  const others = containers
    .filter(
      ({ commit, container }) => commit === app.commit && !app.services.some(({ name }) => name === container.service),
    )
    .map(({ container, status, releaseId }) => ({
      name: container.service,
      status,
      image: container.spec.image,
      downloadProgress: null,
      releaseId,
    }));
  const services = [...serviceStatuses(app, view, activity, containers), ...others].map(
    ({ name, status, image, downloadProgress, releaseId }) =>
      [name, { status, image, downloadProgress, releaseId }] as const,
  );
  return {
    appId: app.appId,
    appUuid: app.uuid,
    commit: app.commit,
    updateStatus: updateStatus(withRejection(target, view.current), view),
    services: Object.fromEntries(services),
  };
}

export function applicationState(
  { params: { appId } }: Input<typeof api.applicationState>,
  context: StateContext,
): Reply<typeof api.applicationState> {
  const { memory, targets } = context;
  const view = context.view();
  const target = findApp(targets.current(), appId);
  const app = target && releaseInstead(target, view);
  const containers = containerStatuses(appId, view, memory.activity);
  const wanted = app ? serviceStatuses(app, view, memory.activity, containers) : [];
  const services = stateByImage(appId, view, containers, wanted);
  if (!app && Object.keys(services).length === 0) return reply(409, failed(`Application ID does not exist: ${appId}`));
  const commit = memory.commitOf(appId);
  return reply(200, {
    local: { [appId]: { services } },
    dependent: {},
    ...(commit !== undefined && { commit }),
  });
}
