import { fixedHostPorts } from "../compose/ports.ts";
import { runsImageOf } from "../model/architecture.ts";
import { isActive, type Container } from "../model/container.ts";
import { findImage } from "../model/image.ts";
import { isHandingOver, serviceKey } from "../model/names.ts";
import { toMessage, type Problem, type ProblemKind } from "../model/problem.ts";
import { redact } from "../model/secrets.ts";
import { findApp, type App, type Service } from "../model/target.ts";
import type { CrashLoop } from "./crash-loops.ts";
import type { Subject } from "./plan.ts";
import type { Obstacle } from "./step.ts";
import type { Failure, View } from "./view.ts";

/** A problem without the time since when it exists. */
export type Finding = Omit<Problem, "since">;

interface Facts {
  readonly view: View;
  /** Why the last steps of an application, or of the device, have not succeeded. */
  readonly failuresOf: (subject: Subject) => readonly Failure[];
  /** By container id. */
  readonly loops: ReadonlyMap<string, CrashLoop>;
}

/** What is wrong now. A pure function of what the last round observed and of the failures that are being retried. */
export function findProblems(facts: Facts): readonly Finding[] {
  const { view, failuresOf } = facts;
  const found = [
    ...view.target.apps.flatMap((app) => ofApplication(app, facts)),
    ...failuresOf("device").map((failure) => ofFailure(failure, {}, view)),
  ];
  return [...new Map(found.toReversed().map((one) => [keyOf(one), one])).values()].toReversed();
}

/** Two problems with the same key are the same problem. */
export const keyOf = ({ appId, service, kind }: Finding): string => JSON.stringify([appId, service, kind]);

function ofApplication(app: App, facts: Facts): readonly Finding[] {
  const { view, failuresOf } = facts;
  const about = { appId: app.appId, app: app.uuid };
  if (app.rejected !== undefined) return [{ ...about, kind: "rejected", message: toMessage(app.rejected) }];
  const obstacles = (view.plan.get(app.appId) ?? []).flatMap((step) =>
    step.action === "wait" && step.obstacle ? [ofObstacle(step.obstacle, about)] : [],
  );
  const ofServices = app.services.flatMap((service) => [
    ...ofImage(service, about, view),
    ...ofContainers(service, about, facts),
  ]);
  // The engine's own record of a failed start says the same, and stays until the container has started.
  const failures = failuresOf(app.appId).filter(
    ({ is, service }) => is === "locked" || !ofServices.some((one) => one.service === service && service !== undefined),
  );
  return [...obstacles, ...ofServices, ...failures.map((failure) => ofFailure(failure, about, view))];
}

/** What keeps an update from beginning. */
const ofObstacle = ({ kind, service, reason }: Obstacle, about: About): Finding => ({
  ...about,
  ...(service !== undefined && { service }),
  kind,
  message: toMessage(`The update waits for ${reason}`),
});

type About = Pick<Finding, "appId" | "app">;

function ofImage({ name, image }: Service, about: About, { current }: View): readonly Finding[] {
  const download = current.downloads.get(image.name);
  if (!download || findImage(current.images, image.name)) return [];
  // During another attempt, the last one's failure still stands.
  const reason = download.is === "failed" ? download.reason : download.lastFailure;
  if (reason === undefined) return [];
  const kind = kindOf(reason) ?? "imageUnavailable";
  return [{ ...about, service: name, kind, message: toMessage(`Image ${image.name}: ${reason}`) }];
}

function ofContainers(service: Service, about: About, facts: Facts): readonly Finding[] {
  const { current } = facts.view;
  if (!service.running) return [];
  return current.containers
    .filter((one) => one.appId === about.appId && one.service === service.name && !isHandingOver(one))
    .flatMap((container) => {
      const found = ofContainer(container, facts);
      if (!found) return [];
      const message = toMessage(redact(found.message, container.spec));
      return [{ ...about, service: service.name, kind: found.kind, message }];
    });
}

function ofContainer(container: Container, { view, loops }: Facts): Pick<Finding, "kind" | "message"> | undefined {
  const { current } = view;
  const { id, state, error, health, restarts } = container;
  const line = current.lastLines.get(id);
  const loop = loops.get(id);
  const quoted = line === undefined ? "" : `: ${line}`;
  const isFailing = loop !== undefined || hasFailed(container, view);
  const isStarting = state === "created" || state === "exited" || state === "restarting";
  const architecture = current.imageConfigs.get(container.spec.image)?.architecture;
  const isForeign = !runsImageOf(current.device.arch, architecture);
  const saysSo = (isFailing || state === "restarting") && line !== undefined && kindOf(line) === "wrongArchitecture";
  if (saysSo || (isForeign && (isFailing || (isStarting && (error !== "" || restarts > 0)))))
    return {
      kind: "wrongArchitecture",
      message: `${saidArchitecture(architecture, isForeign, current.device.arch)}${error ? `: ${error}` : quoted}`,
    };
  if (isStarting && error !== "" && !loop) return ofRefusal(error, container, view);
  if (loop) return { kind: "crashLoop", message: `It has exited ${loop.exits} times${saidCode(loop.code)}${quoted}` };
  if (isFailing) return { kind: "exited", message: `It has exited with exit code ${container.exitCode}${quoted}` };
  if (state === "running" && health === "unhealthy") return { kind: "unhealthy", message: "Its healthcheck fails" };
  return undefined;
}

const saidArchitecture = (architecture: string | undefined, isForeign: boolean, arch: string): string =>
  isForeign
    ? `The image is for ${architecture}, and this machine is ${arch}`
    : `A program of the image is not for this machine, which is ${arch}`;

const saidCode = (code: number | undefined): string => (code === undefined ? "" : `, last with exit code ${code}`);

/** Whether a program that the engine does not restart has ended by itself, and not well. */
function hasFailed({ state, exitCode, appId, service, spec }: Container, { current }: View): boolean {
  const { name } = spec.restart;
  // Exit codes of SIGTERM and SIGKILL: somebody has stopped it.
  const isStopped = exitCode === 128 + 15 || exitCode === 128 + 9 || current.stoppedNow.has(serviceKey(appId, service));
  return state === "exited" && exitCode !== 0 && !isStopped && (name === "no" || name === "on-failure");
}

function ofFailure({ is, message, service, reason }: Failure, about: About, view: View): Finding {
  const of = { ...about, ...(service !== undefined && { service }) };
  if (is === "locked")
    return {
      ...of,
      kind: "locked",
      message:
        service === undefined || reason !== undefined
          ? toMessage(reason === undefined ? message : `The update waits: ${reason}`)
          : `The update waits: service ${service} holds its update lock (updates.lock or resin-updates.lock in /tmp/balena)`,
    };
  const wanted = findApp(view.target, about.appId ?? 0)?.services.find(({ name }) => name === service);
  const ports = wanted ? fixedHostPorts(wanted.config.ports) : [];
  const found = refusalOf(reason ?? message, { appId: about.appId, service, ports }, view);
  return { ...of, kind: found.kind, message: toMessage(found.kind === "refused" ? message : found.message) };
}

const ofRefusal = (error: string, { appId, service, spec }: Container, view: View) =>
  refusalOf(error, { appId, service, ports: fixedHostPorts(spec.ports) }, view);

interface Refused {
  readonly appId: number | undefined;
  readonly service: string | undefined;
  /** The host ports that the service asks for, as `8080/tcp`. */
  readonly ports: readonly string[];
}

/** The problem that a sentence of the engine is about. */
function refusalOf(sentence: string, refused: Refused, view: View): Pick<Finding, "kind" | "message"> {
  const kind = kindOf(sentence) ?? "refused";
  return { kind, message: kind === "portTaken" ? saidPort(sentence, refused, view) : sentence };
}

function saidPort(sentence: string, { appId, service, ports }: Refused, { current, target }: View): string {
  const quoted = new Set([...sentence.matchAll(/:(\d{1,5})\b/g)].map(([, port]) => port));
  const named = ports.filter((port) => quoted.has(port.split("/")[0]));
  const wanted = named.length > 0 ? named : ports;
  const holder = current.containers.find(
    (one) =>
      isActive(one) &&
      !(one.appId === appId && one.service === service) &&
      fixedHostPorts(one.spec.ports).some((port) => wanted.includes(port)),
  );
  const port = wanted.map((one) => one.split("/")[0]).join(", ") || [...quoted].join(", ");
  const by = !holder
    ? "another process or container of this machine"
    : holder.appId === appId
      ? `service ${holder.service}`
      : `service ${holder.service} of application ${findApp(target, holder.appId)?.name ?? holder.appId}`;
  return `Host port ${port} is taken by ${by}: ${sentence}`;
}

/** Words of engines and registries, and what they mean. The first row that fits counts. */
const words: readonly (readonly [ProblemKind, RegExp])[] = [
  [
    "diskFull",
    /no space left on device|disk quota exceeded|the disk has too little space left|do not fit on the disk/i,
  ],
  ["portTaken", /port is already allocated|address already in use|ports are not available/i],
  ["wrongArchitecture", /exec format error|no matching manifest for|does not match the (?:specified|detected) /i],
  [
    "imageNotFound",
    /manifest unknown|manifest for \S+ not found|resolve reference \S+ \S+: not found|name unknown|repository \S+ not found|no such image/i,
  ],
  ["registryRefused", /unauthorized|denied|authentication required|no basic auth|toomanyrequests|rate limit/i],
];

const kindOf = (sentence: string): ProblemKind | undefined => words.find(([, pattern]) => pattern.test(sentence))?.[0];
