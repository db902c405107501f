import { runsImageOf } from "../model/architecture.ts";
import { isOn } from "../model/config.ts";
import { isActive, type Port } from "../model/container.ts";
import { reserveOf, whyShort, type DiskFigures, type Space } from "../model/disk.ts";
import { findImage, type Manifest } from "../model/image.ts";
import { copiedVolumes } from "../model/snapshot.ts";
import type { App, Service, TargetState, UpdateStrategy } from "../model/target.ts";
import type { CurrentState, PreflightFacts } from "./current.ts";
import { killsFirst, type Wanted } from "./plan-judge.ts";
import type { Obstacle, Step } from "./step.ts";

/** Checks that nothing is downloaded that does not fit, and that nothing stops for what cannot run here. */

/** What is known about an application before its containers are stopped. */
export interface Preflight {
  /** Absent: nothing is to be downloaded, or nothing is known about it. */
  readonly download?: Download;
  /** The host ports that other applications have, and keep. */
  readonly held: readonly HeldPort[];
}

type Download =
  /** The registries have been asked. */
  | { readonly is: "asked" }
  | { readonly is: "fits"; readonly disk: DiskFigures }
  /** `why`: with figures. `isHopeless`: it would not fit without the old images, either. */
  | { readonly is: "short"; readonly disk: DiskFigures; readonly why: string; readonly isHopeless: boolean }
  | { readonly is: "foreign"; readonly service: string; readonly architectures: readonly string[] };

/** Whether the downloads of an application fit; undefined if none is due, or if it is not known. */
export function diskOf(appId: number, current: CurrentState, target: TargetState): DiskFigures | undefined {
  const download = planPreflights(current, target, new Set())?.get(appId)?.download;
  return download?.is === "fits" || download?.is === "short" ? download.disk : undefined;
}

/** Whether the disk is short, and old images could make enough space. */
export const canMakeSpace = (preflight: Preflight | undefined): boolean =>
  preflight?.download?.is === "short" && !preflight.download.isHopeless;

interface HeldPort extends Port {
  readonly service: string;
  readonly application: string;
}

/** Whether updates are checked before they begin. In local mode, a developer decides. */
export const isGuarded = ({ localMode }: Pick<CurrentState, "localMode">, { config }: TargetState): boolean =>
  !localMode || isOn(config, "SUPERVISOR_SAFE_UPDATES");

/** By application; undefined: nothing is checked. `wantedImages`: names of images that must stay. */
export function planPreflights(
  current: CurrentState,
  target: TargetState,
  wantedImages: ReadonlySet<string>,
): ReadonlyMap<number, Preflight> | undefined {
  if (!isGuarded(current, target)) return undefined;
  const downloads = current.preflight
    ? judgeDownloads(current.preflight, current, target, wantedImages)
    : new Map<number, Download>();
  return new Map(
    target.apps.map(({ appId }) => {
      const download = downloads.get(appId);
      return [appId, { held: heldPorts(appId, current, target), ...(download && { download }) }];
    }),
  );
}

/** Downloads in progress have taken some of the space that they need, but how much is not known. */
function judgeDownloads(
  facts: PreflightFacts,
  current: CurrentState,
  target: TargetState,
  wantedImages: ReadonlySet<string>,
): Map<number, Download> {
  const isRunning = ({ image }: Service) => current.downloads.get(image.name)?.is === "running";
  const absent = target.apps.map((app) => ({
    app,
    services: app.rejected === undefined && !app.temporary ? app.services.filter((one) => isAbsent(one, current)) : [],
  }));
  const measure = createMeasure(facts, facts.layers.values());
  let claimed = measure.take(absent.flatMap(({ services }) => services.filter(isRunning)));
  const judged = new Map<number, Download>();
  for (const { app, services } of absent) {
    const open = services.filter((one) => !isRunning(one));
    if (open.length === 0) continue;
    // A first installation copies nothing.
    const copied = current.updates.get(app.appId)?.committed ? copiedVolumes(app, current.volumes) : [];
    const sizes = copied.flatMap((name) => facts.volumes.get(name) ?? []);
    const foreign = open.flatMap((one) => whyForeign(one, facts.manifests.get(one.image.name), current))[0];
    if (foreign) judged.set(app.appId, foreign);
    else if (open.some(({ image }) => facts.asked.has(image.name)) || sizes.length < copied.length)
      judged.set(app.appId, { is: "asked" });
    else {
      const copies = sizes.reduce((sum, size) => sum + size, 0);
      const need = measure.need(open) + copies;
      const space = { ...facts.space, freeBytes: Math.max(0, facts.space.freeBytes - claimed) };
      const disk = { need, free: space.freeBytes, reserve: reserveOf(space) };
      const why = whyShort(space, need);
      // What does not fit is not downloaded: another application cannot count on its layers.
      if (why === undefined) claimed += measure.take(open) + copies;
      const left = { ...space, freeBytes: space.freeBytes - copies };
      judged.set(
        app.appId,
        why === undefined
          ? { is: "fits", disk }
          : {
              is: "short",
              disk,
              why,
              isHopeless: isHopeless(app, open, { ...facts, space: left }, current, wantedImages),
            },
      );
    }
  }
  return judged;
}

const isAbsent = ({ image }: Service, { images }: CurrentState): boolean => !findImage(images, image.name);

/**
 * The bytes that a layer needs at most, by its compressed size: compressed and unpacked, which is 2.5 times as much. An
 * estimate; the engine has both at the same time, and with containerd's image store it keeps both.
 */
const bytesPerByte = 1 + 2.5;

/** Adds up what images need. A layer that is here, or is about to be, needs nothing. */
function createMeasure({ manifests: known }: Pick<PreflightFacts, "manifests">, here: Iterable<readonly string[]>) {
  const numbers = new Map<string, number>();
  /** Gives each layer a number that is the same for all images with the same layers up to it. */
  const numbered = <T extends { readonly diffId: string }>(layers: readonly T[]) => {
    let number = 0;
    return layers.map((layer) => {
      const key = `${number} ${layer.diffId}`;
      number = numbers.get(key) ?? numbers.size + 1;
      numbers.set(key, number);
      return { ...layer, number };
    });
  };
  const counted = new Set(
    [...here].flatMap((all) => numbered(all.map((diffId) => ({ diffId }))).map(({ number }) => number)),
  );
  const missing = (services: readonly Pick<Service, "image">[]) => {
    const manifests = services.map(({ image }) => known.get(image.name));
    const layers = manifests.flatMap((one) => (one?.is === "known" ? numbered(one.layers) : []));
    return new Map(layers.filter(({ number }) => !counted.has(number)).map((layer) => [layer.number, layer]));
  };
  const need = (services: readonly Pick<Service, "image">[]): number =>
    [...missing(services).values()].reduce((sum, { bytes }) => sum + bytes * bytesPerByte, 0);
  return {
    need,
    /** The same, of images that are downloaded now. */
    take: (services: readonly Pick<Service, "image">[]): number => {
      const needed = need(services);
      for (const number of missing(services).keys()) counted.add(number);
      return needed;
    },
  };
}

/**
 * The bytes that are downloaded for each of these images, in their order. A layer that several of them have counts for the
 * first. Images of an unknown size are left out.
 */
export function downloadSizes(
  images: readonly Pick<Service, "image">[],
  { manifests, layers }: Pick<PreflightFacts, "manifests" | "layers">,
): ReadonlyMap<string, number> {
  const measure = createMeasure({ manifests }, layers.values());
  const known = images.filter(({ image }) => manifests.get(image.name)?.is === "known");
  return new Map(known.map((one) => [one.image.name, Math.round(measure.take([one]) / bytesPerByte)]));
}

/** Whether all absent images of a target fit even if the images that are here share no layer with them. */
export function fitsAnyway(
  space: Space,
  manifests: PreflightFacts["manifests"],
  services: readonly Service[],
): boolean {
  return whyShort(space, createMeasure({ manifests }, []).need(services)) === undefined;
}

/** Whether an application would not fit even if its old images, with all that they share, were removed before. */
function isHopeless(
  { appId }: App,
  open: readonly Service[],
  { space, manifests }: PreflightFacts,
  { imageRecords, keptImages, images }: CurrentState,
  wantedImages: ReadonlySet<string>,
): boolean {
  const wanted = new Set([...wantedImages].map((name) => findImage(images, name)?.id));
  const old = imageRecords
    .filter((record) => record.appId === appId && !keptImages.has(record.name))
    .flatMap(({ name }) => findImage(images, name) ?? [])
    .filter(({ id }) => !wanted.has(id));
  // If a size is not known, there is hope.
  const freed = [...new Set(old)].reduce((sum, { bytes = Infinity }) => sum + bytes, 0);
  return !fitsAnyway({ ...space, freeBytes: space.freeBytes + freed }, manifests, open);
}

function whyForeign(
  { name: service }: Service,
  manifest: Manifest | undefined,
  current: CurrentState,
): (Download & { is: "foreign" })[] {
  const architectures = architecturesOf(manifest);
  return architectures.length > 0 && architectures.every((one) => isForeign(one, current))
    ? [{ is: "foreign", service, architectures }]
    : [];
}

function architecturesOf(manifest: Manifest | undefined): readonly string[] {
  if (manifest?.is === "foreign") return manifest.architectures;
  return manifest?.is === "known" && manifest.architecture !== undefined ? [manifest.architecture] : [];
}

/** Whether images of this architecture cannot run on the engine's machine. False if that is not known. */
const isForeign = (architecture: string, { device, emulated }: CurrentState): boolean =>
  emulated !== undefined && !runsImageOf(device.arch, architecture) && !emulated.has(architecture);

const fixed = (ports: readonly Port[]): readonly Port[] => ports.filter(({ published }) => /^\d+$/.test(published));

/** A container that has a port which its application gives up does not count: it is about to be replaced. */
function heldPorts(appId: number, { containers }: CurrentState, { apps }: TargetState): readonly HeldPort[] {
  return apps.flatMap((app) => {
    if (app.appId === appId) return [];
    const kept = app.services.flatMap(({ config, running }) => (running ? fixed(config.ports) : []));
    return containers
      .filter((container) => container.appId === app.appId && isActive(container))
      .flatMap(({ service, spec }) =>
        fixed(spec.ports)
          .filter((port) => kept.some((one) => isSamePort(one, port)))
          .map((port) => ({ ...port, service, application: app.name })),
      );
  });
}

const isSamePort = (one: Port, other: Port): boolean =>
  one.published === other.published && one.protocol === other.protocol && overlaps(one.ip, other.ip);

/** Whether two addresses of the host are the same, or one of them means all. */
const overlaps = (one: string, other: string): boolean => one === other || means(one, other) || means(other, one);

const means = (all: string, one: string): boolean =>
  all === "" || (all === "0.0.0.0" && !one.includes(":")) || (all === "::" && (one === "" || one.includes(":")));

interface Checked {
  readonly wanted: readonly Wanted[];
  /** Takes the place of downloads. */
  readonly hold?: Step;
  /** While there is one, nothing stops and nothing is created. */
  readonly obstacle?: Step;
}

/** Changes the strategies of services so that nothing stops in vain, and says what is to be waited for. */
export function withPreflight(
  wanted: readonly Wanted[],
  { update }: App,
  { download, held }: Preflight,
  current: CurrentState,
): Checked {
  const problem = wanted.flatMap((one) => whyNotHere(one, held, current))[0];
  if (problem) return { wanted: wanted.map(careful), obstacle: waitFor(problem) };
  switch (download?.is) {
    case undefined:
    case "fits":
      return { wanted };
    case "asked":
      return {
        wanted: wanted.map(careful),
        hold: { action: "wait", reason: "the registries to tell how large the images are", isSaid: true },
      };
    case "foreign":
      return {
        wanted: wanted.map(careful),
        hold: waitFor(saidForeign(download.service, download.architectures, current)),
      };
    case "short": {
      const { why, disk, isHopeless } = download;
      const deletes = (one: Wanted) =>
        !isHopeless &&
        one.verdict.is === "imageless" &&
        (update?.onDiskShort === "delete-then-download" || one.service.strategy === "delete-then-download");
      const first = wanted.some(deletes) ? "; old images are removed first, so going back needs the network" : "";
      return {
        wanted: wanted.map((one) => (deletes(one) ? withStrategy(one, "delete-then-download") : careful(one))),
        hold: waitFor({ kind: "diskFull", disk, reason: `space on the disk: ${why}${first}` }, recheckMs),
      };
    }
  }
}

/** Nothing tells when somebody has freed some space. */
const recheckMs = 30_000;

const withStrategy = (one: Wanted, strategy: UpdateStrategy): Wanted => ({
  ...one,
  service: { ...one.service, strategy },
});

const careful = (one: Wanted): Wanted => (killsFirst(one.service) ? withStrategy(one, "download-then-kill") : one);

/** Why the container that a service is to get would not run. */
function whyNotHere({ service, verdict }: Wanted, held: readonly HeldPort[], current: CurrentState): Obstacle[] {
  if (verdict.is === "ready") return [];
  const architecture =
    verdict.is === "imageless" ? undefined : current.imageConfigs.get(verdict.spec.image)?.architecture;
  if (architecture !== undefined && isForeign(architecture, current))
    return [saidForeign(service.name, [architecture], current)];
  const ports = service.running ? fixed(service.config.ports) : [];
  return held
    .filter((one) => ports.some((port) => isSamePort(port, one)))
    .map(({ published, protocol, service: holder, application }) => ({
      kind: "portTaken",
      service: service.name,
      reason: `host port ${published}/${protocol}, which service ${holder} of application ${application} holds`,
    }));
}

const saidForeign = (service: string, architectures: readonly string[], { device }: CurrentState): Obstacle => ({
  kind: "wrongArchitecture",
  service,
  reason: `an image of service ${service} for this machine, which is ${device.arch}: it is for ${architectures.join(", ")}`,
});

/** It is logged as a problem. */
const waitFor = (obstacle: Obstacle, ms?: number): Step => ({
  ...{ action: "wait", reason: obstacle.reason, isSaid: true, obstacle },
  ...(ms !== undefined && { recheckMs: ms }),
});
