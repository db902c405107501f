import type { DeviceClient } from "../../../core/client/index.ts";
import { celsius, megabytes, percent } from "../format.ts";
import { counted, words } from "../words.ts";

export const dayMs = 86_400_000;

const figureNames = [
  ...(["cpuPercent", "memoryUsedMb", "memoryTotalMb"] as const),
  ...(["storageUsedMb", "storageTotalMb", "cpuCelsius"] as const),
] as const;

/** Figures of the machine. A value that it does not have is absent. */
export type Figures = { readonly [_ in (typeof figureNames)[number]]?: number };

/** Those in a line of the stream. */
export function figuresIn(line: Readonly<Record<string, unknown>>): Figures {
  const named = figureNames.map((name) => [name, line[name]] as const);
  return Object.fromEntries(named.filter(([, value]) => typeof value === "number"));
}

export type History = Awaited<ReturnType<DeviceClient["metricsHistory"]>>;

/** A series of values in time; null: not measured. */
export interface Series {
  readonly at: readonly number[];
  readonly values: readonly (number | null)[];
}

export interface Figure {
  readonly name: string;
  /** The value now as people read it; undefined: not measured. */
  readonly shown: string | undefined;
  readonly note?: string | undefined;
  readonly series: Series;
  /** The value at the upper edge. */
  readonly top: number;
  readonly show: (value: number) => string;
}

/** Figures of the machine, each with what it was in the last day. */
export function figuresOf(now: Figures | undefined, history: History | undefined): readonly Figure[] {
  const t = words.value.figures;
  const { at = [], cpuPercent = [], memoryUsedMb = [], storageUsedMb = [], cpuCelsius = [] } = history?.samples ?? {};
  const memoryTop = now?.memoryTotalMb ?? history?.memoryTotalMb ?? 1;
  const storageTop = now?.storageTotalMb ?? history?.storageTotalMb ?? 1;
  const latest = (value: number | undefined, values: readonly (number | null)[]) => value ?? values.at(-1) ?? undefined;
  const cpu = latest(now?.cpuPercent, cpuPercent);
  const memory = latest(now?.memoryUsedMb, memoryUsedMb);
  const storage = latest(now?.storageUsedMb, storageUsedMb);
  const heat = latest(now?.cpuCelsius, cpuCelsius);
  const days = daysUntilFull({ at, values: storageUsedMb }, storageTop);
  return [
    {
      name: t.cpu,
      shown: cpu === undefined ? undefined : percent(cpu),
      series: { at, values: cpuPercent },
      top: 100,
      show: percent,
    },
    {
      ...{ name: t.memory, series: { at, values: memoryUsedMb }, top: memoryTop, show: megabytes },
      shown: memory === undefined ? undefined : megabytes(memory),
      note: memory === undefined ? undefined : percent((memory / memoryTop) * 100),
    },
    {
      ...{ name: t.disk, series: { at, values: storageUsedMb }, top: storageTop, show: megabytes },
      shown: storage === undefined ? undefined : percent((storage / storageTop) * 100),
      note: days === undefined ? undefined : counted(days, t.full),
    },
    {
      name: t.temperature,
      shown: heat === undefined ? undefined : celsius(heat),
      series: { at, values: cpuCelsius },
      top: 100,
      show: celsius,
    },
  ];
}

const longestForecastDays = 30;
const shortestSpanMs = 6 * 3_600_000;

/** By the growth between the first and the last value; undefined if that says nothing. */
export function daysUntilFull({ at, values }: Series, total: number): number | undefined {
  const [first, last] = [values[0], values.at(-1)];
  const spanMs = (at.at(-1) ?? 0) - (at[0] ?? 0);
  if (typeof first !== "number" || typeof last !== "number" || spanMs < shortestSpanMs || last <= first)
    return undefined;
  const days = ((total - last) / (last - first)) * (spanMs / dayMs);
  return days <= longestForecastDays ? Math.max(0, Math.round(days)) : undefined;
}

export function sentenceOf({ name, series, show, shown }: Figure): string {
  const t = words.value.figures;
  const known = series.values.filter((value) => value !== null);
  if (known.length === 0 || shown === undefined) return `${name}: ${shown ?? t.none}`;
  return t.range(name, show(Math.min(...known)), show(Math.max(...known)), shown);
}
