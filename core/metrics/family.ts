/** A metric family. Counters end in `_total`, infos in `_info`; a unit is the last word before that. */
export interface Family {
  readonly name: `fairlead_${string}` | `process_${string}`;
  readonly type: "counter" | "gauge" | "histogram" | "info";
  /** One sentence, without its full stop. */
  readonly help: string;
  readonly labels?: readonly string[];
}

export const counter = <const N extends Family["name"] & `${string}_total`>(
  name: N,
  help: string,
  ...labels: string[]
) => ({ name, type: "counter", help, labels }) as const;
export const gauge = (name: Family["name"], help: string, ...labels: string[]): Family => ({
  ...{ name, type: "gauge", help, labels },
});
export const info = <const N extends Family["name"] & `${string}_info`>(name: N, help: string, ...labels: string[]) =>
  ({ name, type: "info", help, labels }) as const;
