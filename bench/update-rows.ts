import Docker from "dockerode";
import { systemClock } from "../core/ports/clock.ts";
import { DockerEngine } from "../runtimes/node/engine/docker-engine.ts";
import { runIn } from "../test/support/volumes.ts";
import { sweep } from "../test/support/docker.ts";
import { untilStarted } from "./engine-rows.ts";
import { startBuilt } from "./processes.ts";
import { mb, median, ms, ratioRow, type Row } from "./table.ts";
import { post, settled, threeServices } from "./target.ts";

const [from, to] = ["4719_data", "4719_data_before"];
const spec = { driver: "local", driverOptions: {}, labels: { "io.balena.supervised": "true" } };
/** Megabytes of the small and of the large volume. */
const [small, large] = [50, 400];

/** An update without gates on a device that commits its releases, beside one that does not: what the record costs. */
export async function commitRow(image: string, rounds: number): Promise<Row> {
  const docker = new Docker();
  const times = { off: [] as number[], on: [] as number[] };
  // The first round warms up the engine.
  for (let round = 0; round <= rounds; round++)
    for (const safe of ["off", "on"] as const) {
      await sweep(docker);
      const agent = await startBuilt("docker");
      const put = (environment = {}) =>
        post(agent, threeServices(image, environment, { SUPERVISOR_SAFE_UPDATES: safe }));
      await put();
      await settled(agent);
      const took = await untilStarted(docker, ["web"], () => put({ round: String(round) }));
      if (round > 0) times[safe].push(took);
      await settled(agent);
      await agent.stop();
    }
  await sweep(docker);
  return ratioRow("update without gates that is committed, beside one in local mode", ms, {
    baseline: median(times.off),
    ours: median(times.on),
    aim: { atMost: 1.1 },
  });
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
