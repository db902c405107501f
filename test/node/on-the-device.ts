import * as z from "zod";
import type { RunningAgent } from "./program.ts";

/** Requests that the tests of the real program send to it. */

export const service = (name: string, id: number, more: object = {}): object => ({
  serviceName: name,
  imageId: id,
  image: `${name}:1`,
  environment: {},
  labels: {},
  ...more,
});

export const target = (services: readonly object[], name = "kitchen"): object => ({
  local: {
    name,
    config: {},
    apps: {
      "1": {
        name: "fleet",
        commit: "c1",
        releaseId: 1,
        services: Object.fromEntries(services.map((one, n) => [String(n + 1), one])),
      },
    },
  },
});

const Status = z.looseObject({
  appState: z.string(),
  containers: z.array(z.looseObject({ serviceName: z.string(), status: z.string() })),
});

const statusOf = async (agent: RunningAgent) => Status.parse(await (await agent.get("/v2/state/status")).json());

/** The running services once the device has settled. */
export async function settled(agent: RunningAgent): Promise<string[]> {
  for (const end = Date.now() + 20_000; Date.now() < end;) {
    const { appState, containers } = await statusOf(agent);
    if (appState === "applied") return containers.map(({ serviceName, status }) => `${serviceName} ${status}`).sort();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("It did not settle in time");
}

const AppInfo = z.looseObject({ env: z.record(z.string(), z.string()) });

/** The variables of the only service of application 1. */
export const environmentOf = async (agent: RunningAgent): Promise<Readonly<Record<string, string>>> =>
  AppInfo.parse(await (await agent.get("/v1/apps/1")).json()).env;
