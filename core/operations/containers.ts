import { isActive, type Container } from "../model/container.ts";
import { isHandingOver } from "../model/names.ts";
import type { Loop } from "../reconcile/loop.ts";

export interface ContainersContext {
  readonly loop: Pick<Loop, "look">;
}

/** `message`: a sentence for the caller. */
export type NotFound = { readonly is: "unknown" | "stopped"; readonly message: string };

/** The containers of an application; none: the device has no such application. */
export async function containersOf({ loop }: ContainersContext, appId: number): Promise<readonly Container[]> {
  const { current } = await loop.look({ fresh: false });
  return current.containers.filter((container) => container.appId === appId && !isHandingOver(container));
}

/** The running container of a service. */
export async function findRunning(
  context: ContainersContext,
  appId: number,
  service: string,
): Promise<Container | NotFound> {
  const containers = await containersOf(context, appId);
  const container = containers.find((one) => one.service === service);
  if (container && isActive(container)) return container;
  if (container)
    return {
      is: "stopped",
      message: `Service ${service} does not run: the state of its container is ${container.state}`,
    };
  return { is: "unknown", message: unknownService(containers, service, appId) };
}

export const unknownApp = (appId: number): string => `This device has no containers of an application ${appId}`;

const unknownService = (containers: readonly Container[], service: string, appId: number): string =>
  containers.length === 0
    ? unknownApp(appId)
    : `Application ${appId} has no container of a service ${JSON.stringify(service)}, only of: ${containers
        .map((one) => one.service)
        .toSorted()
        .join(", ")}`;
