import { device as wires } from "../../../core/client/wires.ts";
import { words } from "../words.ts";
import { toCurl, type Action, type Address, type Question } from "./actions.ts";
import type { DeviceStore } from "./device-store.ts";

interface App {
  readonly appId: number;
  readonly name: string;
}

type ServiceVerb = "restart" | "stop" | "start";

/** What can be asked of a device: actions that are done at once, and questions that come before the others. */
export function deviceActions(
  { client, state, hello }: Pick<DeviceStore, "client" | "state" | "hello">,
  address: Address,
) {
  const t = () => words.value;
  const appOf = (appId: number) => state.value?.apps.find((app) => app.appId === appId);
  const startsOf = (appId: number) => Object.values(appOf(appId)?.services ?? {}).map(({ startedAt }) => startedAt);

  /** What shows that a service has done what was asked. */
  const ofServiceSeen =
    (verb: ServiceVerb, { appId }: App, name: string) =>
    () => {
      const now = () => appOf(appId)?.services[name];
      const before = now()?.startedAt;
      return () => {
        const isRunning = now()?.status === "Running";
        if (verb === "stop") return !isRunning && now()?.status !== "Stopping";
        return isRunning && (verb === "start" || now()?.startedAt !== before);
      };
    };

  /** The containers are others, and the device has nothing left to do. */
  const ofAppSeen =
    ({ appId }: App) =>
    () => {
      const before = startsOf(appId);
      return () => state.value?.settled === true && startsOf(appId).every((at, n) => at !== before[n]);
    };

  const ofUpdateSeen =
    ({ appId }: App) =>
    () => {
      const show = () => [appOf(appId)?.updateStatus, appOf(appId)?.commit, ...(appOf(appId)?.waits ?? [])].join("\n");
      const before = show();
      return () => show() !== before;
    };

  const rebootSeen = () => {
    const before = hello.value?.bootId;
    return () => hello.value?.bootId !== before;
  };

  const ofService = (verb: ServiceVerb, { appId }: App, serviceName: string, force = false): Action => {
    const sent = { params: { appId }, body: { serviceName, ...(force && { force }) } };
    const operation = `${verb}Service` as const;
    return {
      key: `${verb} ${appId}/${serviceName}`,
      label: `${t().act[verb]} ${serviceName}`,
      send: () => client[operation](sent),
      curl: toCurl(wires[operation], { ...sent, ...address }),
      watch: ofServiceSeen(verb, { appId, name: "" }, serviceName),
      ...(!force && { forced: ofService(verb, { appId, name: "" }, serviceName, true) }),
    };
  };

  const ofApp = (operation: "restartV2" | "purgeV2", app: App, force = false): Action => {
    const sent = { params: { appId: app.appId }, body: { force } };
    return {
      key: `${operation} ${app.appId}`,
      label: operation === "purgeV2" ? t().act.purge(app.name) : t().act.restartApp(app.name),
      send: () => client[operation](sent),
      curl: toCurl(wires[operation], { ...sent, ...address }),
      watch: ofAppSeen(app),
      ...(!force && { forced: ofApp(operation, app, true) }),
    };
  };

  const ofPower = (operation: "reboot" | "shutdown", force = false): Action => {
    const sent = { body: { force } };
    return {
      key: operation,
      label: t().act[operation],
      send: () => client[operation](sent),
      curl: toCurl(wires[operation], { ...sent, ...address }),
      watch: rebootSeen,
      ...(!force && { forced: ofPower(operation, true) }),
    };
  };

  const update = (force = false): Action => ({
    key: "update",
    label: t().act.update,
    send: () => client.update({ body: { force } }),
    curl: toCurl(wires.update, { body: { force }, ...address }),
    done: t().done.update,
  });

  const decide = (operation: "applyUpdate" | "retryUpdate" | "rollBackUpdate", { appId, name }: App): Action => ({
    key: `${operation} ${appId}`,
    label: `${decisionWords(operation)}: ${name}`,
    send: () => client[operation]({ params: { appId } }),
    curl: toCurl(wires[operation], { params: { appId }, ...address }),
    watch: ofUpdateSeen({ appId, name }),
  });

  const decisionWords = (operation: "applyUpdate" | "retryUpdate" | "rollBackUpdate"): string =>
    ({ applyUpdate: t().act.apply, retryUpdate: t().act.retry, rollBackUpdate: t().act.rollBack })[operation];

  const confirmed = (action: Action, title: string, text: string): Question => ({ title, text, verb: title, action });

  return {
    blink: (): Action => ({
      key: "blink",
      label: t().act.blink,
      send: () => client.blink(),
      curl: toCurl(wires.blink, address),
      done: t().done.blink,
    }),
    update,
    service: ofService,
    apply: (app: App) => decide("applyUpdate", app),
    retry: (app: App) => decide("retryUpdate", app),
    releaseLock: (id: string): Action => ({
      key: `release ${id}`,
      label: t().act.release,
      send: () => client.releaseLock({ params: { id } }),
      curl: toCurl(wires.releaseLock, { params: { id }, ...address }),
    }),

    askRollBack: (app: App): Question =>
      confirmed(decide("rollBackUpdate", app), t().act.rollBack, t().confirm.rollBack),
    askForce: (lines: readonly string[]): Question => ({
      ...confirmed(update(true), t().act.force, t().confirm.force),
      lines,
      isDangerous: true,
    }),
    askRestart: (app: App): Question =>
      confirmed(ofApp("restartV2", app), t().act.restartApp(app.name), t().confirm.restartApp),
    askReboot: (): Question => confirmed(ofPower("reboot"), t().act.reboot, t().confirm.reboot),
    askShutdown: (): Question => ({
      ...confirmed(ofPower("shutdown"), t().act.shutdown, t().confirm.shutdown),
      isDangerous: true,
    }),
    askPurge: (app: App, volumes: readonly string[]): Question => ({
      ...confirmed(ofApp("purgeV2", app), t().act.purge(app.name), t().confirm.purge),
      ...{ lines: volumes, word: app.name, isDangerous: true },
    }),
  };
}

export type DeviceActions = ReturnType<typeof deviceActions>;
