import { mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import Docker from "dockerode";
import { expect, onTestFinished } from "vitest";
import * as z from "zod";
import { startAgent, type Agent } from "../../runtimes/node/agent.ts";
import { readSettings } from "../../runtimes/node/settings.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";
import { startProgram } from "../node/program.ts";
import { freePort, sweep } from "../support/docker.ts";

/** The whole agent on a real engine. Tests use its HTTP API only, and read its effects from the engine. */

export const docker = new Docker();

const Status = z.looseObject({
  appState: z.enum(["applied", "applying"]),
  overallDownloadProgress: z.number().nullable(),
  containers: z.array(z.looseObject({ serviceName: z.string(), containerId: z.string(), status: z.string() })),
  images: z.array(z.looseObject({ name: z.string(), status: z.string(), downloadProgress: z.number().nullable() })),
});
export type Status = z.output<typeof Status>;

/** The API at an address. */
export interface Remote {
  readonly get: (path: string) => Promise<Response>;
  readonly post: (path: string, body: object) => Promise<Response>;
  readonly status: () => Promise<Status>;
  /** Posts a target state, which must be accepted. */
  readonly accept: (target: object) => Promise<void>;
  /** Container ids by service, once the device has settled. */
  readonly settled: () => Promise<Readonly<Record<string, string>>>;
}

export function remote(url: string): Remote {
  const get = (path: string) => fetch(url + path);
  const post = (path: string, body: object) =>
    fetch(url + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const status = async () => Status.parse(await (await get("/v2/state/status")).json());
  return {
    get,
    post,
    status,
    accept: async (target) => {
      const response = await post("/v2/local/target-state", target);
      expect([response.status, await response.json()]).toMatchObject([200, { status: "success", message: "OK" }]);
    },
    settled: async () => {
      await expect.poll(async () => (await status()).appState, { timeout: 60_000, interval: 50 }).toBe("applied");
      return Object.fromEntries(
        (await status()).containers.map(({ serviceName, containerId }) => [serviceName, containerId]),
      );
    },
  };
}

export interface OnEngine extends Remote, Agent {
  /** The path of the host's root. */
  readonly folder: string;
  /** A file in the folder that a service shares with the agent. */
  readonly shared: (service: string, name: string) => string;
  /** The agent's log. */
  readonly said: string[];
}

/** An agent in this process with its own host folder. Everything that it created is removed after the test. */
export async function agentOnEngine(args: readonly string[] = [], folder?: string): Promise<OnEngine> {
  const hostRoot = folder ?? (await temporaryFolder());
  const state = ["--port", "0", "--state-dir", join(hostRoot, "state"), "--host-root", hostRoot, "--iptables", "no"];
  const said: string[] = [];
  const say = (line: string) => void said.push(line);
  const log = { info: say, warn: say, error: say };
  onTestFinished(() => sweep(docker));
  const agent = await startAgent(readSettings([...state, ...args], {}), log);
  let ended: Promise<void> | undefined;
  const stop = () => (ended ??= agent.stop());
  onTestFinished(stop);
  const shared = (service: string, name: string) => join(hostRoot, "tmp/balena-supervisor/services/1", service, name);
  return { ...agent, ...remote(agent.url), stop, folder: hostRoot, shared, said };
}

/** Lets an agent see a folder of this machine: for it, the host's folders are below its root. */
export async function showFolder(hostRoot: string, path: string): Promise<void> {
  await mkdir(dirname(join(hostRoot, path)), { recursive: true });
  await symlink(path, join(hostRoot, path));
}

/** The real program. */
interface Running extends Remote {
  readonly end: (signal: NodeJS.Signals) => Promise<void>;
}

/** A device on which the real program can be started repeatedly, in a process of its own. */
export async function programOnEngine() {
  const folder = await temporaryFolder();
  onTestFinished(() => sweep(docker));
  const port = String(await freePort());
  const url = `http://127.0.0.1:${port}`;
  const start = async (): Promise<Running> => {
    const environment = process.env["DOCKER_HOST"] === undefined ? {} : { DOCKER_HOST: process.env["DOCKER_HOST"] };
    const paths = ["--state-dir", join(folder, "state"), "--host-root", folder];
    const program = startProgram(["agent", "--port", port, ...paths, "--iptables", "no"], environment);
    await expect.poll(() => program.stdout(), { timeout: 60_000 }).toContain("answers on");
    return {
      ...remote(url),
      end: async (signal) => {
        program.kill(signal);
        const { code, signal: by } = await program.ended;
        expect(by ?? code).toBe(signal === "SIGKILL" ? "SIGKILL" : 0);
      },
    };
  };
  return { folder, url, start };
}

export interface Wish {
  readonly image: string;
  readonly [field: string]: unknown;
}

/** A target state of one application with these services. */
export const target = (
  services: Readonly<Record<string, Wish>>,
  {
    commit = "c1",
    releaseId = 1,
    config = {},
    networks = {},
    volumes = {},
    configs = {},
    secrets = {},
    ...more
  }: {
    commit?: string;
    releaseId?: number;
    config?: object;
    networks?: object;
    volumes?: object;
    configs?: object;
    secrets?: object;
    force?: boolean;
  } = {},
): object => ({
  local: {
    name: "kitchen",
    config,
    apps: {
      "1": {
        name: "fleet",
        commit,
        releaseId,
        ...{ networks, volumes, configs, secrets },
        services: Object.fromEntries(
          Object.entries(services).map(([serviceName, wish], index) => [
            String(index + 1),
            {
              serviceName,
              serviceId: index + 1,
              imageId: index + 1,
              environment: {},
              labels: {},
              running: true,
              ...wish,
            },
          ]),
        ),
      },
    },
  },
  ...more,
});

export const inspect = (id: string | undefined) => docker.getContainer(id ?? "nothing").inspect();

/** Names of all containers of an agent, running or not. */
export async function names(): Promise<string[]> {
  const all = await docker.listContainers({ all: true, filters: { label: ["io.balena.supervised"] } });
  return all.map(({ Names }) => (Names[0] ?? "").slice(1)).sort();
}

/** Variables of a container. */
export async function environmentOf(id: string | undefined): Promise<Readonly<Record<string, string>>> {
  const { Config } = await inspect(id);
  return Object.fromEntries(Config.Env.map((one) => one.split(/=(.*)/s).slice(0, 2)));
}

const Event = z.looseObject({
  Type: z.string(),
  Action: z.string(),
  Actor: z.looseObject({ ID: z.string(), Attributes: z.record(z.string(), z.string()) }),
  timeNano: z.number(),
});

export interface Happened {
  /** "start one_1_1_c1", "pull 127.0.0.1:5000/one:2" */
  readonly what: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** All events of containers and images from now on; `onEvent` is called for each. */
export async function watch(onEvent: (what: string) => void = () => {}): Promise<Happened[]> {
  const end = new AbortController();
  const stream = await docker.getEvents({
    filters: JSON.stringify({ type: ["container", "image"] }),
    abortSignal: end.signal,
  });
  const happened: Happened[] = [];
  stream.on("error", () => {});
  stream.on("data", (bytes: Buffer) => {
    for (const line of bytes.toString().trim().split("\n")) {
      const { Type, Action, Actor, timeNano } = Event.parse(JSON.parse(line));
      const what = `${Action} ${Type === "image" ? Actor.ID : (Actor.Attributes["name"] ?? "")}`;
      happened.push({ what, at: timeNano / 1e6 });
      onEvent(what);
    }
  });
  onTestFinished(() => end.abort());
  return happened;
}

/** The folder that a service shares with the agent, created like the agent creates it. */
export async function touch(path: string): Promise<void> {
  await mkdir(join(path, ".."), { recursive: true });
  await writeFile(path, "");
}

export const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
