import { didYouMean } from "./nearest.ts";
import type { Window } from "./update.ts";

/** Windows for updates as people write them: `Mon-Fri 02:00-04:00 Europe/Berlin; Sat,Sun 00:00-06:00`. */

const dayNames = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const short = (name: string): string => name.slice(0, 3);

const example = "expected windows such as Mon-Fri 02:00-04:00 Europe/Berlin; Sat,Sun 00:00-06:00";

type Parsed =
  { readonly ok: true; readonly windows: readonly Window[] } | { readonly ok: false; readonly expected: string };

/** Days and zone may be absent. `expected` says what is wrong. */
export function parseWindows(text: string): Parsed {
  const windows: Window[] = [];
  const written = text.split(";");
  if (written.length > mostWindows) return { ok: false, expected: `expected at most ${mostWindows} windows` };
  for (const part of written) {
    const parts = part.trim().split(/\s+/);
    const at = parts.findIndex((one) => /^\d{1,2}:\d{2}-\d{1,2}:\d{2}$/.test(one));
    const [opens = "", closes = ""] = parts[at]?.split("-") ?? [];
    const [zone, ...others] = parts.slice(at + 1);
    if (at < 0 || others.length > 0) return { ok: false, expected: example };
    const dayText = parts.slice(0, at).join("");
    const [days, from, to] = [parseDays(dayText), parseTime(opens), parseTime(closes)];
    if (days === undefined) return { ok: false, expected: "expected days such as Mon-Fri or Sat,Sun" };
    if (from === undefined || to === undefined || from === midnight) return { ok: false, expected: example };
    if (zone !== undefined && !isZone(zone))
      return { ok: false, expected: `expected a time zone such as Europe/Berlin${meantZone(zone)}` };
    windows.push({ days, from, to: to % midnight, ...(zone !== undefined && { zone }) });
  }
  return { ok: true, windows };
}

const midnight = 24 * 60;
/** Far above real use: each window takes a moment of Intl's whenever it is judged. */
const mostWindows = 50;

/** "02:00" → 120, "24:00" → 1440. */
function parseTime(text: string): number | undefined {
  const [hours = NaN, minutes = NaN] = text.split(":").map(Number);
  const time = hours * 60 + minutes;
  return minutes < 60 && time <= midnight ? time : undefined;
}

/** "Mon-Wed,Sat" → 1, 2, 3, 6. A range may go over the end of the week. An empty text is every day. */
function parseDays(text: string): readonly number[] | undefined {
  if (text === "") return [];
  const days = new Set<number>();
  for (const range of text.split(",")) {
    const [first, last = first, ...others] = range.split("-").map(dayOf);
    if (first === undefined || last === undefined || others.length > 0) return undefined;
    for (let day = first; ; day = (day + 1) % 7) {
      days.add(day);
      if (day === last) break;
    }
  }
  return [...days].sort((a, b) => a - b);
}

function dayOf(name: string): number | undefined {
  const word = name.toLowerCase();
  const day = dayNames.map((one) => one.toLowerCase()).findIndex((one) => word === one || word === short(one));
  return day < 0 ? undefined : day;
}

/** An offset such as `+01:00` is no zone: only some JavaScript engines accept it. */
function isZone(name: string): boolean {
  if (!/^[a-z]/i.test(name)) return false;
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}

const meantZone = (name: string): string => didYouMean(name, Intl.supportedValuesOf("timeZone"));

/** Inverse: `parseWindows`. */
export function showWindow({ days, from, to, zone }: Window): string {
  return [showDays(days), `${showTime(from)}-${showTime(to)}`, zone].filter(Boolean).join(" ");
}

const showTime = (minutes: number): string =>
  [Math.floor(minutes / 60), minutes % 60].map((part) => String(part).padStart(2, "0")).join(":");

/** Three days or more in a row are a range: "Mon-Fri", "Fri-Sun", "Mon,Wed". The week begins on Monday. */
function showDays(days: readonly number[]): string {
  const runs: number[][] = [];
  for (const day of days.map((one) => (one + 6) % 7).sort((a, b) => a - b)) {
    const run = runs.at(-1);
    if (run?.at(-1) === day - 1) run.push(day);
    else runs.push([day]);
  }
  const nameOf = (day = 0) => short(dayNames[(day + 1) % 7] ?? "");
  return runs
    .map((run) => (run.length > 2 ? `${nameOf(run[0])}-${nameOf(run.at(-1))}` : run.map(nameOf).join(",")))
    .join(",");
}
