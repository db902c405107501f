import { setTimeout as sleep } from "node:timers/promises";
import * as api from "../../../core/api/admin/index.ts";
import { expectStatus, findFleet, text, type Command, type Context } from "./command.ts";
import { SettingsError } from "../../node/settings-error.ts";

export const auditCommand: Command = {
  usage: "audit",
  hint: "list the last --count changes, of all fleets or of --fleet; with --follow, also new ones",
  run: printAudit,
};

const usualCount = 100;
/** The cloud's limit for one answer. */
const most = 500;
const pollMs = 2000;

async function printAudit({ options, call, print }: Context): Promise<void> {
  const fleet = text(options["fleet"]);
  const of = fleet === undefined ? {} : { fleetId: (await findFleet(call, fleet)).id };
  const count = Number(text(options["count"]) ?? usualCount);
  if (!Number.isInteger(count) || count < 1)
    throw new SettingsError(`--count: expected a number above 0, but got ${JSON.stringify(options["count"])}`);
  const ask = async (params: object) => expectStatus(await call(api.audit, { params: { ...of, ...params } }), 200);

  const latest: api.AuditEntry[] = [];
  for (let page = [...latest]; latest.length < count;) {
    const before = page.at(-1)?.id;
    page = await ask({ limit: Math.min(most, count - latest.length), ...(before !== undefined && { before }) });
    if (page.length === 0) break;
    latest.push(...page);
  }
  const isJson = options["json"] === true;
  const isFollowed = options["follow"] === true;
  const entries = latest.toReversed();
  if (isJson && !isFollowed) return print(`${JSON.stringify(entries, undefined, 2)}\n`);
  const columns = process.stdout.columns;
  const line = (entry: api.AuditEntry) => (isJson ? JSON.stringify(entry) : cut(toLine(cellsOf(entry)), columns));
  if (!isJson) print(`${cut(toLine(heading), columns)}\n`);
  for (const entry of entries) print(`${line(entry)}\n`);
  for (let after = entries.at(-1)?.id ?? 0; isFollowed;) {
    await sleep(pollMs);
    for (const entry of await ask({ after, limit: most })) {
      print(`${line(entry)}\n`);
      after = entry.id;
    }
  }
}

const heading = ["time", "status", "who", "did", "on", "address", "about"];
const widths = [19, 6, 20, 22, 12, 15, 0];

const cellsOf = ({ at, status, who, name, operation, count, uuid, fleetId, address, about }: api.AuditEntry) => [
  at.slice(0, 19).replace("T", " "),
  String(status),
  name ?? who,
  count > 1 ? `${operation} ×${count}` : operation,
  uuid?.slice(0, 12) ?? (fleetId === null ? "-" : `fleet ${fleetId}`),
  address ?? "-",
  about ?? "",
];

/** A table row. Control characters are replaced, since names may contain terminal commands. */
const toLine = (cells: readonly string[]): string =>
  cells
    .map((cell, n) => cell.replace(/[\u0000-\u001f\u007f-\u009f]/g, "?").padEnd(widths[n] ?? 0))
    .join("  ")
    .trimEnd();

/** Shortens a line to the width of the terminal, if standard output is one. */
const cut = (line: string, columns: number | undefined): string =>
  columns !== undefined && line.length > columns ? `${line.slice(0, columns - 1)}…` : line;
