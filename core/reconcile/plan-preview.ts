import { toContainerSpec } from "../compose/container-spec.ts";
import { describeDifference, differences, showDifference, type ShownDifference } from "../compose/differences.ts";
import { toServiceNamespaces } from "../compose/namespaces.ts";
import { isActive, type Container } from "../model/container.ts";
import type { ImageConfig } from "../model/image.ts";
import { isHandingOver, networkName, serviceKey, volumeName } from "../model/names.ts";
import { shortenIds } from "../model/show.ts";
import type { App, Service } from "../model/target.ts";
import type { CurrentState } from "./current.ts";
import { judge, keepInVain, killsFirst, type Reason, type Wanted } from "./plan-judge.ts";
import { judgeNetworks } from "./plan-networks.ts";
import { planStops } from "./plan-stops.ts";
import { judgeVolumes, planVolumes } from "./plan-volumes.ts";
import { describe, type Stop } from "./step.ts";

/** What an update will change, decided by the functions with which the planner decides. */
export interface Preview {
  readonly services: readonly PreviewedService[];
  readonly networks: readonly PreviewedPart[];
  readonly volumes: readonly PreviewedPart[];
  /** What holds the update up, as far as the planner knows: sentences. */
  readonly waitsFor: readonly string[];
  /** A running container will be stopped, so the update needs the update locks. */
  readonly stops: boolean;
}

export interface PreviewedService extends Change {
  readonly service: string;
  /** "handOver": the new container starts beside the old one. */
  readonly action: "keep" | "replace" | "handOver" | "create" | "remove";
  /** The image that must be downloaded. */
  readonly download?: string;
}

/** A network or a volume, with its name in the composition. */
export interface PreviewedPart extends Change {
  readonly name: string;
  readonly action: "keep" | "replace" | "create" | "remove";
}

interface Change {
  readonly why: string;
  readonly differences: ShownDifference[];
}

/** Previews the update to `app`; undefined: the target state does not contain the application. */
export function previewUpdate(appId: number, app: App | undefined, observed: CurrentState): Preview {
  const containers = observed.containers.filter((container) => container.appId === appId);
  const present = containers.filter((container) => !isHandingOver(container));
  if (app?.rejected) return unchanged(present, `The release is rejected: ${app.rejected}`);

  // A step that was in vain is tried again later, so the preview contains it.
  const current = { ...observed, repeats: new Map<string, number>() };
  const leaving = containers.filter(isHandingOver);
  const networks = judgeNetworks(appId, app, current);
  const volumes = judgeVolumes(appId, app, current);
  const stopsOf = (wanted: readonly Wanted[], left: readonly Container[], imagesComplete: boolean): readonly Stop[] =>
    planStops({
      ...{ appId, wanted, present: left, leaving, current, imagesComplete, networks, volumes: volumes.outdated },
      ...{ whyRemove: removed.why, again: false, inVain: new Map() },
    });

  const judged = app ? app.services.map((service) => judge(service, app, present, current)) : [];
  const isAwaited = judged.some(({ service, verdict }) => verdict.is === "imageless" && !killsFirst(service));
  const early = isAwaited ? stopsOf(judged, present, false) : [];
  const left = present.filter(({ id }) => !early.some((stop) => isRemoval(stop) && stop.id === id));
  const wanted = app ? app.services.map((service) => suppose(service, app, left, current)) : [];
  const stops = [...early, ...stopsOf(wanted, left, true)];

  const services = wanted.map((one) => previewService(one, judged, present, stops));
  const rest = present.filter(
    ({ id, service }) =>
      !services.some((one) => one.service === service && one.container?.id === id) &&
      stops.some((stop) => isRemoval(stop) && stop.id === id),
  );
  const active = new Set(containers.filter(isActive).map(({ id }) => id));
  const waits = [
    ...keepInVain(judged, appId, observed).waits,
    ...judgeNetworks(appId, app, observed).waits,
    ...judgeVolumes(appId, app, observed).waits,
  ];
  return {
    services: [
      ...services.map(({ container: _, ...shown }) => shown),
      ...rest.map(({ id, service }) => ({
        ...{ service, action: "remove" as const },
        ...toChange(stops.filter(isRemoval).find((stop) => stop.id === id)),
      })),
    ],
    networks: previewNetworks(app, networks),
    volumes: app ? previewVolumes(app, volumes, current) : [],
    waitsFor: waits.map((step) => `The update must ${describe(step)}`),
    stops: stops.some(({ id }) => active.has(id)),
  };
}

/** A preview in which nothing changes. */
export function unchanged(present: readonly Container[], wait: string): Preview {
  const services = [...new Set(present.map(({ service }) => service))];
  return {
    services: services.map((service) => ({ service, action: "keep", ...same })),
    ...{ networks: [], volumes: [], waitsFor: [wait], stops: false },
  };
}

const same: Change = { why: "nothing differs", differences: [] };
const removed = { why: "no longer in the target state" };
const added: Change = { why: "it does not exist yet", differences: [] };

/**
 * Judges a service as if its image were on the device. A missing image is taken for another one with the configuration of
 * the present one.
 */
function suppose(service: Service, app: App, present: readonly Container[], current: CurrentState): Wanted {
  const judged = judge(service, app, present, current);
  if (judged.verdict.is !== "imageless") return judged;
  const { container } = judged.verdict;
  const config = container && current.imageConfigs.get(container.spec.image);
  const image = { id: service.image.name, config: config ?? emptyConfig };
  const apiKey = current.apiKeys.get(serviceKey(app.appId, service.name)) ?? "";
  const spec = toContainerSpec(service, app, current.device, image, apiKey);
  if (!container) return { service, verdict: { is: "absent", spec } };
  const found = config
    ? differences(toServiceNamespaces(container.spec, present), spec)
    : [{ field: "image", from: container.spec.image, to: service.image.name }];
  const reason = { why: found.map(describeDifference).join("; "), differences: found };
  return { service, verdict: { is: "stale", container, spec, reason } };
}

const emptyConfig: ImageConfig = {
  ...{ command: [], entrypoint: [], environment: {}, labels: {}, user: "", workingDir: "" },
  ...{ stopSignal: "", healthcheck: null },
};

function previewService(
  { service, verdict }: Wanted,
  judged: readonly Wanted[],
  present: readonly Container[],
  stops: readonly Stop[],
): PreviewedService & { readonly container: Container | undefined } {
  const { name } = service;
  const isMissing = judged.some((one) => one.service === service && one.verdict.is === "imageless");
  const download = isMissing ? { download: service.image.name } : {};
  const own = present.filter((container) => container.service === name);
  const container = "container" in verdict ? verdict.container : own[0];
  const stop = stops.find(({ id }) => id === container?.id);
  const about = { service: name, container, ...download };
  if (!container) return { ...about, action: "create", ...added };
  if (stop?.action === "kill") return { ...about, action: "replace", ...toChange(stop) };
  if (stop?.action === "moveAside") return { ...about, action: "handOver", ...toChange(stop) };
  const why = stop ? "it is stopped: the target state says `running: false`" : same.why;
  return { ...about, action: "keep", why, differences: [] };
}

type Removal = Exclude<Stop, { readonly action: "stop" }>;
const isRemoval = (stop: Stop): stop is Removal => stop.action !== "stop";

function previewNetworks(app: App | undefined, judged: ReturnType<typeof judgeNetworks>): PreviewedPart[] {
  const names = new Map(app ? Object.keys(app.networks).map((name) => [networkName(app.uuid, name), name]) : []);
  const defined = [...names].map(([full, name]): PreviewedPart => {
    const outdated = judged.outdated.find((network) => network.name === full);
    if (outdated) return { name, action: "replace", ...toChange(outdated.reason) };
    return judged.missing.some(([other]) => other === full)
      ? { name, action: "create", ...added }
      : { name, action: "keep", ...same };
  });
  const others = judged.outdated.filter((network) => !names.has(network.name));
  return [
    ...defined,
    ...others.map(({ name, reason }) => ({
      ...{ name: name.replace(/^[^_]+_/, ""), action: "remove" as const },
      ...toChange(reason),
    })),
  ];
}

function previewVolumes(app: App, judged: ReturnType<typeof judgeVolumes>, current: CurrentState): PreviewedPart[] {
  const steps = planVolumes(app, judged.judged, current);
  return Object.keys(app.volumes).map((name): PreviewedPart => {
    const full = volumeName(app.appId, name);
    if (judged.outdated.some((volume) => volume.name === full)) return { name, action: "replace", ...hostPart };
    const step = steps.find((one) => "name" in one && one.name === full);
    if (step?.action === "createVolume") return { name, action: "create", ...added };
    if (step?.action !== "keepVolume") return { name, action: "keep", ...same };
    const why = "its definition differs, but it may hold data: to apply the definition, purge the application";
    return { name, action: "keep", why, differences: step.fields.map((field) => ({ field })) };
  });
}

const hostPart: Change = { why: "it shows a part of the host, and its definition no longer does", differences: [] };

/** A reason without secrets, with short ids. */
const toChange = ({ why, differences = [] }: Reason = removed): Change => ({
  why: shortenIds(why),
  differences: differences.map(showDifference),
});
