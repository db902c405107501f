import type { Container, ContainerSpec } from "../model/container.ts";
import { isHandingOver } from "../model/names.ts";
import type { Release, Service } from "../model/target.ts";

/** Shared network, IPC and process namespaces. A composition refers to services, the engine to containers. */

/** `service:x`, and `container:x` where x is a service of the application (the specification's own example). */
export function networkModeOf(service: Service, app: Pick<Release, "services">): string {
  const mode = service.config.networkMode ?? "networks";
  const [, name] = /^container:(.+)$/.exec(mode) ?? [];
  return name && app.services.some((other) => other.name === name) ? `service:${name}` : mode;
}

/** The services whose namespaces a container shares. When one of them is replaced, the container is replaced too. */
export const namespaceServices = ({
  networkMode,
  settings,
}: Pick<ContainerSpec, "networkMode" | "settings">): string[] =>
  [networkMode, settings["ipc"], settings["pid"]].flatMap((mode) => {
    const [, service] = /^service:(.+)$/.exec(String(mode ?? "")) ?? [];
    return service ? [service] : [];
  });

/** The same for a service of a target state. */
export const namespaceServicesOf = (service: Service, release: Pick<Release, "services">): string[] =>
  namespaceServices({ networkMode: networkModeOf(service, release), settings: service.config.settings });

/** `container:<id>` → `service:<name>`, if the id is that of one of these containers. */
export const toServiceNamespaces = (spec: ContainerSpec, containers: readonly Container[]): ContainerSpec =>
  withNamespaces(spec, /^container:(.+)$/, (id) => {
    const owner = containers.find((container) => container.id === id);
    return owner && `service:${owner.service}`;
  });

/** `service:<name>` → `container:<id>`, for services of this application that have a container. */
export const toContainerNamespaces = (
  spec: ContainerSpec,
  appId: number,
  containers: readonly Container[],
): ContainerSpec =>
  withNamespaces(spec, /^service:(.+)$/, (service) => {
    const owner = containers.find((one) => one.appId === appId && one.service === service && !isHandingOver(one));
    return owner && `container:${owner.id}`;
  });

function withNamespaces(
  spec: ContainerSpec,
  pattern: RegExp,
  translate: (name: string) => string | undefined,
): ContainerSpec {
  const translated = <T>(mode: T): T | string => {
    const [, name] = pattern.exec(String(mode)) ?? [];
    return (name && translate(name)) || mode;
  };
  const shared = ["ipc", "pid"].flatMap((key) => {
    const mode = spec.settings[key];
    return mode === undefined ? [] : [[key, translated(mode)] as const];
  });
  return {
    ...spec,
    networkMode: translated(spec.networkMode),
    settings: { ...spec.settings, ...Object.fromEntries(shared) },
  };
}
