import { isActive, type Container } from "../model/container.ts";
import { showDuration } from "../model/duration.ts";
import type { Healthcheck } from "../model/image.ts";
import { isHandingOver, serviceKey } from "../model/names.ts";
import { toMessage } from "../model/problem.ts";
import { redact } from "../model/secrets.ts";
import type { App, Service } from "../model/target.ts";
import type { GateKind, GateState, GateVerdict, WatchedContainer, WatchFacts } from "../model/update.ts";

/** What the services and the cloud have said since the update began. */
interface Told {
  /** The names of the services that have confirmed the update. */
  readonly confirmed: readonly string[];
  /** Undefined: the cloud was not reached before the update either. */
  readonly cloudReached: boolean | undefined;
  /** Services that were stopped through the API, as `serviceKey`. */
  readonly stoppedNow: ReadonlySet<string>;
}

/** All gates of all services of a release. */
export function judgeGates(
  app: App,
  present: readonly Container[],
  watch: WatchFacts,
  told: Told,
): readonly GateState[] {
  const isAppGated = isGated(app, present);
  return app.services.flatMap((service) => {
    const container = containerOf(app, service, present);
    const watched = (container && watch.get(container.id)) ?? unwatched;
    const subject = { app, service, container, watched, told, isAppGated };
    return gatesOf(subject).map(({ gate, ...verdict }) => ({ service: service.name, gate, ...verdict }));
  });
}

/** Whether the release asks for more than that its services start. */
export const isGated = (app: App, present: readonly Container[]): boolean => gatedServices(app, present).length > 0;

/** The names of the services with a healthcheck, in the composition or in the image, or with a gate's word. */
export const gatedServices = (app: App, present: readonly Container[]): readonly string[] =>
  app.services.filter((service) => isServiceGated(service, containerOf(app, service, present))).map(({ name }) => name);

/** The time from the first stop until every gate must be open: what the release says, but enough for its healthchecks and hand-overs. */
export function deadlineOf(app: App, present: readonly Container[]): number {
  const needed = app.services.map((service) => {
    const container = containerOf(app, service, present);
    const handOverMs = service.strategy === "hand-over" ? service.handoverTimeoutMs : 0;
    const provenMs = healthcheckMs(healthcheckOf(service, container)) + monitorOf(service, container);
    return Math.max(provenMs, handOverMs) + slackMs;
  });
  return Math.max(app.update?.deadlineMs ?? defaultDeadlineMs, ...needed);
}

/** The time until the first gate opens if nothing changes; undefined if only an event can open one. */
export function recheckMs(gates: readonly GateState[]): number | undefined {
  const due = gates.flatMap((one) => (one.is === "closed" && one.opensInMs !== undefined ? [one.opensInMs] : []));
  return due.length > 0 ? Math.min(...due) : undefined;
}

const defaultDeadlineMs = 300_000;
/** For the start of the container, and for a slow machine. */
const slackMs = 30_000;
const defaultMonitorMs = 10_000;
/**
 * A service does not stay up if it has exited this often, and over its monitoring time: before, it may only have waited for
 * another one, such as its database. A long monitoring time does not make a crash loop last.
 */
const mostExits = 3;
const longestExitsMs = 30_000;

const unwatched: WatchedContainer = { upForMs: 0, exits: 0 };

interface Subject {
  readonly app: App;
  readonly service: Service;
  readonly container: Container | undefined;
  readonly watched: WatchedContainer;
  readonly told: Told;
  readonly isAppGated: boolean;
}

const open: GateVerdict = { is: "open" };
const closed = (detail: string) => ({ is: "closed", detail }) as const;

function gatesOf(subject: Subject): readonly (GateVerdict & { readonly gate: GateKind })[] {
  const { app, service, container, told } = subject;
  if (!service.running) return [{ gate: "started", ...(container ? open : closed("has no container yet")) }];
  // A person has stopped it. The update goes on without it.
  if (told.stoppedNow.has(serviceKey(app.appId, service.name))) return [{ gate: "started", ...open }];
  const { http, confirm, cloud } = service.gates ?? {};
  const started = [{ gate: "started" as const, ...judgeStarted(subject) }];
  const said = [
    ...(confirm ? [{ gate: "confirm" as const, ...judgeConfirm(subject) }] : []),
    ...(cloud ? [{ gate: "cloud" as const, ...judgeCloud(told) }] : []),
  ];
  if (isOneShot(subject)) return [...started, { gate: "one-shot", ...judgeOneShot(subject) }, ...said];
  if (!isServiceGated(service, container)) return started;
  return [
    ...started,
    ...(healthcheckOf(service, container) ? [{ gate: "healthy" as const, ...judgeHealthy(subject) }] : []),
    ...(http ? [{ gate: "http" as const, ...judgeHttp(subject) }] : []),
    { gate: "stay-up", ...judgeStayUp(subject) },
    ...said,
  ];
}

function judgeStarted({ container }: Subject): GateVerdict {
  if (!container) return closed("has no container yet");
  if (container.startedAt > 0 && container.state !== "created") return open;
  const { error, spec } = container;
  return closed(error === "" ? "has not started yet" : toMessage(`cannot start: ${redact(error, spec)}`));
}

function judgeHealthy(subject: Subject): GateVerdict {
  const { healthyForMs, unhealthyForMs } = subject.watched;
  if (healthyForMs !== undefined) return lasting("healthy", healthyForMs, subject);
  if (unhealthyForMs !== undefined) return closed(`unhealthy for ${showDuration(unhealthyForMs)}`);
  return closed(whyDown(subject) ?? "its healthcheck has given no result yet");
}

function judgeHttp(subject: Subject): GateVerdict {
  const { httpOkForMs, httpDetail = "has not answered yet" } = subject.watched;
  return httpOkForMs === undefined ? closed(whyDown(subject) ?? httpDetail) : lasting(httpDetail, httpOkForMs, subject);
}

function judgeStayUp(subject: Subject): GateVerdict {
  const { upForMs, exits, exitsOverMs = 0 } = subject.watched;
  const spanMs = Math.min(monitorOf(subject.service, subject.container), longestExitsMs);
  if (exits >= mostExits && exitsOverMs >= spanMs) return { is: "failed", detail: saidExits(subject.watched) };
  const detail = whyDown(subject);
  return detail === undefined ? lasting("up", upForMs, subject) : closed(detail);
}

/** Whether a program is to run once. */
function isOneShot(subject: Subject): boolean {
  const { service, container, isAppGated } = subject;
  const { config, gates } = service;
  const isServer = healthcheckOf(service, container) !== undefined || gates?.http || gates?.confirm;
  const isUp = container?.state !== "exited";
  return isAwaited(subject) || (config.restart.name === "no" && !(isServer && isUp) && isAppGated);
}

/** Whether another service starts when this one has completed. */
const isAwaited = ({ app, service: { name } }: Subject): boolean =>
  app.services.some(({ dependsOn }) =>
    dependsOn.some((one) => one.service === name && one.condition === "service_completed_successfully"),
  );

function judgeOneShot(subject: Subject): GateVerdict {
  const { container, watched } = subject;
  if (container?.state !== "exited" || container.startedAt === 0)
    // If nothing waits for its end, it may also be a service that runs on, and that its owner starts and stops.
    return container?.state === "running" && !isAwaited(subject)
      ? lasting("up", watched.upForMs, subject)
      : closed("has not completed yet");
  const { exitCode } = container;
  if (exitCode === 0) return open;
  const detail = `has exited with code ${exitCode}`;
  // Exit codes of SIGTERM and SIGKILL: somebody has stopped it.
  return exitCode === 128 + 15 || exitCode === 128 + 9 ? closed(detail) : { is: "failed", detail };
}

const judgeConfirm = ({ service, told }: Subject): GateVerdict =>
  told.confirmed.includes(service.name) ? open : closed("has not confirmed the update yet");

const judgeCloud = ({ cloudReached }: Told): GateVerdict =>
  cloudReached === false ? closed("the cloud has not been reached since the update began") : open;

/** A gate that opens when its condition has lasted for the service's monitoring time. */
function lasting(what: string, forMs: number, { service, container }: Subject): GateVerdict {
  const neededMs = monitorOf(service, container);
  if (forMs >= neededMs) return open;
  return { ...closed(`${what} for ${showDuration(forMs)} of ${showDuration(neededMs)}`), opensInMs: neededMs - forMs };
}

/** Why a container is not up, in words; undefined: it is. */
function whyDown({ container, watched }: Subject): string | undefined {
  if (!container || container.startedAt === 0) return "has not started yet";
  if (container.state === "running") return undefined;
  if (isActive(container) && container.state !== "restarting") return `is ${container.state}`;
  return watched.exits > 0 ? saidExits(watched) : `has exited with code ${container.exitCode}`;
}

const saidExits = ({ exits, code }: WatchedContainer): string =>
  `has exited ${exits === 1 ? "once" : `${exits} times`}${code === undefined ? "" : `, last with code ${code}`}`;

const containerOf = ({ appId }: App, { name }: Service, present: readonly Container[]): Container | undefined =>
  present.find((one) => one.appId === appId && one.service === name && !isHandingOver(one));

const isServiceGated = (service: Service, container: Container | undefined): boolean =>
  service.gates !== undefined || healthcheckOf(service, container) !== undefined;

const monitorOf = (service: Service, container: Container | undefined): number =>
  service.gates?.monitorMs ?? (isServiceGated(service, container) ? defaultMonitorMs : 0);

/** That of the container, which may come from its image; before there is one, that of the composition. */
function healthcheckOf({ config }: Service, container: Container | undefined): Partial<Healthcheck> | undefined {
  if (container) return container.spec.healthcheck ?? undefined;
  return config.healthcheck === "none" ? undefined : config.healthcheck;
}

/** How long a healthcheck may take until it knows that its program is healthy. 0 means the engine's default. */
function healthcheckMs(check: Partial<Healthcheck> | undefined): number {
  if (!check) return 0;
  const { startPeriod = 0, retries = 0, interval = 0, timeout = 0 } = check;
  return (startPeriod + (retries || 3) * ((interval || 30e9) + (timeout || 30e9))) / 1e6;
}
