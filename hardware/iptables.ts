import { mustRun, type Run } from "./run.ts";

/** Rules of ours: chains with their rules, in the words of iptables, and from where they are jumped to. */
export interface Ruleset {
  readonly table: "filter" | "nat";
  readonly chains: Readonly<Record<string, readonly string[]>>;
  readonly jumps: readonly Jump[];
}

interface Jump {
  readonly from: string;
  readonly to: string;
  /** Which packets; empty: all. */
  readonly match: string;
  /** Before the rules of others, or after them. */
  readonly at: "first" | "last";
}

/**
 * What `iptables-restore --noflush` is given to make our chains hold exactly these rules, each jumped to once, while
 * everything else stays as it is: all of it at once, or nothing. `saved` is what `iptables-save` says. A jump that is
 * there keeps its place.
 */
export function toRestore({ table, chains, jumps }: Ruleset, saved: string): string {
  return lines([
    `*${table}`,
    // In front of a chain of one's own, this makes it, or empties it.
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

/** The same, to leave nothing of ours behind. Undefined: there is nothing. */
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

/** Recognised by where they lead: iptables says what they match in words of its own. */
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
    // Others change rules too, and hold the lock meanwhile.
    await mustRun(this.#run, `${this.#name}-restore`, ["--noflush", "-w", "10"], text);
  }
}
