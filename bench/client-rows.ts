import Docker from "dockerode";
import * as z from "zod";
import { createClient } from "../core/client/index.ts";
import { sweep } from "../test/support/docker.ts";
import { startBuilt, type EngineKind } from "./processes.ts";
import { median, ms, ratioRow, type Row } from "./table.ts";
import { post, settled, threeServices } from "./target.ts";

const requests = 300;

/** A request after another, with `fairlead/client` and with fetch. */
export async function clientRow(engine: EngineKind, image: string, rounds: number): Promise<Row> {
  const agent = await startBuilt(engine);
  try {
    await post(agent, threeServices(image));
    await settled(agent);
    const client = createClient({ baseUrl: agent.url });
    const ways = {
      bare: async () => (await fetch(`${agent.url}/v1/device`)).json(),
      ours: () => client.device(),
    };
    const times = { bare: [] as number[], ours: [] as number[] };
    // Request by request, so that a busy machine slows both down. The first round is compiled while it runs.
    for (let n = 0; n < requests * (rounds + 1); n++)
      for (const name of ["bare", "ours"] as const) {
        const begun = performance.now();
        await ways[name]();
        if (n >= requests) times[name].push(performance.now() - begun);
      }
    return ratioRow("GET /v1/device with fairlead/client, beside fetch", ms, {
      ...{ baseline: median(times.bare), ours: median(times.ours), aim: { atMost: 1.05 } },
    });
  } finally {
    await agent.stop();
    if (engine === "docker") await sweep(new Docker());
  }
}

const readers = 16;
const killed = ["web_1_1_c1", "db_2_1_c1", "cache_3_1_c1"];

const Died = z.object({ Actor: z.object({ Attributes: z.object({ name: z.string() }) }) });

/** From `docker kill` to the last of 16 readers of `/v3/stream`, beside the engine's own stream of events. */
export async function eventRow(image: string, rounds: number): Promise<Row> {
  const docker = new Docker();
  await sweep(docker);
  const agent = await startBuilt("docker");
  const end = new AbortController();
  try {
    await post(agent, threeServices(image));
    await settled(agent);
    const heard = { engine: [] as number[], readers: [] as number[] };
    const filters = JSON.stringify({ type: ["container"], event: ["die"] });
    const stream = await docker.getEvents({ filters });
    stream.on("data", (bytes) => {
      for (const line of String(bytes).split("\n").filter(Boolean))
        if (killed.includes(Died.parse(JSON.parse(line)).Actor.Attributes.name)) heard.engine.push(performance.now());
    });
    let connected = 0;
    const read = async () => {
      const client = createClient({ baseUrl: agent.url });
      for await (const line of client.follow({ events: true, signal: end.signal }))
        if (line.is === "hello") connected++;
        else if (line.is === "event" && line.kind === "serviceExited" && line.by === "exit")
          heard.readers.push(performance.now());
    };
    const reading = Array.from({ length: readers }, () => read().catch(() => undefined));
    const until = async (isTrue: () => boolean | Promise<boolean>) => {
      for (let tries = 0; tries < 3000; tries++) {
        if (await isTrue()) return;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      throw new Error(
        `Half a minute has passed: of ${readers} readers, ${connected} are connected, and ${heard.readers.length} have heard`,
      );
    };
    await until(() => connected === readers);
    const times = { engine: [] as number[], ours: [] as number[] };
    for (let round = 0; round <= rounds; round++) {
      // The agent does not tell more than three exits of a service within minutes.
      const name = killed[round % killed.length] ?? "";
      const container = docker.getContainer(name);
      [heard.engine, heard.readers] = [[], []];
      const begun = performance.now();
      await container.kill();
      await until(() => heard.engine.length > 0 && heard.readers.length >= readers);
      if (round > 0) {
        times.engine.push((heard.engine[0] ?? NaN) - begun);
        times.ours.push(Math.max(...heard.readers) - begun);
      }
      // A container that somebody has stopped stays so.
      await container.start();
      await settled(agent);
    }
    end.abort();
    await Promise.all(reading);
    const [baseline, ours] = [median(times.engine), median(times.ours)];
    const more = ours - 1.2 * baseline;
    return {
      what: `docker kill → the last of ${readers} readers of /v3/stream, beside the engine's own events`,
      ...{ baseline: ms(baseline), ours: ms(ours), ratio: more },
      ...{ shown: `1.2 × and ${Math.round(more)} ms`, aim: { atMost: 50 }, aimShown: "≤ 1.2 × and 50 ms" },
    };
  } finally {
    end.abort();
    await agent.stop();
    await sweep(docker);
  }
}
