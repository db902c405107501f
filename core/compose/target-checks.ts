import { containerName } from "../model/names.ts";
import type { App, Service } from "../model/target.ts";
import { namespaceServicesOf, networkModeOf } from "./namespaces.ts";
import type { Draft, DraftService } from "./target-draft.ts";
import { showPath, type Path } from "./target-paths.ts";

/** Checks of references between the parts of a target state, which schemas cannot express. Each check returns faults. */

/** Limits for one device. They are far above real use, and allow planning within a second. */
const limits = { apps: 100, services: 1000 };

export function excess(apps: readonly Draft[]): string[] {
  const services = apps.reduce((sum, app) => sum + app.services.length, 0);
  return [
    ...(apps.length > limits.apps ? [`expected at most ${limits.apps} applications, but got ${apps.length}`] : []),
    ...(services > limits.services ? [`expected at most ${limits.services} services, but got ${services}`] : []),
  ];
}

export function duplicates(services: readonly DraftService[]): string[] {
  const names = new Set<string>();
  return services.flatMap(({ path, name }) => {
    const isRepeated = names.has(name);
    names.add(name);
    return isRepeated
      ? [`${showPath(path)}: expected each service once, but ${JSON.stringify(name)} is there twice`]
      : [];
  });
}

/** Finds equal container names. A container's name contains its service and the ids of its release, but no application. */
export function sameNames(apps: readonly App[]): string[] {
  const owners = new Map<string, number>();
  return apps.flatMap(({ appId, releaseId, commit, services }) =>
    services.flatMap(({ name, imageId }) => {
      const container = containerName(name, imageId, releaseId, commit);
      const owner = owners.get(container);
      owners.set(container, appId);
      if (owner === undefined || owner === appId) return [];
      return [
        `application ${appId}: expected an imageId, releaseId or commit of its own for ${name}, but application ${owner} has a container ${container} too`,
      ];
    }),
  );
}

export function unknownNamespaces(app: App, path: Path): string[] {
  const names = new Set(app.services.map(({ name }) => name));
  return app.services.flatMap((service) =>
    namespaceServicesOf(service, app)
      .filter((name) => name === service.name || !names.has(name))
      .map(
        (name) =>
          `${showPath([...path, "services"])}: ${service.name} wants to live in service ${JSON.stringify(name)}, which is not another service of this application`,
      ),
  );
}

/** A service in another container's network cannot set these fields: no engine creates such a container. */
export const borrowedNetworks = (app: App, path: Path): string[] =>
  app.services.flatMap((service) => {
    const mode = networkModeOf(service, app);
    if (!/^(service|container):/.test(mode)) return [];
    const { hostname, ports, settings } = service.config;
    const own = [
      ...(hostname ? ["hostname"] : []),
      ...(ports.length > 0 ? ["ports"] : []),
      ...["dns", "extra_hosts", "mac_address"].filter((field) => field in settings),
    ];
    return own.length > 0
      ? [`${showPath([...path, "services"])}: ${service.name} has network_mode ${mode}: expected no ${own.join(", ")}`]
      : [];
  });

/** The services that this one depends on, or whose namespaces it shares. They must start first. */
export const prerequisites = (service: Service, app: App): string[] => [
  ...service.dependsOn.map((one) => one.service),
  ...namespaceServicesOf(service, app),
];

export function dependencyCycles(app: App, path: Path): string[] {
  const next = new Map(app.services.map((service) => [service.name, prerequisites(service, app)]));
  const seen = new Set<string>();
  return app.services.flatMap(({ name }) => {
    const cycle = findCycle(name, next, seen);
    return cycle
      ? [
          `${showPath([...path, "services"])}: expected an order to start in, but they wait for each other: ${cycle.join(" → ")}`,
        ]
      : [];
  });
}

/** Finds a cycle of prerequisites from `start`. Skips names in `seen` and adds to it. Not recursive: chains may be long. */
function findCycle(
  start: string,
  next: ReadonlyMap<string, readonly string[]>,
  seen: Set<string>,
): readonly string[] | undefined {
  const trail: string[] = [];
  const onTrail = new Set<string>();
  const pending = [[start].values()];
  for (let last = pending.at(-1); last; last = pending.at(-1)) {
    const { done, value: name } = last.next();
    if (done) {
      pending.pop();
      onTrail.delete(trail.pop() ?? "");
    } else if (onTrail.has(name)) {
      return [...trail.slice(trail.indexOf(name)), name];
    } else if (!seen.has(name)) {
      seen.add(name);
      trail.push(name);
      onTrail.add(name);
      pending.push((next.get(name) ?? []).values());
    }
  }
  return undefined;
}
