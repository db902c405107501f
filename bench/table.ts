/** One line of the table: what was measured, beside what and against which aim. */
export interface Row {
  readonly what: string;
  /** As people read it, with its unit. */
  readonly baseline: string;
  readonly ours: string;
  /** What is compared with the aim. */
  readonly ratio: number;
  /** As people read it. */
  readonly shown: string;
  readonly aim: { readonly atMost: number } | { readonly atLeast: number };
  readonly aimShown: string;
  /** The original's figure on a machine like ours. */
  readonly original?: string;
}

export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

/** A row whose aim is a multiple of the baseline. */
export function ratioRow(
  what: string,
  unit: (value: number) => string,
  { baseline, ours, aim, original }: { baseline: number; ours: number; aim: Row["aim"]; original?: string },
): Row {
  return {
    what,
    baseline: unit(baseline),
    ours: unit(ours),
    ratio: ours / baseline,
    shown: `${(ours / baseline).toFixed(2)} ×`,
    aim,
    aimShown: "atMost" in aim ? `≤ ${aim.atMost} ×` : `≥ ${aim.atLeast} ×`,
    ...(original && { original }),
  };
}

const isReached = ({ ratio, aim }: Row): boolean => ("atMost" in aim ? ratio <= aim.atMost : ratio >= aim.atLeast);

export function toMarkdown(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    row.what,
    row.baseline,
    row.original ? `${row.ours} (${row.original})` : row.ours,
    row.shown,
    row.aimShown,
    isReached(row) ? "reached" : "MISSED",
  ]);
  return aligned([["what", "baseline", "ours (the original)", "ratio", "to reach", "verdict"], ...cells]);
}

/** Markdown of a table, its headings first. */
export function aligned(table: readonly (readonly string[])[]): string {
  const widths = table[0]?.map((_, column) => Math.max(...table.map((line) => line[column]?.length ?? 0))) ?? [];
  const lines = table.map((line) => `| ${line.map((cell, n) => cell.padEnd(widths[n] ?? 0)).join(" | ")} |`);
  return [lines[0], `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...lines.slice(1)].join("\n");
}

export const ms = (value: number): string => (value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`);
export const mb = (value: number): string => `${value.toFixed(0)} MB`;
export const perSecond = (value: number): string => `${Math.round(value).toLocaleString("en")} /s`;
