import { clockTime } from "../format.ts";
import { now } from "../live/clock.ts";
import { dayMs, figuresOf, sentenceOf, type Figure } from "../live/figures.ts";
import { Graph } from "../parts/graph.tsx";
import { words } from "../words.ts";
import { useDevice } from "./context.ts";
import { useHistory } from "./use-history.ts";

/** CPU, memory, disk and temperature of the last day. */
export function FiguresScreen() {
  const { store } = useDevice();
  const history = useHistory();
  const t = words.value.figures;
  const isEmpty = history !== undefined && history.samples.at.length === 0;
  return (
    <div class="screen">
      <div class="head">
        <h2>{t.last}</h2>
        <p class="faint">{isEmpty ? t.empty : t.since}</p>
      </div>
      {figuresOf(store.figures.value, history).map((figure) => (
        <WideGraph key={figure.name} figure={figure} />
      ))}
    </div>
  );
}

const eachMs = dayMs / 4;

function WideGraph({ figure }: { readonly figure: Figure }) {
  const span: readonly [number, number] = [now.value - dayMs, now.value];
  return (
    <figure class="wide-graph">
      <figcaption>
        <strong>{figure.name}</strong>
        <span>
          {figure.shown ?? words.value.figures.none}
          {figure.note !== undefined && ` · ${figure.note}`}
        </span>
      </figcaption>
      <div class="plot">
        <span class="top">{figure.show(figure.top)}</span>
        <Graph series={figure.series} span={span} top={figure.top} label={sentenceOf(figure)} height={96} />
      </div>
      <div class="axis" aria-hidden="true">
        {[0, 1, 2, 3, 4].map((n) => (
          <span key={n}>{clockTime(span[0] + n * eachMs).slice(0, 5)}</span>
        ))}
      </div>
    </figure>
  );
}
