import type { Reached } from "../reconcile/view.ts";
import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/applications.ts";
import { failed } from "../api/fields.ts";
import { isHandingOver, parseContainerName } from "../model/names.ts";
import { covers } from "../model/scope.ts";
import { hidden } from "../model/secrets.ts";
import { findApp, type App } from "../model/target.ts";
import {
  type ContainerStatus,
  containerStatuses,
  serviceStatuses,
  stateByImage,
  updateStatus,
} from "../reconcile/status.ts";
import type { Supervisor } from "../supervisor.ts";

type Again = Reached | { readonly is: "unknown" };

async function recreate(
  { loop, targets, events }: Supervisor,
  appId: number,
  kind: "stopped" | "purged",
  force: boolean,
): Promise<Again> {
  if (!findApp(targets.current(), appId)) return { is: "unknown" };
  if (kind === "purged") events.emit({ kind: "purging", appId, cause: "request" });
  const reached = await loop.recreate(appId, kind, { force });
  if (kind === "purged" && reached.is === "settled") events.emit({ kind: "purged", appId });
  return reached;
}

const refuse = (appId: number, outcome: Exclude<Again, { readonly is: "settled" }>) => {
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
  { body }: Input<typeof api.restart>,
  supervisor: Supervisor,
): Promise<Reply<typeof api.restart>> {
  const outcome = await recreate(supervisor, body.appId, "stopped", body.force);
  return outcome.is === "settled" ? reply(200, "OK") : refuse(body.appId, outcome);
}

export async function purge(
  { body }: Input<typeof api.purge>,
  supervisor: Supervisor,
): Promise<Reply<typeof api.purge>> {
  const outcome = await recreate(supervisor, body.appId, "purged", body.force);
  return outcome.is === "settled" ? reply(200, { Data: "OK", Error: "" }) : refuse(body.appId, outcome);
}

export async function restartV2(
  { params, body }: Input<typeof api.restartV2>,
  supervisor: Supervisor,
): Promise<Reply<typeof api.restartV2>> {
  const outcome = await recreate(supervisor, params.appId, "stopped", body.force);
  return outcome.is === "settled" ? reply(200, "OK") : refuse(params.appId, outcome);
}

export async function purgeV2(
  { params, body }: Input<typeof api.purgeV2>,
  supervisor: Supervisor,
): Promise<Reply<typeof api.purgeV2>> {
  const outcome = await recreate(supervisor, params.appId, "purged", body.force);
  return outcome.is === "settled" ? reply(200, "OK") : refuse(params.appId, outcome);
}

// What a service is told in its environment, but nobody else should be.
const keyName = /^(BALENA|RESIN)_(SUPERVISOR_)?API_KEY$|_DEVICE_NAME_AT_INIT$/;

export function application(
  { params: { appId }, scope }: Input<typeof api.application>,
  supervisor: Supervisor,
): Reply<typeof api.application> {
  const { current, target } = supervisor.view();
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
  supervisor: Supervisor,
): Reply<typeof api.applicationsState> {
  const view = supervisor.view();
  const { activity } = supervisor.memory;
  const target = supervisor.targets.current();
  const apps = target.apps.filter(({ appId }) => covers(scope, appId));
  // What is still there of this release, and is no longer wanted; what is of another one says nothing about this.
  const others = (app: App, containers: readonly ContainerStatus[]) =>
    containers
      .filter(
        ({ commit, container }) =>
          commit === app.commit && !app.services.some(({ name }) => name === container.service),
      )
      .map(({ container, ...one }) => ({
        ...one,
        name: container.service,
        image: container.spec.image,
        downloadProgress: null,
      }));
  const stateOf = (app: App) => {
    const containers = containerStatuses(app.appId, view, activity);
    const services = [...serviceStatuses(app, view, activity, containers), ...others(app, containers)];
    return {
      appId: app.appId,
      appUuid: app.uuid,
      commit: app.commit,
      updateStatus: updateStatus(app, view),
      services: Object.fromEntries(
        services.map(({ name, status, image, downloadProgress, releaseId }) => [
          name,
          { status, image, downloadProgress, releaseId },
        ]),
      ),
    };
  };
  return reply(200, Object.fromEntries(apps.map((app) => [app.name, stateOf(app)])));
}

export function applicationState(
  { params: { appId } }: Input<typeof api.applicationState>,
  supervisor: Supervisor,
): Reply<typeof api.applicationState> {
  const { memory, targets } = supervisor;
  const app = findApp(targets.current(), appId);
  const view = supervisor.view();
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
