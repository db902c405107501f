import type { AppState, LinkState, Problem, ServiceState, State } from "./device-store.ts";

/** How something is, as a shape with a word and a colour. */
export type Mark = "well" | "working" | "waiting" | "failing" | "off";

/** Problems that end by themselves, or when somebody releases something. */
const waiting: ReadonlySet<string> = new Set(["locked"]);

export const markOfProblem = ({ kind }: Problem): Mark => (waiting.has(kind) ? "waiting" : "failing");

export function markOfService(service: ServiceState, problems: readonly Problem[]): Mark {
  if (problems.some((problem) => markOfProblem(problem) === "failing")) return "failing";
  if (service.health === "unhealthy") return "failing";
  if (service.status === "Running") return service.health === "starting" ? "working" : "well";
  // One that has failed has a problem. The others were stopped, or have done their work.
  if (/^(exited|Stopped|dead|paused)$/i.test(service.status)) return "off";
  return "working";
}

/** The device as a whole: trouble first. */
export function markOfDevice(state: State | undefined, link: LinkState): Mark {
  if (!state || link !== "live") return "off";
  if (state.problems.some((one) => markOfProblem(one) === "failing")) return "failing";
  if (state.problems.length > 0 || state.apps.some(({ waits }) => waits.length > 0)) return "waiting";
  return state.settled ? (state.apps.length > 0 ? "well" : "off") : "working";
}

export const problemsOf = (problems: readonly Problem[], appId: number, service: string): readonly Problem[] =>
  problems.filter((one) => one.appId === appId && one.service === service);

export const runningOf = (apps: readonly AppState[]): { readonly running: number; readonly all: number } => {
  const services = apps.flatMap((app) => Object.values(app.services));
  return { running: services.filter(({ status }) => status === "Running").length, all: services.length };
};
