import type { Family } from "./family.ts";

/** A value of a family with its labels. */
export interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

export type Labels = Readonly<Record<string, string | number>>;

/** A distribution: `counts` has the number of values for each of the upper bounds, and one for what is above all of them. */
export interface Distribution {
  readonly labels: Labels;
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
  readonly sum: number;
}

/** A family with what was read for it. */
export interface Reading {
  readonly family: Family;
  readonly samples: readonly (Sample | Distribution)[];
}

/** Readings as text in one of both forms. A family without samples is left out. */
export function render(readings: readonly Reading[], form: "text" | "openMetrics"): string {
  const isOpen = form === "openMetrics";
  let text = "";
  for (const { family, samples } of readings) {
    if (samples.length === 0) continue;
    const { name, type, help } = family;
    const base = isOpen ? baseOf(family) : name;
    const unit = isOpen && units.find((one) => base.endsWith(`_${one}`));
    text += `# HELP ${base} ${escapeHelp(help)}\n# TYPE ${base} ${type === "info" && !isOpen ? "gauge" : type}\n`;
    if (unit) text += `# UNIT ${base} ${unit}\n`;
    for (const sample of samples) text += "counts" in sample ? distribution(name, sample) : line(name, sample);
  }
  return isOpen ? `${text}# EOF\n` : text;
}

const units = ["seconds", "bytes", "celsius", "ratio"];

/** OpenMetrics names a family without the suffix of its samples. */
const baseOf = ({ name, type }: Family): string =>
  type === "counter" ? name.replace(/_total$/, "") : type === "info" ? name.replace(/_info$/, "") : name;

const line = (name: string, { labels, value }: Sample): string => `${name}${toText(labels)} ${value}\n`;

function distribution(name: string, { labels, bounds, counts, sum }: Distribution): string {
  let text = "";
  let count = 0;
  for (const [n, one] of counts.entries()) {
    count += one;
    const bound = bounds[n];
    const le = bound === undefined ? "+Inf" : Number.isInteger(bound) ? `${bound}.0` : String(bound);
    text += line(`${name}_bucket`, { labels: { ...labels, le }, value: count });
  }
  return text + line(`${name}_sum`, { labels, value: sum }) + line(`${name}_count`, { labels, value: count });
}

function toText(labels: Labels): string {
  let text = "";
  for (const name in labels) text += `${text && ","}${name}="${escape(String(labels[name]))}"`;
  return text && `{${text}}`;
}

const special = /[\\"\n]/;

const escape = (text: string): string =>
  special.test(text) ? text.replace(/[\\"]/g, "\\$&").replace(/\n/g, "\\n") : text;

const escapeHelp = (text: string): string => text.replace(/\\/g, "\\\\").replace(/\n/g, "\\n");
