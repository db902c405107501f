import autocannon from "autocannon";
import Docker from "dockerode";
import { sweep } from "../test/support/docker.ts";
import { startBare, startBuilt, answerOf, type EngineKind, type Served } from "./processes.ts";
import { mb, median, ms, perSecond, ratioRow, type Row } from "./table.ts";
import { post, settled, threeServices } from "./target.ts";

/** Process start → first 200 on `/ping`. */
export async function startRow(engine: EngineKind, rounds: number): Promise<Row> {
  const bare: number[] = [];
  const ours: number[] = [];
  // The first of each reads the files from the disk, and does not count.
  for (let round = 0; round <= rounds; round++)
    for (const [times, start] of [[bare, startBare] as const, [ours, () => startBuilt(engine)] as const]) {
      const served = await start();
      await served.stop();
      if (round > 0) times.push(served.startMs);
    }
  const what = `process start → first 200 on /ping (${engine})`;
  return ratioRow(what, ms, { baseline: median(bare), ours: median(ours), aim: { atMost: 3 }, original: "550 ms" });
}

const connections = 16;

/** Seconds per round: autocannon counts in whole ones. */
const duration = 3;

/** Requests per second that were answered. */
async function load(
  url: string,
  options: { readonly amount: number } | { readonly duration: number },
): Promise<number> {
  const { errors, non2xx, requests, duration } = await autocannon({ url, connections, ...options });
  if (errors > 0 || non2xx > 0) throw new Error(`${url}: ${errors} errors, ${non2xx} answers that are not 2xx`);
  return requests.total / duration;
}

const paths = [
  { path: "/ping", aim: 0.6, original: "5,700 /s" },
  { path: "/v1/device", aim: 0.4, original: "260 /s" },
  { path: "/v2/applications/state", aim: 0.4, original: "190 /s" },
];

/** Memory at rest with three services, requests per second, and memory after all that. */
export async function loadRows(engine: EngineKind, image: string, rounds: number): Promise<Row[]> {
  const agent = await startBuilt(engine);
  await post(agent, threeServices(image));
  await settled(agent);
  const answers = await Promise.all(paths.map(async ({ path }) => [path, await answerOf(agent.url + path)] as const));
  const bare = await startBare(Object.fromEntries(answers));
  try {
    await new Promise((resolve) => setTimeout(resolve, 3000));
    const idle = { bare: bare.rss(), ours: agent.rss() };
    const rows = [
      ratioRow(`RSS idle with 3 services (${engine})`, mb, {
        baseline: idle.bare,
        ours: idle.ours,
        aim: { atMost: 1.5 },
        original: "97 MB",
      }),
    ];
    for (const one of [bare, agent]) await load(`${one.url}/v1/device`, { amount: 100_000 });
    const loaded = { bare: bare.rss(), ours: agent.rss() };
    const growth = loaded.ours / idle.ours - 1;
    rows.push({
      what: "RSS after 100,000 requests of /v1/device",
      baseline: `${mb(loaded.bare)}, ${percent(loaded.bare / idle.bare - 1)} more`,
      ours: mb(loaded.ours),
      original: "270 MB",
      ratio: growth,
      shown: `${percent(growth)} more`,
      aim: { atMost: 0.1 },
      aimShown: "≤ 10 % more",
    });
    for (const { path, aim, original } of paths)
      rows.push(await loadRow(path, aim, original, { bare, ours: agent, rounds }));
    return rows;
  } finally {
    await Promise.all([bare.stop(), agent.stop()]);
    if (engine === "docker") await sweep(new Docker());
  }
}

const percent = (share: number): string => `${Math.round(share * 100)} %`;

/** Both in turn, so that a busy machine slows both down. */
async function loadRow(
  path: string,
  atLeast: number,
  original: string,
  { bare, ours, rounds }: { readonly bare: Served; readonly ours: Served; readonly rounds: number },
): Promise<Row> {
  const rate = (server: Served): Promise<number> => load(server.url + path, { duration });
  const rates = { bare: [] as number[], ours: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    rates.bare.push(await rate(bare));
    rates.ours.push(await rate(ours));
  }
  return ratioRow(`requests per second: ${path}`, perSecond, {
    baseline: median(rates.bare),
    ours: median(rates.ours),
    aim: { atLeast },
    original,
  });
}
