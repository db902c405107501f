import * as z from "zod";
import * as api from "../../../core/api/admin/index.ts";
import { createClient } from "../../../core/api/client.ts";
import type { Environment, Print } from "../command.ts";
import type { Account } from "./account.ts";
import { SettingsError } from "../../node/settings-error.ts";

/** Types and functions that the commands of `fairlead cloud` share. */

export interface Context {
  readonly words: readonly string[];
  readonly options: Readonly<Record<string, string | boolean | undefined>>;
  readonly environment: Environment;
  readonly call: ReturnType<typeof createClient>;
  readonly account: () => Account;
  readonly print: Print;
  /** Prints rows as a table, or as JSON with `--json`. */
  readonly show: (what: object | readonly object[]) => void;
}

export interface Command {
  /** Without `fairlead cloud`: `fleet create <name>`. An … at the end means that the last argument may be repeated. */
  readonly usage: string;
  readonly hint: string;
  /** With `--fleet`, the first argument is omitted. */
  readonly orFleet?: true;
  /** Resolves with the exit status; undefined means 0. */
  readonly run: (context: Context) => Promise<number | void>;
}

export const clientOf = ({ url, token }: Account): ReturnType<typeof createClient> =>
  createClient({ base: url, headers: { authorization: `Bearer ${token}` }, fetch: (request) => reach(url, request) });

/** Throws `SettingsError` if the cloud cannot be reached: the user can correct the URL or the network. */
export async function reach(url: string, request: Request): Promise<Response> {
  try {
    return await fetch(request);
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new SettingsError(`${url} cannot be reached: ${cause}`);
  }
}

interface AnyReply {
  readonly status: number;
  readonly body?: unknown;
}

/** The body of an answer with this status. Throws `SettingsError` with the cloud's message for any other status. */
export function expectStatus<R extends AnyReply, S extends R["status"]>(
  answer: R,
  status: S,
): Extract<R, { status: S }>["body"] {
  if (isOf(answer, status)) return answer.body;
  const said = Refusal.safeParse(answer.body).data?.error ?? JSON.stringify(answer.body) ?? "";
  throw new SettingsError(`The cloud refuses (${answer.status}): ${said}`);
}

const isOf = <R extends AnyReply, S extends R["status"]>(answer: R, status: S): answer is Extract<R, { status: S }> =>
  answer.status === status;

const Refusal = z.object({ error: z.string() });

export async function findFleet(call: Context["call"], nameOrId: string): Promise<api.Fleet> {
  const all = expectStatus(await call(api.fleets), 200);
  const found = all.find(({ id, name }) => name.toLowerCase() === nameOrId.toLowerCase() || String(id) === nameOrId);
  if (found) return found;
  const names = all.map(({ name }) => name).join(", ");
  throw new SettingsError(`There is no fleet ${JSON.stringify(nameOrId)}, only: ${names || "none yet"}`);
}

export const text = (option: string | boolean | undefined): string | undefined =>
  typeof option === "string" ? option : undefined;

/** A row for each object; each column is as wide as its longest cell. */
export function table(what: object | readonly object[]): string {
  const rows = (Array.isArray(what) ? what : [what]).map((one) =>
    Object.entries(one).map(
      ([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)] as const,
    ),
  );
  const [first] = rows;
  if (!first) return "None\n";
  const lines = [first.map(([name]) => name), ...rows.map((row) => row.map(([, value]) => value))];
  const widths = first.map((_, n) => Math.max(...lines.map((line) => line[n]?.length ?? 0)));
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, n) => cell.padEnd(widths[n] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}
