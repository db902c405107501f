import { showDuration } from "../../core/model/duration.ts";
import type { Io } from "./io.ts";

/** Tables and lists for a terminal of any width, and for pipes. */

type Terminal = Pick<Io, "columns" | "style">;

const gap = "  ";
const narrowest = 8;

/**
 * A row for each object, a column for each field of the first one. In a terminal that is too narrow, the widest columns are
 * shortened, the first one last.
 */
export function table(rows: readonly object[], terminal: Terminal): string {
  const names = Object.keys(rows[0] ?? {});
  return toTable(
    names,
    rows.map((row) => {
      const cells: Readonly<Record<string, unknown>> = { ...row };
      return names.map((name) => cellOf(cells[name]));
    }),
    terminal,
  );
}

export function toTable(
  names: readonly string[],
  rows: readonly (readonly string[])[],
  { columns, style }: Terminal,
): string {
  const heads = names.map((name) => name.toUpperCase());
  const widths = heads.map((head, n) => Math.max(head.length, ...rows.map((row) => (row[n] ?? "").length)));
  if (columns !== undefined) shorten(widths, columns - gap.length * (widths.length - 1));
  const line = (row: readonly string[]) =>
    row
      .map((cell, n) => fit(cell, widths[n] ?? 0))
      .join(gap)
      .trimEnd();
  return [style("bold", line(heads)), ...rows.map(line)].map((text) => `${text}\n`).join("");
}

/** Reduces the widest column until the sum is at most `most`; the first column only when no other can be reduced. */
function shorten(widths: number[], most: number): void {
  let excess = widths.reduce((sum, width) => sum + width, 0) - most;
  for (; excess > 0; excess--) {
    const widest = widths.reduce((best, width, n) => (n > 0 && width > (widths[best] ?? 0) ? n : best), 1);
    const which = (widths[widest] ?? 0) > narrowest ? widest : 0;
    const width = widths[which] ?? 0;
    if (width <= narrowest) return;
    widths[which] = width - 1;
  }
}

const fit = (cell: string, width: number): string =>
  cell.length > width ? `${cell.slice(0, width - 1)}…` : cell.padEnd(width);

/** A line for each field of an object. A long value continues under its beginning. */
export function details(what: object, { columns, style }: Terminal): string {
  const fields = Object.entries(what).map(([name, value]) => [name, cellOf(value)] as const);
  const width = Math.max(0, ...fields.map(([name]) => name.length));
  const room = Math.max(20, (columns ?? Infinity) - width - gap.length);
  return fields
    .flatMap(([name, value]) =>
      chunks(value, room).map((part, n) =>
        `${style("bold", (n === 0 ? name : "").padEnd(width))}${gap}${part}`.trimEnd(),
      ),
    )
    .map((line) => `${line}\n`)
    .join("");
}

const chunks = (text: string, length: number): readonly string[] =>
  text.length <= length ? [text] : [text.slice(0, length), ...chunks(text.slice(length), length)];

/** One line. Control characters are replaced, since names and logs may contain terminal commands. */
export const cellOf = (value: unknown): string =>
  (value === null || value === undefined
    ? "-"
    : typeof value === "boolean"
      ? value
        ? "yes"
        : "no"
      : typeof value === "string"
        ? value
        : JSON.stringify(value)
  ).replace(/[\u0000-\u001f\u007f-\u009f]/g, "?");

/** In UTC, without fractions of a second. */
export const shortTime = (iso: string): string => iso.slice(0, 19).replace("T", " ");

/** How long ago: "40 s", "3 min", "5 h", "2 days". */
export const ageOf = (iso: string): string => showDuration(Date.now() - Date.parse(iso));
