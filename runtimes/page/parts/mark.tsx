import type { Mark as Kind } from "../live/marks.ts";
import { words } from "../words.ts";

/** Circle, half circle, diamond, triangle, ring: the shape says it without the colour. */
const shapes: Readonly<Record<Kind, string>> = {
  well: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11z",
  working: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11zM8 4.2v7.6a3.8 3.8 0 1 1 0-7.6z",
  waiting: "M8 1.8L14.2 8L8 14.2L1.8 8z",
  failing: "M8 2L14.8 13.8H1.2z",
  off: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11zM8 4.2a3.8 3.8 0 1 1 0 7.6a3.8 3.8 0 1 1 0-7.6z",
};

export const Mark = ({ is }: { readonly is: Kind }) => (
  <svg class={`mark ${is}`} viewBox="0 0 16 16" role="img" aria-label={words.value.marks[is]}>
    <path fill="currentColor" fill-rule="evenodd" d={shapes[is]} />
  </svg>
);
