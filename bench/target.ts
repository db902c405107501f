import * as z from "zod";
import type { Served } from "./processes.ts";

/** What the agent is given in these measurements. */

export const appId = 4711;

export const service = (name: string, id: number, image: string, more: object = {}) => ({
  ...{ serviceName: name, imageId: id, image, running: true },
  ...{ environment: {}, labels: {}, ...more },
});

export const target = (services: readonly object[], config: Readonly<Record<string, string>> = {}) => ({
  local: {
    name: "bench",
    config,
    apps: {
      [appId]: {
        ...{ name: "bench", commit: "c1", releaseId: 1 },
        services: Object.fromEntries(services.map((one, n) => [String(n + 1), one])),
      },
    },
  },
});

const names = ["web", "db", "cache"];

/** Three services of one image; the variables are those of the first. */
export const threeServices = (
  image: string,
  environment: Readonly<Record<string, string>> = {},
  config: Readonly<Record<string, string>> = {},
) =>
  target(
    names.map((name, n) => service(name, n + 1, image, n === 0 ? { environment } : {})),
    config,
  );

export const nothing = { local: { name: "bench", config: {}, apps: {} } };

export async function post({ url }: Pick<Served, "url">, body: object, path = "/v2/local/target-state"): Promise<void> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
}

const Status = z.object({ appState: z.string() });

export async function settled({ url }: Pick<Served, "url">): Promise<void> {
  for (let tries = 0; tries < 6000; tries++) {
    const status = Status.parse(await (await fetch(`${url}/v2/state/status`)).json());
    if (status.appState === "applied") return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("The target state was not reached within two minutes");
}
