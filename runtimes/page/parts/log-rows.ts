import { clockTime, wholeMoment } from "../format.ts";
import type { LogLine } from "../live/log-lines.ts";
import { toParts } from "./ansi.ts";

/** The colours by which services are told apart, beside their names. */
const colours = 6;

function colourOf(service: string): number {
  let sum = 0;
  for (const character of service) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 997;
  return sum % colours;
}

/** A line as an element. Everything in it is text. */
export function toRow({ at, service, isStdErr, message }: LogLine, agent: string): HTMLElement {
  const row = make("div", isStdErr ? "line err" : "line");
  const time = make("time", "", clockTime(at));
  time.title = wholeMoment(at);
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
