import { onTestFinished } from "vitest";
import { startAgent, type Agent } from "../../runtimes/node/agent.ts";
import { readSettings } from "../../runtimes/node/settings.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";
import type { SystemdHost } from "../support/systemd-host.ts";

export interface AgentOnHost extends Agent {
  readonly get: (path: string) => Promise<Answer>;
  readonly send: (method: string, path: string, body: unknown) => Promise<Answer>;
  /** Sets a target state with one service "one" with these labels. */
  readonly wantService: (labels?: Readonly<Record<string, string>>) => Promise<void>;
  /** Does the same and waits until the service runs. */
  readonly runService: () => Promise<void>;
  /** The services with their containers' states. */
  readonly services: () => Promise<readonly string[]>;
  readonly said: readonly string[];
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

/** The agent on such a machine, with an engine in memory. It is stopped after the test. */
export async function startAgentOn(
  host: Pick<SystemdHost, "root" | "busAddress">,
  { stateDir, args = [] }: { stateDir?: string; args?: readonly string[] } = {},
): Promise<AgentOnHost> {
  const said: string[] = [];
  const say = (line: string) => void said.push(line);
  const log = { info: say, warn: say, error: say };
  const settings = readSettings(
    [
      ...["--engine", "embedded", "--port", "0", "--state-dir", stateDir ?? (await temporaryFolder())],
      ...["--host-root", await host.root(), "--bus", host.busAddress],
      ...args,
    ],
    {},
  );
  const agent = await startAgent(settings, log);
  let stopped: Promise<void> | undefined;
  const stop = () => (stopped ??= agent.stop());
  onTestFinished(stop);

  const send = async (method: string, path: string, body?: unknown): Promise<Answer> => {
    const init =
      body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
    const response = await fetch(agent.url + path, { method, ...init });
    return { status: response.status, text: await response.text() };
  };
  const settled = async () => {
    await agent.supervisor.loop.look();
    while (!agent.supervisor.loop.isAtRest()) await new Promise((resolve) => setTimeout(resolve, 10));
  };
  const wantService = async (labels: Readonly<Record<string, string>> = {}) => {
    const one = { serviceName: "one", imageId: 1, image: "one:1", environment: {}, labels };
    const app = { name: "fleet", commit: "c1", releaseId: 1, services: { "1": one } };
    const body = { local: { name: "device", config: {}, apps: { "1": app } } };
    const { status, text } = await send("POST", "/v2/local/target-state", body);
    if (status !== 200) throw new Error(text);
  };
  return {
    ...agent,
    stop,
    said,
    send,
    get: (path) => send("GET", path),
    wantService,
    runService: async () => {
      await wantService();
      await settled();
    },
    services: async () => {
      const { containers } = await agent.engine.look({ fresh: true });
      return containers.map(({ service, state }) => `${service} ${state}`);
    },
  };
}
