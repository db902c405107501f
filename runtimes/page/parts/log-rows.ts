import { clockTime } from "../format.ts";
import type { LogLine } from "../live/log-lines.ts";
import { toParts } from "./ansi.ts";

const colours = 6;

/** The colours by which services are told apart, beside their names: in the order in which they first write. */
export function colourChooser(): (service: string) => number {
  const known = new Map<string, number>();
  return (service) => {
    const colour = known.get(service) ?? known.size % colours;
    known.set(service, colour);
    return colour;
  };
}

/** A line as an element. Everything in it is text. */
export function toRow(
  { at, service, isStdErr, message }: LogLine,
  agent: string,
  colourOf: (service: string) => number,
): HTMLElement {
  const row = make("div", isStdErr ? "line err" : "line");
  const time = make("time", "", clockTime(at));
  time.title = new Date(at).toISOString();
  const name = make("b", service === "" ? "agent" : `s${colourOf(service)}`, service === "" ? agent : service);
  const text = make("span", "");
  for (const { text: piece, classes } of toParts(message))
    text.append(classes === "" ? piece : make("span", classes, piece));
  row.append(time, name, text);
  return row;
}

function make(name: string, className: string, text = ""): HTMLElement {
  const element = document.createElement(name);
  if (className !== "") element.className = className;
  if (text !== "") element.textContent = text;
  return element;
}

/** A browser looks at each part of which it may skip the drawing, in each frame: so rows are put together. */
const rowsOfBlock = 100;

/** The rows of a log in blocks. */
export class RowBlocks {
  readonly #root: HTMLElement;
  #count = 0;

  constructor(root: HTMLElement) {
    this.#root = root;
    root.replaceChildren();
  }

  get count(): number {
    return this.#count;
  }

  append(rows: readonly HTMLElement[]): void {
    for (let from = 0; from < rows.length;) {
      let block = this.#root.lastElementChild;
      if (!block || block.childElementCount >= rowsOfBlock) {
        block = make("div", "block");
        this.#root.append(block);
      }
      const to = from + rowsOfBlock - block.childElementCount;
      block.append(...rows.slice(from, to));
      from = to;
    }
    this.#count += rows.length;
  }

  /** Removes the first rows until so many are left. */
  trim(most: number): void {
    while (this.#count > most) {
      const block = this.#root.firstElementChild;
      if (!block) return;
      block.firstElementChild?.remove();
      this.#count--;
      if (block.childElementCount === 0) block.remove();
    }
  }
}
