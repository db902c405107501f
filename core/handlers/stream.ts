import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/stream.ts";
import { refuse } from "../api/refusal.ts";
import { mostLiveReaders, type LiveStreams } from "../events/live-streams.ts";
import { mostReaders } from "../events/logs.ts";
import type { Container } from "../model/container.ts";
import { isHandingOver } from "../model/names.ts";
import type { Problem } from "../model/problem.ts";
import { covers, type Scope } from "../model/scope.ts";
import { supervisorVersion } from "../model/version.ts";
import { isMissing, type Ports } from "../ports/index.ts";
import type { Loop } from "../reconcile/loop.ts";
import { stateOf } from "./applications.ts";
import type { StateContext } from "./context.ts";
import { wantedBy } from "./events.ts";
import type { ProblemsContext } from "./problems.ts";
import type { ServiceLogsContext } from "./service-logs.ts";

export interface StreamContext extends StateContext, ProblemsContext, Pick<ServiceLogsContext, "serviceLogs"> {
  readonly live: Pick<LiveStreams, "open" | "isFull">;
  readonly loop: Pick<Loop, "isSettled" | "look" | "trouble">;
  readonly identity: { readonly uuid: string; readonly isSimulated?: boolean };
  readonly ports: Ports;
}

export async function stream(
  { params: { state, events, metrics, logs, app, after = "latest", kinds }, scope }: Input<typeof api.stream>,
  context: StreamContext,
): Promise<Reply<typeof api.stream>> {
  const { identity, ports, live } = context;
  const isDefault = !state && !events && !metrics && logs === undefined;
  if (metrics && !scope.device)
    return refuse("outside-scope", "The metrics of the device are not for the key of an application");
  const isOwn = (appId: number) => covers(scope, appId) && (app === undefined || app === appId);
  const full = (what: string, most: number) =>
    refuse("busy", `${what} ${most} readers already; try again when one of them has left`);
  if (live.isFull()) return full("The stream has", mostLiveReaders);
  const lines =
    logs === undefined
      ? undefined
      : context.serviceLogs.stream(await containersOf(context), {
          ...{ wants: ({ appId }) => isOwn(appId), follow: true, since: 0 },
          tail: logs === "all" ? undefined : logs,
        });
  if (logs !== undefined && !lines) return full("The logs have", mostReaders);
  const answer = await live.open({
    hello: {
      ...{ version: supervisorVersion, uuid: identity.uuid, bootId: ports.system.bootId() },
      bootedAt: new Date(ports.system.bootedAt()).toISOString(),
      ...{ now: new Date(ports.clock.now()).toISOString(), lacks: lacksOf(ports) },
      ...(identity.isSimulated && { simulated: true }),
    },
    ...((state || isDefault) && {
      state: { key: JSON.stringify([scope, app]), show: () => show(context, scope, isOwn) },
    }),
    ...((events || isDefault) && { events: { after, wants: wantedBy(scope, { kinds, app }) } }),
    metrics: metrics || (isDefault && scope.device),
    logs: lines,
  });
  if (answer) return reply(200, answer);
  await lines?.cancel();
  return full("The stream has", mostLiveReaders);
}

/** While the engine does not answer, those that were seen last: a page has to say so. */
const containersOf = async ({ loop, view }: StreamContext): Promise<readonly Container[]> =>
  (await loop.look({ fresh: false }).catch(view)).current.containers;

/** What a page offers only where the device can do it. */
const lacksOf = (ports: Ports): Readonly<Record<string, string>> => {
  const { power, hostname, proxy, led, journal } = ports;
  return Object.fromEntries(
    Object.entries({ power, hostname, proxy, led, journal }).flatMap(([name, port]) =>
      isMissing(port) ? [[name, port.missing]] : [],
    ),
  );
};

function show(context: StreamContext, scope: Scope, isOwn: (appId: number) => boolean): api.LiveState {
  const { targets, view, memory, loop, problems } = context;
  const seen = view();
  const trouble = loop.trouble();
  return {
    settled: loop.isSettled(),
    ...(trouble && { engine: { unreachableSince: new Date(trouble.since).toISOString(), why: trouble.why } }),
    apps: targets
      .current()
      .apps.filter(({ appId }) => isOwn(appId))
      .map((target) => {
        const { appId, commit, updateStatus, services } = stateOf(target, seen, memory.activity);
        const own = seen.current.containers.filter((one) => one.appId === appId && !isHandingOver(one));
        return {
          ...{ appId, name: target.name, commit, updateStatus },
          waits: (seen.plan.get(appId) ?? []).flatMap((step) => (step.action === "wait" ? [step.reason] : [])),
          services: Object.fromEntries(
            Object.entries(services).map(([name, { status, image, downloadProgress }]) => [
              name,
              { status, image, downloadProgress, ...runOf(own.find(({ service }) => service === name)) },
            ]),
          ),
        };
      }),
    problems: problems.list().filter(({ appId }: Problem) => (appId === undefined ? scope.device : isOwn(appId))),
  };
}

const runOf = (container: Container | undefined): Partial<api.LiveService> =>
  container && container.startedAt > 0
    ? {
        ...(container.health && { health: container.health }),
        startedAt: new Date(container.startedAt).toISOString(),
        ...(container.restarts > 0 && { restarts: container.restarts }),
        ...(container.state === "exited" && { exitCode: container.exitCode }),
        ...portsOf(container),
      }
    : {};

function portsOf({ state, spec }: Container): Pick<api.LiveService, "ports"> {
  const open = spec.ports.filter(
    ({ protocol, published, ip }) => protocol === "tcp" && /^\d+$/.test(published) && !/^(127\.|::1$)/.test(ip),
  );
  const ports = [...new Set(open.map(({ published }) => Number(published)))].sort((a, b) => a - b);
  return state === "running" && ports.length > 0 ? { ports } : {};
}
