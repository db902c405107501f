import { createServer, connect, type Socket } from "node:net";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Docker from "dockerode";
import * as z from "zod";
import { makeImage, sweep } from "../test/support/docker.ts";
import { startBuilt } from "./processes.ts";
import { median, ms, ratioRow, type Row } from "./table.ts";
import { appId, nothing, post, service, settled, target, threeServices } from "./target.ts";

const image = "fairlead-bench:1";
const names = ["web", "db", "cache"];

export const benchImage = async (): Promise<string> => {
  await makeImage(new Docker(), image);
  return image;
};

const Started = z.object({ Actor: z.object({ Attributes: z.object({ name: z.string() }) }) });

/** Resolves when containers of these services have started, so many milliseconds after `act` began. */
export async function untilStarted(
  docker: Docker,
  services: readonly string[],
  act: () => Promise<void>,
): Promise<number> {
  const filters = JSON.stringify({ type: ["container"], event: ["start"] });
  const stream = await docker.getEvents({ filters });
  const missing = new Set(services);
  const started = (async () => {
    for await (const chunk of stream)
      for (const line of String(chunk).split("\n").filter(Boolean)) {
        const { name } = Started.parse(JSON.parse(line)).Actor.Attributes;
        missing.delete(name.split("_")[0] ?? "");
        if (missing.size === 0) return performance.now();
      }
    throw new Error("The engine's events have ended");
  })();
  const begun = performance.now();
  const acted = act();
  const ended = await started;
  await acted;
  return ended - begun;
}

/** The same engine calls, written down by hand in the best order: what can be done at once is done at once. */
class ByHand {
  readonly #docker: Docker;
  #options = new Map<string, Docker.ContainerCreateOptions>();
  #network: Docker.NetworkCreateOptions | undefined;

  constructor(docker: Docker) {
    this.#docker = docker;
  }

  /** Learns from the agent's containers what containers must be, so that both make the same. */
  async learn(): Promise<void> {
    for (const one of names) {
      const { Name, Config, HostConfig, NetworkSettings } = await this.#docker
        .getContainer(`${one}_${names.indexOf(one) + 1}_1_c1`)
        .inspect();
      const EndpointsConfig = Object.fromEntries(
        Object.keys(NetworkSettings.Networks).map((network) => [network, { Aliases: [one] }]),
      );
      const { Hostname: _, ...config } = Config;
      this.#options.set(one, { ...config, name: Name.slice(1), HostConfig, NetworkingConfig: { EndpointsConfig } });
      const [network = ""] = Object.keys(NetworkSettings.Networks);
      const {
        Name: Network,
        Driver,
        IPAM,
        Labels,
      } = z
        .object({
          Name: z.string(),
          Driver: z.string(),
          IPAM: z.looseObject({}),
          Labels: z.record(z.string(), z.string()),
        })
        .parse(await this.#docker.getNetwork(network).inspect());
      this.#network = { Name: Network, Driver, Labels, IPAM: { Driver: String(IPAM["Driver"]) } };
    }
  }

  async up(): Promise<void> {
    if (this.#network) await this.#docker.createNetwork(this.#network);
    await Promise.all(names.map((one) => this.#make(one)));
  }

  async replace(services: readonly string[]): Promise<void> {
    await Promise.all(
      services.map(async (one) => {
        const container = this.#docker.getContainer(this.#options.get(one)?.name ?? "");
        await container.stop();
        await container.remove({ v: true });
        await this.#make(one);
      }),
    );
  }

  async #make(one: string): Promise<void> {
    const container = await this.#docker.createContainer(this.#options.get(one) ?? {});
    await container.start();
  }
}

/** From a request to running containers, against the engine's own time for it. */
export async function engineRows(rounds: number): Promise<Row[]> {
  const docker = new Docker();
  const byHand = new ByHand(docker);
  const actions = ["up", "environment", "restartService", "restartApp"] as const;
  const times = {
    hand: {
      up: [] as number[],
      environment: [] as number[],
      restartService: [] as number[],
      restartApp: [] as number[],
    },
    ours: {
      up: [] as number[],
      environment: [] as number[],
      restartService: [] as number[],
      restartApp: [] as number[],
    },
  };
  for (let round = 0; round <= rounds; round++) {
    await sweep(docker);
    const agent = await startBuilt("docker");
    const steps = {
      up: await untilStarted(docker, names, () => post(agent, threeServices(image))),
      environment:
        (await settled(agent),
        await untilStarted(docker, ["web"], () => post(agent, threeServices(image, { round: String(round) })))),
      restartService:
        (await settled(agent),
        await untilStarted(docker, ["web"], () =>
          post(agent, { serviceName: "web" }, `/v2/applications/${appId}/restart-service`),
        )),
      restartApp:
        (await settled(agent),
        await untilStarted(docker, names, () => post(agent, {}, `/v2/applications/${appId}/restart`))),
    };
    await settled(agent);
    await agent.stop();
    await byHand.learn();
    await sweep(docker);
    const hand = {
      up: await untilStarted(docker, names, () => byHand.up()),
      environment: await untilStarted(docker, ["web"], () => byHand.replace(["web"])),
      restartService: await untilStarted(docker, ["web"], () => byHand.replace(["web"])),
      restartApp: await untilStarted(docker, names, () => byHand.replace(names)),
    };
    // The first round warms up the engine.
    if (round > 0)
      for (const one of actions) {
        times.ours[one].push(steps[one]);
        times.hand[one].push(hand[one]);
      }
  }
  await sweep(docker);
  const row = (what: string, one: (typeof actions)[number], original: string) =>
    ratioRow(what, ms, {
      baseline: median(times.hand[one]),
      ours: median(times.ours[one]),
      aim: { atMost: 1.3 },
      original,
    });
  return [
    row("POST target of 3 local-image services → all running", "up", "1560 ms"),
    row("environment change of one of three → new container runs", "environment", "850 ms"),
    row("restart-service → new container runs", "restartService", "420 ms"),
    row("restart of the application → all three run", "restartApp", "4000 ms"),
  ];
}

/** The engine behind a socket that counts the requests which pass. */
export async function countingEngine(target: string) {
  const folder = mkdtempSync(join(tmpdir(), "fairlead-count-"));
  const sockets = new Set<Socket>();
  let count = 0;
  const server = createServer((client) => {
    const engine = connect(target);
    for (const one of [client, engine]) {
      sockets.add(one);
      one.once("close", () => (client.destroy(), engine.destroy(), sockets.delete(one)));
      one.on("error", () => one.destroy());
    }
    client.on("data", (bytes) => {
      count += [...String(bytes).matchAll(/^(GET|POST|PUT|DELETE) \S+ HTTP\/1\.1\r$/gm)].length;
    });
    client.pipe(engine);
    engine.pipe(client);
  });
  const path = join(folder, "docker.sock");
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    host: `unix://${path}`,
    count: () => count,
    stop: () => {
      server.close();
      for (const one of sockets) one.destroy();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export const socketOfEngine = (): string =>
  /^unix:\/\/(.+)$/.exec(process.env["DOCKER_HOST"] ?? "")?.[1] ?? "/var/run/docker.sock";

/** Engine calls of a look that finds everything in place. */
export async function callsRow(): Promise<Row> {
  const docker = new Docker();
  const sizes = [3, 30, 100];
  const calls: number[] = [];
  for (const size of sizes) {
    await sweep(docker);
    const engine = await countingEngine(socketOfEngine());
    const agent = await startBuilt("docker", { dockerHost: engine.host });
    // They need not run to be looked at.
    const services = Array.from({ length: size }, (_, n) => service(`s${n}`, n + 1, image, { running: false }));
    await post(agent, target(services));
    await settled(agent);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const before = engine.count();
    await post(agent, {}, "/v1/update");
    await new Promise((resolve) => setTimeout(resolve, 1000));
    calls.push(engine.count() - before);
    await post(agent, nothing);
    await agent.stop();
    engine.stop();
  }
  await sweep(docker);
  return {
    what: `engine calls for a pass on target, with ${sizes.join(", ")} services`,
    baseline: "–",
    ours: calls.join(", "),
    ratio: Math.max(...calls) / Math.min(...calls),
    shown: `${(Math.max(...calls) / Math.min(...calls)).toFixed(2)} ×`,
    aim: { atMost: 1 },
    aimShown: "constant",
  };
}

/** A scrape of `/metrics` after another: its time, and what it asks the engine. */
export async function metricsRow(): Promise<Row> {
  const docker = new Docker();
  const socket = /^unix:\/\/(.+)$/.exec(process.env["DOCKER_HOST"] ?? "")?.[1] ?? "/var/run/docker.sock";
  await sweep(docker);
  const engine = await countingEngine(socket);
  const agent = await startBuilt("docker", { dockerHost: engine.host });
  const services = Array.from({ length: 30 }, (_, n) => service(`s${n}`, n + 1, image, { running: false }));
  await post(agent, target(services));
  await settled(agent);
  // After a start of the engine, the agent asks once where the engine keeps images, to measure that file system.
  await (await fetch(`${agent.url}/metrics`)).text();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const before = engine.count();
  const times: number[] = [];
  for (let n = 0; n < 200; n++) {
    const begun = performance.now();
    const lines = (await (await fetch(`${agent.url}/metrics`)).text()).match(/^fairlead_service_state\{.*\} 1$/gm);
    // The first ones are compiled while they run.
    if (n >= 20) times.push(performance.now() - begun);
    if (lines?.length !== 30) throw new Error(`/metrics has ${lines?.length ?? 0} of 30 services`);
    // Measurements of the machine are shared for a second; a scrape each 15 s gets a new one.
    if (n % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  const calls = engine.count() - before;
  await post(agent, nothing);
  await agent.stop();
  engine.stop();
  await sweep(docker);
  if (calls > 0) throw new Error(`/metrics made ${calls} calls of the engine`);
  const [half, worst] = [median(times), Math.max(...times)];
  return {
    what: "GET /metrics with 30 services: median, and the slowest of 180; engine calls",
    baseline: "–",
    ours: `${half.toFixed(1)} ms, ${worst.toFixed(1)} ms; ${calls}`,
    ratio: half / 5,
    shown: `${half.toFixed(1)} ms`,
    aim: { atMost: 1 },
    aimShown: "≤ 5 ms, no call",
  };
}
