import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import type { DeviceClient } from "../../../core/client/index.ts";
import { celsius, megabytes, percent } from "../format.ts";
import { now } from "../live/clock.ts";
import type { Figures } from "../live/device-store.ts";
import { Graph, type Series } from "../parts/graph.tsx";
import { counted, words } from "../words.ts";
import { useDevice } from "./context.ts";

const dayMs = 86_400_000;
const eachMs = 60_000;

export type History = Awaited<ReturnType<DeviceClient["metricsHistory"]>>;

/** The figures of the last day, read again each minute. Undefined: not read yet, or not for this key. */
function useHistory(): History | undefined {
  const { store } = useDevice();
  const history = useSignal<History | undefined>(undefined);
  const minute = Math.floor(now.value / eachMs);
  useEffect(() => {
    if (!store.isFresh.value) return;
    let isLeft = false;
    void store.client.metricsHistory().then(
      (read) => !isLeft && (history.value = read),
      () => undefined,
    );
    return () => (isLeft = true);
  }, [minute, store, store.isFresh.value]);
  return history.value;
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
function figuresOf(now: Figures | undefined, history: History | undefined): readonly Figure[] {
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
function daysUntilFull({ at, values }: Series, total: number): number | undefined {
  const [first, last] = [values[0], values.at(-1)];
  const spanMs = (at.at(-1) ?? 0) - (at[0] ?? 0);
  if (typeof first !== "number" || typeof last !== "number" || spanMs < shortestSpanMs || last <= first)
    return undefined;
  const days = ((total - last) / (last - first)) * (spanMs / dayMs);
  return days <= longestForecastDays ? Math.max(0, Math.round(days)) : undefined;
}

function sentenceOf({ name, series, show, shown }: Figure): string {
  const t = words.value.figures;
  const known = series.values.filter((value) => value !== null);
  if (known.length === 0 || shown === undefined) return `${name}: ${shown ?? t.none}`;
  return t.range(name, show(Math.min(...known)), show(Math.max(...known)), shown);
}

/** The figures in one line of the device's screen. */
export function FiguresStrip() {
  const { store, base } = useDevice();
  const history = useHistory();
  const span: readonly [number, number] = [now.value - dayMs, now.value];
  return (
    <a class="figures" href={`#${base}figures`}>
      {figuresOf(store.figures.value, history).map((figure) => (
        <div key={figure.name} class="figure">
          <span class="figure-name">{figure.name}</span>
          <span class="figure-value">{figure.shown ?? "–"}</span>
          <span class="figure-note">{figure.note}</span>
          <Graph series={figure.series} span={span} top={figure.top} label={sentenceOf(figure)} />
        </div>
      ))}
    </a>
  );
}
