/**
 * The media type that a request's `Accept` prefers: the first of several that it likes as much, or of all if it likes none.
 * Parameters other than `q` are ignored.
 */
export function preferredOf(offered: readonly [string, ...string[]], accept: string | null): string {
  const ranges = (accept ?? "*/*").toLowerCase().split(",").map(toRange);
  let [best]: readonly string[] = offered;
  let bestWeight = 0;
  for (const type of offered) {
    const weight = weightOf(type.split(";")[0] ?? "", ranges);
    if (weight > bestWeight) [best, bestWeight] = [type, weight];
  }
  return best ?? offered[0];
}

interface Range {
  readonly type: string;
  readonly weight: number;
}

function toRange(text: string): Range {
  const [type = "", ...parameters] = text.split(";").map((part) => part.trim());
  const q = Number(parameters.find((one) => one.startsWith("q="))?.slice(2) ?? 1);
  return { type, weight: Number.isFinite(q) ? q : 0 };
}

/** The most exact range that fits counts; of several versions of a type, the one that is liked most. */
function weightOf(type: string, ranges: readonly Range[]): number {
  for (const name of [type, `${type.split("/")[0]}/*`, "*/*"]) {
    const fitting = ranges.filter((range) => range.type === name);
    if (fitting.length > 0) return Math.max(...fitting.map(({ weight }) => weight));
  }
  return 0;
}
