import type { ProcessTable, ResourceUse } from "../model/processes.ts";
import type { Engine } from "../ports/engine.ts";
import { containersOf, findRunning, type ContainersContext, type NotFound } from "./containers.ts";

export interface ProcessesContext extends ContainersContext {
  readonly ports: { readonly engine: Pick<Engine, "top" | "stats"> };
}

export async function processesOf(
  context: ProcessesContext,
  appId: number,
  service: string,
): Promise<ProcessTable | NotFound> {
  const container = await findRunning(context, appId, service);
  return "is" in container ? container : context.ports.engine.top(container.id);
}

/** The use of each running service, by service; undefined if the device has no such application. */
export async function useOf(
  context: ProcessesContext,
  appId: number,
): Promise<Readonly<Record<string, ResourceUse>> | undefined> {
  const containers = await containersOf(context, appId);
  if (containers.length === 0) return undefined;
  const measured = await Promise.all(
    containers
      .filter(({ state }) => state === "running")
      .map(async ({ id, service }) => [service, await context.ports.engine.stats(id)] as const),
  );
  return Object.fromEntries(measured.flatMap(([service, use]) => (use ? [[service, use]] : [])));
}
