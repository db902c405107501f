import { parseArgs } from "node:util";
import { startWorkerd } from "../relay/workerd.ts";
import { aligned } from "../table.ts";
import { diskLines } from "./disk-lines.ts";
import type { Line } from "./fleet.ts";
import { releaseLines } from "./release-lines.ts";
import { wireLines } from "./wire-lines.ts";

/**
 * `npm run bench:fleet`: what it costs to have a cloud: the Worker on workerd itself, and agents on the engine in memory;
 * each figure beside what it is without the cloud, or without what makes it cheap, from the same run; medians. The names
 * of parts (release, wire, disk) as arguments choose some of them; `--rounds 1` takes fewer.
 */

const { values, positionals: chosen } = parseArgs({
  options: { rounds: { type: "string", default: "5" } },
  allowPositionals: true,
});
const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1)
  throw new Error(`--rounds: expected a number of rounds, but got ${values.rounds}`);

const parts = { release: releaseLines, wire: wireLines, disk: diskLines };
const unknown = chosen.filter((name) => !(name in parts));
if (unknown.length > 0)
  throw new Error(`Expected parts of ${Object.keys(parts).join(", ")}, but got ${unknown.join(", ")}`);

const toCells = ({ what, unit, baseline, ours, original }: Line): readonly string[] => [
  what,
  baseline === undefined ? "" : unit(baseline),
  unit(ours),
  baseline ? `${(ours / baseline).toFixed(2)} ×` : "",
  original ?? "",
];

const notes = `
Wire: what TCP carries, without TLS and the headers of TCP and IP. An idle day is put together of its parts: polls at the
cloud's interval (600 s, and by chance up to 60 s more), a ping each 30 s, which the platform answers without waking an
object, and reports: none as long as nothing changes, one in 300 s at most. An update is counted with its reports and log
lines; its bytes also with the nudge, which comes by the tunnel and is no request of the device's. The original's figures
are its intervals (600 to 660 s, 300 s) over a day.
Release: all agents share one process with those that measure; the baseline is the same agents without a cloud, and the
same target state put into them.
Disk: write_bytes of the built program in as many idle minutes as there are rounds, made a day, and what its polls add;
whole pages, so that less than one in these minutes shows as nothing.
`;

const cloud = await startWorkerd();
try {
  const lines: Line[] = [];
  for (const [name, measure] of Object.entries(parts))
    if (chosen.length === 0 || chosen.includes(name)) lines.push(...(await measure(cloud, rounds)));
  const table = [["what", "baseline", "ours", "ratio", "the original"], ...lines.map(toCells)];
  process.stdout.write(`${aligned(table)}\n${notes}`);
} finally {
  await cloud.stop();
}
// Whatever a client keeps open is no reason to stay.
process.exit(0);
