import { now } from "../live/clock.ts";
import { dayMs, figuresOf, sentenceOf } from "../live/figures.ts";
import { Graph } from "../parts/graph.tsx";
import { useDevice } from "./context.ts";
import { useHistory } from "./use-history.ts";

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
