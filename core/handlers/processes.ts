import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/processes.ts";
import { refuse } from "../api/refusal.ts";
import { unknownApp } from "../operations/containers.ts";
import { processesOf, useOf, type ProcessesContext } from "../operations/processes.ts";

export async function serviceProcesses(
  { params: { appId, service }, scope }: Input<typeof api.serviceProcesses>,
  context: ProcessesContext,
): Promise<Reply<typeof api.serviceProcesses>> {
  const found = await processesOf(context, appId, service);
  if ("is" in found)
    return found.is === "stopped" ? refuse("not-running", found.message) : refuse("unknown-service", found.message);
  const titles = [...found.titles];
  const processes = found.processes.map((row) => [...row]);
  return reply(200, { titles, processes: scope.secrets === "none" ? withoutArguments(titles, processes) : processes });
}

/** Arguments may hold values of variables. */
function withoutArguments(titles: readonly string[], processes: readonly string[][]): string[][] {
  const column = titles.findIndex((title) => /^(CMD|COMMAND|ARGS)$/i.test(title));
  return processes.map((row) => row.map((cell, n) => (n === column ? (cell.split(" ")[0] ?? "") : cell)));
}

export async function applicationStats(
  { params: { appId } }: Input<typeof api.applicationStats>,
  context: ProcessesContext,
): Promise<Reply<typeof api.applicationStats>> {
  const services = await useOf(context, appId);
  return services ? reply(200, { services }) : refuse("unknown-application", unknownApp(appId));
}
