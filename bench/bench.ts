import { parseArgs } from "node:util";
import { noBrowser } from "../test/support/chromium.ts";
import { noDocker } from "../test/support/docker.ts";
import { clientRow, eventRow } from "./client-rows.ts";
import { benchImage, callsRow, engineRows, metricsRow } from "./engine-rows.ts";
import { loadRows, startRow } from "./http-rows.ts";
import { pageRows } from "./page-rows.ts";
import { plannerRow } from "./planner-row.ts";
import { toMarkdown, type Row } from "./table.ts";
import { commitRow, downtimeRow, handOverRow, returnRow, ungatedRow, updateRows, watchRow } from "./update-rows.ts";

/**
 * `npm run bench`: what the agent costs, each figure beside a baseline that was measured in the same minutes, turn by
 * turn; medians. With a Docker engine at DOCKER_HOST, also what it adds to the engine's own time.
 * The names of parts (start, load, planner, page, client, engine, calls, metrics, updates) as arguments choose some of them; `--rounds 3` takes fewer.
 * `--before <folder of another build>` compares updates with those of that build, too.
 */

const { values, positionals: chosen } = parseArgs({
  options: { rounds: { type: "string", default: "7" }, before: { type: "string" } },
  allowPositionals: true,
});
const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1)
  throw new Error(`--rounds: expected a number of rounds, but got ${values.rounds}`);

const engine = noDocker === undefined ? "docker" : "embedded";
const image = noDocker === undefined ? await benchImage() : "fairlead-bench:1";

const parts: Readonly<Record<string, () => Promise<readonly Row[]>>> = {
  start: async () => [await startRow(engine, rounds)],
  load: () => loadRows(engine, image, rounds),
  planner: async () => [await plannerRow(), await plannerRow({ safe: true })],
  client: async () => [
    await clientRow(engine, image, rounds),
    ...(noDocker === undefined ? [await eventRow(image, rounds)] : []),
  ],
  ...(noBrowser === undefined && { page: () => pageRows(engine, image, rounds) }),
  ...(noDocker === undefined && {
    engine: () => engineRows(rounds),
    calls: async () => [await callsRow()],
    updates: async () => [
      await downtimeRow(image, rounds, false),
      await downtimeRow(image, rounds, true),
      await handOverRow(image),
      ...(values.before === undefined ? [] : [await ungatedRow(image, rounds, values.before)]),
      await commitRow(image, rounds),
      await returnRow(image, rounds),
      await watchRow(image),
      ...(await updateRows(image, rounds)),
    ],
    metrics: async () => [await metricsRow()],
  }),
};

const unknown = chosen.filter((name) => !(name in parts));
if (unknown.length > 0)
  throw new Error(
    `Expected parts of ${Object.keys(parts).join(", ")}, but got ${unknown.join(", ")}. ${noDocker ?? ""}`,
  );

const rows: Row[] = [];
for (const [name, measure] of Object.entries(parts)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue;
  process.stderr.write(`measuring: ${name}\n`);
  rows.push(...(await measure()));
}
process.stdout.write(`${toMarkdown(rows)}\n`);
if (noDocker !== undefined) process.stdout.write(`\nLeft out, and measured on the engine in memory: ${noDocker}\n`);
// Whatever a client of the engine keeps open is no reason to stay.
process.exit(0);
