import { get } from "node:http";
import { join } from "node:path";
import Docker from "dockerode";
import { systemClock } from "../core/ports/clock.ts";
import { DockerEngine } from "../runtimes/node/engine/docker-engine.ts";
import { runIn } from "../test/support/volumes.ts";
import { sweep } from "../test/support/docker.ts";
import { countingEngine, socketOfEngine, untilStarted } from "./engine-rows.ts";
import { builtProgram, startBuilt } from "./processes.ts";
import { mb, median, ms, ratioRow, type Row } from "./table.ts";
import { appId, post, service, settled, target, threeServices } from "./target.ts";

const [from, to] = ["4719_data", "4719_data_before"];
const spec = { driver: "local", driverOptions: {}, labels: { "io.balena.supervised": "true" } };
/** Megabytes of the small and of the large volume. */
const [small, large] = [50, 400];

/** An update without gates, beside the same on another build of the agent, in `before`. */
export async function ungatedRow(image: string, rounds: number, before: string): Promise<Row> {
  const programs = { before: join(before, "cli.js"), ours: builtProgram };
  return laterRow("update without gates, beside that of the build before", image, rounds, (name) => ({
    program: programs[name],
    config: {},
  }));
}

/** An update without gates on a device that commits its releases, beside one that does not: what the record costs. */
export async function commitRow(image: string, rounds: number): Promise<Row> {
  const what = "update without gates that is committed, beside one in local mode, which is as before";
  return laterRow(what, image, rounds, (name) => ({
    program: builtProgram,
    config: { SUPERVISOR_SAFE_UPDATES: name === "ours" ? "on" : "off" },
  }));
}

async function laterRow(
  what: string,
  image: string,
  rounds: number,
  agentOf: (name: "before" | "ours") => { readonly program: string; readonly config: Readonly<Record<string, string>> },
): Promise<Row> {
  const docker = new Docker();
  const times = { before: [] as number[], ours: [] as number[] };
  // The first round warms up the engine.
  for (let round = 0; round <= rounds; round++)
    for (const name of ["before", "ours"] as const) {
      await sweep(docker);
      const { program, config } = agentOf(name);
      const agent = await startBuilt("docker", { program });
      const put = (environment = {}) => post(agent, threeServices(image, environment, config));
      await put();
      await settled(agent);
      // The first large collection of garbage in the life of a process falls into its first updates.
      for (const warm of ["1", "2"]) {
        await put({ warm });
        await settled(agent);
      }
      const took = await untilStarted(docker, ["web"], () => put({ round: String(round) }));
      if (round > 0) times[name].push(took);
      await settled(agent);
      await agent.stop();
    }
  await sweep(docker);
  const [baseline, ours] = [median(times.before), median(times.ours)];
  return {
    what,
    baseline: ms(baseline),
    ours: ms(ours),
    ratio: ours - baseline,
    shown: `${Math.round(ours - baseline)} ms more`,
    aim: { atMost: 10 },
    aimShown: "≤ 10 ms more",
  };
}

const port = 18_480;
const served = `http://127.0.0.1:${port}/`;

/** A server; `labels`: what its release must show. Without ports, it is reached by its address. */
const server = (
  image: string,
  round: string,
  labels: Readonly<Record<string, string>> = {},
  { command, ports = [`${port}:8080`] }: { readonly command?: string; readonly ports?: readonly string[] } = {},
) => {
  const script = command ?? "/bin/busybox httpd -p 8080 -h /bin";
  return target(
    [
      service("web", 1, image, {
        ...{ environment: { round }, labels, ports },
        command: ["sh", "-c", `${script}; trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done`],
      }),
    ],
    { SUPERVISOR_SAFE_UPDATES: "on" },
  );
};

const isAnswered = (url = served): Promise<boolean> =>
  new Promise((resolve) => {
    const request = get(url, { agent: false, timeout: 1000 }, (response) => {
      response.resume().once("end", () => resolve(true));
    });
    request.once("timeout", () => request.destroy()).once("error", () => resolve(false));
  });

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** The longest time in which none of a hundred requests a second was answered, while `act` replaces the server. */
async function downtime(act: () => Promise<unknown>): Promise<number> {
  while (!(await isAnswered())) await pause(10);
  const answered = [performance.now()];
  const timer = setInterval(() => {
    void isAnswered().then((is) => is && answered.push(performance.now()));
  }, 10);
  await act();
  await pause(1000);
  while (!(await isAnswered())) await pause(10);
  clearInterval(timer);
  return Math.max(...answered.map((at, n) => at - (answered[n - 1] ?? at)));
}

/**
 * A service that is replaced, beside the same calls of the engine by hand. With gates, the new container is created before
 * the old one is stopped, as compose does; without, the old one is removed first, as the reference implementation does.
 */
export async function downtimeRow(image: string, rounds: number, gated: boolean): Promise<Row> {
  const docker = new Docker();
  const times = { ours: [] as number[], hand: [] as number[] };
  const labels: Readonly<Record<string, string>> = gated ? { "io.balena.update.monitor": "1s" } : {};
  for (let round = 0; round <= rounds; round++) {
    await sweep(docker);
    const agent = await startBuilt("docker");
    await post(agent, server(image, "before", labels));
    await settled(agent);
    const ours = await downtime(() =>
      untilStarted(docker, ["web"], () => post(agent, server(image, String(round), labels))).then(() => settled(agent)),
    );
    await agent.stop();
    const hand = await downtime(() => replaceByHand(docker, gated));
    // The first round warms up the engine.
    if (round === 0) continue;
    times.ours.push(ours);
    times.hand.push(hand);
  }
  await sweep(docker);
  const calls = gated ? "with gates: without an answer, beside compose's calls" : "without an answer, beside the calls";
  return ratioRow(`a service that is replaced ${calls} by hand`, ms, {
    baseline: median(times.hand),
    ours: median(times.ours),
    aim: { atMost: 1.1 },
  });
}

/** A hundred requests a second to a service, at the addresses of its containers, while it hands over. */
export async function handOverRow(image: string): Promise<Row> {
  const docker = new Docker();
  await sweep(docker);
  const agent = await startBuilt("docker");
  const labels = {
    ...{ "io.balena.update.strategy": "hand-over", "io.balena.update.handover-timeout": "2000" },
    ...{ "io.balena.update.http": "8080/page", "io.balena.update.monitor": "2s" },
  };
  const addresses = async () =>
    (await docker.listContainers()).flatMap(({ NetworkSettings }) =>
      Object.values(NetworkSettings.Networks).flatMap(({ IPAddress }) => IPAddress || []),
    );
  const script = { command: "echo ok > /tmp/page; /bin/busybox httpd -p 8080 -h /tmp", ports: [] };
  await post(agent, server(image, "before", labels, script));
  await settled(agent);
  let known = await addresses();
  const asked = { times: 0, lost: 0 };
  const pending = new Set<Promise<void>>();
  const ask = async () => {
    asked.times++;
    for (const address of known) if (await isAnswered(`http://${address}:8080/page`)) return;
    asked.lost++;
  };
  const look = setInterval(() => void addresses().then((found) => (known = found)), 100);
  const timer = setInterval(() => {
    const one = ask().finally(() => pending.delete(one));
    pending.add(one);
  }, 10);
  await untilStarted(docker, ["web"], () => post(agent, server(image, "after", labels, script)));
  while ((await docker.listContainers()).length > 1) await pause(100);
  await settled(agent);
  await pause(1000);
  clearInterval(timer);
  await Promise.all(pending);
  clearInterval(look);
  await agent.stop();
  await sweep(docker);
  return {
    what: "requests without an answer, of 100 a second, while a service hands over",
    baseline: "–",
    ours: `${asked.lost} of ${asked.times}`,
    ratio: asked.lost,
    shown: String(asked.lost),
    aim: { atMost: 0 },
    aimShown: "0",
  };
}

async function replaceByHand(docker: Docker, createsFirst: boolean): Promise<void> {
  const [container] = await docker.listContainers();
  const before = docker.getContainer(container?.Id ?? "");
  const { Name, Config, HostConfig, NetworkSettings } = await before.inspect();
  const { Hostname: _, ...config } = Config;
  const EndpointsConfig = Object.fromEntries(
    Object.keys(NetworkSettings.Networks).map((one) => [one, { Aliases: ["web"] }]),
  );
  const create = (name: string) =>
    docker.createContainer({ ...config, name, HostConfig, NetworkingConfig: { EndpointsConfig } });
  const remove = async () => {
    await before.stop();
    await before.remove({ v: true });
  };
  if (createsFirst) {
    const after = await create(`next_${Name.slice(1)}`);
    await remove();
    await after.rename({ name: Name.slice(1) });
    await after.start();
  } else {
    await remove();
    await (await create(Name.slice(1))).start();
  }
}

/** From the failure of a release until the committed one has started, beside the update to it. */
export async function returnRow(image: string, rounds: number): Promise<Row> {
  const docker = new Docker();
  const times = { update: [] as number[], back: [] as number[] };
  const labels = { "io.balena.update.monitor": "10m" };
  for (let round = 0; round <= rounds; round++) {
    await sweep(docker);
    const agent = await startBuilt("docker");
    await post(agent, server(image, "before", labels));
    await settled(agent);
    const update = await untilStarted(docker, ["web"], () => post(agent, server(image, "after", labels)));
    await pause(500);
    const back = await untilStarted(docker, ["web"], () => post(agent, { reason: "bench" }, failPath));
    await agent.stop();
    if (round === 0) continue;
    times.update.push(update);
    times.back.push(back);
  }
  await sweep(docker);
  return ratioRow("failure of a release → the committed one runs, beside the update", ms, {
    baseline: median(times.update),
    ours: median(times.back),
    aim: { atMost: 1.3 },
  });
}

const failPath = `/v3/apps/${appId}/update/fail`;

/** Requests to the engine while the agent only watches whether a release proves itself. */
export async function watchRow(image: string): Promise<Row> {
  const docker = new Docker();
  await sweep(docker);
  const engine = await countingEngine(socketOfEngine());
  const agent = await startBuilt("docker", { dockerHost: engine.host });
  const labels = { "io.balena.update.monitor": "10m", "io.balena.update.http": "8080/page" };
  await post(agent, server(image, "before", labels));
  await settled(agent);
  await untilStarted(docker, ["web"], () => post(agent, server(image, "after", labels)));
  await pause(3000);
  const before = engine.count();
  await pause(10_000);
  const calls = engine.count() - before;
  await agent.stop();
  engine.stop();
  await sweep(docker);
  return {
    what: "engine calls in 10 s in which gates are watched",
    ...{ baseline: "–", ours: String(calls), ratio: calls, shown: "–", aim: { atMost: 0 }, aimShown: "0" },
  };
}

/** The copy of a volume, beside `cp -a` of the same data in a running container, and the memory that it takes. */
export async function updateRows(image: string, rounds: number): Promise<Row[]> {
  const docker = new Docker();
  await sweep(docker);
  const engine = await DockerEngine.connect(systemClock);
  const { Id } = await docker.getImage(image).inspect();
  const copy = () => engine.copyVolume(from, { name: to, spec }, Id, new AbortController().signal);
  const fill = async (megabytes: number) => {
    await engine.createVolume(from, spec);
    const script = `/bin/busybox mkdir files; for n in $(/bin/busybox seq 2000); do echo $n > files/$n; done
      /bin/busybox dd if=/dev/urandom of=large bs=1M count=${megabytes} 2>/dev/null`;
    await runIn(docker, image, from, script);
  };
  const timeOf = async (act: () => Promise<unknown>): Promise<number> => {
    const begun = performance.now();
    await act();
    return performance.now() - begun;
  };
  const memory: number[] = [];
  const times = { ours: [] as number[], cp: [] as number[] };
  for (const megabytes of [small, large]) {
    await fill(megabytes);
    await copy();
    const peaks: number[] = [];
    for (let round = 0; round < rounds; round++) {
      let peak = 0;
      const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 10);
      const ours = await timeOf(copy);
      clearInterval(watch);
      peaks.push(peak / 1e6);
      if (megabytes === small) continue;
      times.ours.push(ours);
      times.cp.push(
        await timeOf(() => runIn(docker, image, from, "cp -a . ../v-copy && /bin/busybox rm -r ../v-copy")),
      );
    }
    memory.push(median(peaks));
    await engine.removeVolume(from);
  }
  await sweep(docker);
  const rate = (milliseconds: number) => `${Math.round(large / (milliseconds / 1000))} MB/s`;
  const [little = NaN, much = NaN] = memory;
  return [
    ratioRow(`copy of a volume of ${large} MB, beside cp -a in a container`, rate, {
      baseline: median(times.cp),
      ours: median(times.ours),
      aim: { atMost: 10 },
    }),
    ratioRow(`memory while a volume of ${large} MB is copied, beside one of ${small} MB`, mb, {
      baseline: little,
      ours: much,
      aim: { atMost: 1.1 },
    }),
  ];
}
