import type { Series } from "../live/figures.ts";

const width = 100;

/** Points of the line, in pieces without gaps. `span`: the times at the edges. */
function toPath({ at, values }: Series, span: readonly [number, number], top: number, height: number): string {
  const [from, to] = span;
  let path = "";
  let isOpen = false;
  values.forEach((value, n) => {
    const time = at[n] ?? from;
    if (value === null || time < from) {
      isOpen = false;
      return;
    }
    const x = ((time - from) / Math.max(1, to - from)) * width;
    const y = height - (Math.min(value, top) / Math.max(1e-9, top)) * height;
    path += `${isOpen ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`;
    isOpen = true;
  });
  return path;
}

/** The shape of a series: one line without axes, stretched to its place. */
export function Graph({
  series,
  span,
  top,
  label,
  height = 24,
}: {
  readonly series: Series;
  readonly span: readonly [number, number];
  readonly top: number;
  readonly label: string;
  readonly height?: number;
}) {
  const line = toPath(series, span, top, height);
  return (
    <svg class="graph" viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label={label}>
      <path class="graph-line" d={line} vector-effect="non-scaling-stroke" />
    </svg>
  );
}
