import { language } from "./words.ts";

/** Numbers and times in the language of the viewer. */

const unitsOfTime = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
] as const;

/** "2 h", "40 s": the largest unit alone. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const [unit, size] = unitsOfTime.find(([, one]) => seconds >= one) ?? ["second", 1];
  return new Intl.NumberFormat(language.value, { style: "unit", unit, unitDisplay: "short" }).format(
    Math.floor(seconds / size),
  );
}

/** Made once for each language: a log has a thousand times a second. */
const clocks = new Map<string, Intl.DateTimeFormat>();

export function clockTime(at: number): string {
  const known = clocks.get(language.value);
  const clock = known ?? new Intl.DateTimeFormat(language.value, clockForm);
  if (!known) clocks.set(language.value, clock);
  return clock.format(at);
}

const clockForm = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" } as const;

/** The time alone on the same day, else with the date. */
export function moment(at: number, now = Date.now()): string {
  const isToday = new Date(at).toDateString() === new Date(now).toDateString();
  return new Intl.DateTimeFormat(language.value, {
    ...(!isToday && { month: "short", day: "numeric" }),
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  }).format(at);
}

export const wholeMoment = (at: number): string =>
  new Intl.DateTimeFormat(language.value, { dateStyle: "medium", timeStyle: "medium" }).format(at);

const unitsOfSize = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"] as const;

export function bytes(value: number): string {
  const power = Math.min(unitsOfSize.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, value)) / 3)));
  const unit = unitsOfSize[power] ?? "byte";
  return new Intl.NumberFormat(language.value, {
    style: "unit",
    unit,
    maximumFractionDigits: power > 2 ? 1 : 0,
  }).format(value / 1000 ** power);
}

/** Millions of bytes, as the device measures. */
export const megabytes = (value: number): string => bytes(value * 1e6);

export const percent = (value: number): string =>
  new Intl.NumberFormat(language.value, { style: "percent", maximumFractionDigits: 0 }).format(value / 100);

export const celsius = (value: number): string =>
  new Intl.NumberFormat(language.value, { style: "unit", unit: "celsius", maximumFractionDigits: 0 }).format(value);

/** Images in a sentence by their tags: a digest beside it tells people nothing. Without a tag, as short as engines show it. */
export const withShortImages = (text: string): string =>
  text.replace(/(:\w[\w.-]{0,127})@sha256:[0-9a-f]{64}\b/g, "$1").replace(/\b(sha256:[0-9a-f]{12})[0-9a-f]+/g, "$1");

/** A commit as people say it. */
export const shortCommit = (commit: string): string => commit.slice(0, 7);
