import { namespaceServices, namespaceServicesOf } from "../compose/namespaces.ts";
import type { Container, ContainerSpec } from "../model/container.ts";
import { containerName, serviceKey, volumeName } from "../model/names.ts";
import type { App, Dependency, Service } from "../model/target.ts";
import type { CurrentState } from "./current.ts";
import { killsFirst, type Wanted } from "./plan-judge.ts";
import type { Step } from "./step.ts";

export function planStart(
  { service, verdict, takenBack, prepared }: Wanted,
  app: App,
  wanted: readonly Wanted[],
  current: CurrentState,
): Step[] {
  const name = containerName(service.name, service.imageId, app.releaseId, app.commit);
  switch (verdict.is) {
    case "imageless":
    case "stale":
      return [];
    case "ready": {
      const { container } = verdict;
      if (service.running && mustStart(container, current)) {
        const obstacle = missingPrerequisite(service, app, wanted);
        return obstacle ? [obstacle] : [{ action: "start", id: container.id, service: service.name }];
      }
      return container.name === name ? [] : [{ action: "rename", id: container.id, service: service.name, name }];
    }
    case "absent": {
      const { spec } = verdict;
      if (takenBack) {
        const { id } = takenBack;
        return [{ action: "takeBack", appId: app.appId, id, service: service.name, name, restart: spec.restart }];
      }
      const obstacle = missingResource(spec, current, app) ?? missingPrerequisite(service, app, wanted);
      if (obstacle) return [obstacle];
      if (!prepared)
        return [{ action: "install", appId: app.appId, service: service.name, name, spec, start: service.running }];
      const { id } = prepared;
      if (!service.running) return [{ action: "rename", id, service: service.name, name }];
      return [{ action: "start", id, service: service.name, as: { appId: app.appId, name } }];
    }
  }
}

/** A wait for the first missing network or volume that a container needs. */
export function missingResource(
  { networks, mounts }: ContainerSpec,
  current: CurrentState,
  app: App,
): Step | undefined {
  const network = Object.keys(networks).find((one) => !current.networks.some((other) => other.name === one));
  if (network) return { action: "wait", reason: `network ${network}` };
  const volume = Object.keys(app.volumes)
    .map((name) => volumeName(app.appId, name))
    .find(
      (name) =>
        mounts.some(({ type, source }) => type === "volume" && source === name) &&
        !current.volumes.some((other) => other.name === name),
    );
  return volume ? { action: "wait", reason: `volume ${volume}` } : undefined;
}

/** Creates a container again, with its old spec, that a restart removed while the new image is being downloaded. */
export function planInterrupted(
  { service, verdict }: Wanted,
  app: App,
  present: readonly Container[],
  current: CurrentState,
): Step[] {
  const before = current.interrupted.get(serviceKey(app.appId, service.name));
  if (verdict.is !== "imageless" || verdict.container || killsFirst(service) || !before) return [];
  if (!current.images.some(({ id }) => id === before.spec.image)) return [];
  // The restart stopped the container but could not remove it.
  if (current.containers.some(({ name }) => name === before.name)) return [];
  const owners = namespaceServices(before.spec);
  const owner = owners.find((name) => !present.some((other) => other.service === name && other.state === "running"));
  const obstacle: Step | undefined = owner
    ? { action: "wait", reason: `${owner} to run, whose namespace ${service.name} uses` }
    : missingResource(before.spec, current, app);
  const { name, spec } = before;
  return [
    obstacle ?? { action: "install", appId: app.appId, service: service.name, name, spec, start: service.running },
  ];
}

/** After the agent was killed, the engine may take this long to finish stops that the agent had requested. */
const stopDelayMs = 30_000;

/**
 * Whether the agent starts a container that does not run. It does if the container was never started, or if it stopped
 * before this run of the agent (or just after the last run was killed) and did not finish by itself. A container that
 * stops later was stopped on purpose, or the engine restarts it.
 */
function mustStart(container: Container, current: CurrentState): boolean {
  const { id, state, startedAt, finishedAt, exitCode } = container;
  if (state === "created") return true;
  if (state !== "exited") return false;
  const key = serviceKey(container.appId, container.service);
  const begun = current.runningSinceBySetClock ?? current.runningSince;
  const endedSoon =
    finishedAt < current.runningSince + stopDelayMs || (finishedAt >= begun && finishedAt < begun + stopDelayMs);
  // What has started in the future has started before the clock was set back.
  const startedBefore = startedAt < current.runningSince || startedAt > current.now;
  const interrupted = startedBefore && endedSoon && !current.stoppedNow.has(key);
  if (current.seen.has(id) && !interrupted) return false;
  const { restart } = container.spec;
  // Exit codes of SIGTERM and SIGKILL: the container was stopped and did not finish by itself.
  const wasStopped = exitCode === 128 + 15 || exitCode === 128 + 9;
  const finished = (restart.name === "no" && !wasStopped) || (restart.name === "on-failure" && exitCode === 0);
  return !finished || startedAt < current.bootedAt || current.stoppedBefore.has(key);
}

/** A wait for the first prerequisite that is not met. */
function missingPrerequisite(service: Service, app: App, wanted: readonly Wanted[]): Step | undefined {
  const find = (name: string) => {
    const verdict = wanted.find((one) => one.service.name === name)?.verdict;
    return verdict?.is === "ready" ? verdict.container : undefined;
  };
  for (const name of namespaceServicesOf(service, app))
    if (find(name)?.state !== "running")
      return { action: "wait", reason: `${name} to run, whose namespace ${service.name} uses` };
  for (const { service: name, condition } of service.dependsOn) {
    const container = find(name);
    const reason = container ? unfulfilled(container, condition) : `${name} to start`;
    if (reason) return { action: "wait", reason: `${reason}, on which ${service.name} depends` };
  }
  return undefined;
}

function unfulfilled(container: Container, condition: Dependency["condition"]): string | undefined {
  const { service, state, startedAt, health, exitCode } = container;
  switch (condition) {
    case "service_started":
      return startedAt > 0 && state !== "created" ? undefined : `${service} to start`;
    case "service_healthy":
      // A container without a healthcheck counts as healthy when it has started.
      if (container.spec.healthcheck === null) return startedAt > 0 ? undefined : `${service} to start`;
      return health === "healthy" ? undefined : `${service} to become healthy (now ${health ?? state})`;
    case "service_completed_successfully":
      if (state === "exited" && startedAt > 0 && exitCode === 0) return undefined;
      return `${service} to complete successfully${state === "exited" ? ` (it exited with ${exitCode})` : ""}`;
  }
}
