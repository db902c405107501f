import { mustRun, type Run } from "./run.ts";

/** The agent's chains, their rules in iptables' syntax, and the jumps to these chains. */
export interface Ruleset {
  readonly table: "filter" | "nat";
  readonly chains: Readonly<Record<string, readonly string[]>>;
  readonly jumps: readonly Jump[];
}

interface Jump {
  readonly from: string;
  readonly to: string;
  /** The packets that jump, in iptables' syntax. Empty means all packets. */
  readonly match: string;
  /** Before the other rules of the chain `from`, or after them. */
  readonly at: "first" | "last";
}

/**
 * The input of `iptables-restore --noflush` that sets our chains to exactly these rules, with each jump once. Other rules
 * do not change. iptables applies all of it or none. `saved` is the output of `iptables-save`. An existing jump keeps its
 * position.
 */
export function toRestore({ table, chains, jumps }: Ruleset, saved: string): string {
  return lines([
    `*${table}`,
    // This line creates a user-defined chain, or empties an existing one.
    ...Object.keys(chains).map((chain) => `:${chain} - [0:0]`),
    ...Object.entries(chains).flatMap(([chain, rules]) => rules.map((rule) => `-A ${chain} ${rule}`)),
    ...jumps.flatMap((jump) => {
      const [, ...doubles] = existing(saved, jump);
      if (existing(saved, jump).length > 0) return doubles.map(toDelete);
      const rule = [jump.match, `-j ${jump.to}`].filter(Boolean).join(" ");
      return [jump.at === "first" ? `-I ${jump.from} 1 ${rule}` : `-A ${jump.from} ${rule}`];
    }),
    "COMMIT",
  ]);
}

/** The input of `iptables-restore` that removes our chains and jumps. Undefined if none of our chains exists. */
export function toRemove({ table, chains, jumps }: Ruleset, saved: string): string | undefined {
  const present = Object.keys(chains).filter((chain) =>
    saved.split("\n").some((line) => line.startsWith(`:${chain} `)),
  );
  if (present.length === 0) return undefined;
  return lines([
    `*${table}`,
    ...jumps.flatMap((jump) => existing(saved, jump).map(toDelete)),
    ...present.map((chain) => `-F ${chain}`),
    ...present.map((chain) => `-X ${chain}`),
    "COMMIT",
  ]);
}

/** Finds a jump by its target, because iptables-save can write its match differently. */
const existing = (saved: string, { from, to }: Jump): string[] =>
  saved.split("\n").filter((line) => line.startsWith(`-A ${from} `) && line.endsWith(` -j ${to}`));

const toDelete = (line: string): string => line.replace(/^-A/, "-D");

const lines = (all: readonly string[]): string => `${all.join("\n")}\n`;

/** The kernel's packet filter, for one family of addresses. */
export class Iptables {
  readonly #run: Run;
  readonly #name: "iptables" | "ip6tables";

  constructor(family: 4 | 6, run: Run) {
    this.#name = family === 4 ? "iptables" : "ip6tables";
    this.#run = run;
  }

  async apply(rules: Ruleset): Promise<void> {
    await this.#restore(toRestore(rules, await this.#saved(rules.table)));
  }

  async remove(rules: Ruleset): Promise<void> {
    const text = toRemove(rules, await this.#saved(rules.table));
    if (text !== undefined) await this.#restore(text);
  }

  #saved(table: string): Promise<string> {
    return mustRun(this.#run, `${this.#name}-save`, ["-t", table]);
  }

  async #restore(text: string): Promise<void> {
    // Wait up to 10 s for the xtables lock, because other programs change rules too.
    await mustRun(this.#run, `${this.#name}-restore`, ["--noflush", "-w", "10"], text);
  }
}
