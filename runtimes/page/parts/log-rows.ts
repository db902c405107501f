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
