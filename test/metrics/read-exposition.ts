/** A line of an exposition, parsed as Prometheus does. */
export interface Line {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const labelPattern = /([a-z_]+)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/gy;

/** Throws at the first line that is neither a comment nor a sample. */
export const readExposition = (text: string): readonly Line[] =>
  text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("# "))
    .map((line) => {
      const [, name, braces = "", value] = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/s.exec(line) ?? [];
      const labels: Record<string, string> = {};
      let end = 0;
      for (const [whole, label = "", escaped = ""] of braces.matchAll(labelPattern)) {
        labels[label] = escaped.replace(/\\(.)/g, (_, one: string) => (one === "n" ? "\n" : one));
        end += whole.length;
      }
      if (name === undefined || end !== braces.length || !Number.isFinite(Number(value)))
        throw new Error(`No sample: ${line}`);
      return { name, labels, value: Number(value) };
    });
