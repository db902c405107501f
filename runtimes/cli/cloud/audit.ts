import { setTimeout as sleep } from "node:timers/promises";
import * as api from "../../../core/api/admin/index.ts";
import { command, fleetOption, wholeNumber } from "../command.ts";
import { cellOf, shortTime } from "../table.ts";
import { cloudOf, expectStatus, findFleet } from "./client.ts";

const usualCount = 100;
/** The cloud's limit for one answer. */
const most = 500;
const pollMs = 2000;

export const audit = command({
  options: {
    fleet: { ...fleetOption, hint: "only what was done to this fleet" },
    count: { type: "string", short: "n", value: "<n>", hint: `how many of the last entries (default: ${usualCount})` },
    follow: { type: "boolean", short: "f", hint: "keep printing new entries" },
  },
  run: async ({ options, environment, print, columns }) => {
    const count = wholeNumber("count", options.count) ?? usualCount;
    const cloud = cloudOf({ environment });
    const of = options.fleet === undefined ? {} : { fleetId: (await findFleet(cloud, options.fleet)).id };
    const ask = async (params: object) => expectStatus(await cloud.audit.reply({ params: { ...of, ...params } }), 200);

    const latest: api.AuditEntry[] = [];
    for (let page = [...latest]; latest.length < count;) {
      const before = page.at(-1)?.id;
      page = await ask({ limit: Math.min(most, count - latest.length), ...(before !== undefined && { before }) });
      if (page.length === 0) break;
      latest.push(...page);
    }
    const entries = latest.toReversed();
    if (options.json && !options.follow) return print(`${JSON.stringify(entries, undefined, 2)}\n`);
    const line = (entry: api.AuditEntry) =>
      options.json ? JSON.stringify(entry) : cut(toLine(cellsOf(entry)), columns);
    if (!options.json) print(`${cut(toLine(heading), columns)}\n`);
    for (const entry of entries) print(`${line(entry)}\n`);
    for (let after = entries.at(-1)?.id ?? 0; options.follow;) {
      await sleep(pollMs);
      for (const entry of await ask({ after, limit: most })) {
        print(`${line(entry)}\n`);
        after = entry.id;
      }
    }
  },
});

const heading = ["TIME", "STATUS", "WHO", "DID", "ON", "ADDRESS", "ABOUT"];
const widths = [19, 6, 20, 22, 12, 15, 0];

const cellsOf = ({ at, status, who, name, operation, count, uuid, fleetId, address, about }: api.AuditEntry) => [
  shortTime(at),
  String(status),
  name ?? who,
  count > 1 ? `${operation} ×${count}` : operation,
  uuid?.slice(0, 12) ?? (fleetId === null ? "-" : `fleet ${fleetId}`),
  address ?? "-",
  about ?? "",
];

const toLine = (cells: readonly string[]): string =>
  cells
    .map((cell, n) => cellOf(cell).padEnd(widths[n] ?? 0))
    .join("  ")
    .trimEnd();

/** Shortens a line to the width of the terminal, if standard output is one. */
const cut = (line: string, columns: number | undefined): string =>
  columns !== undefined && line.length > columns ? `${line.slice(0, columns - 1)}…` : line;
