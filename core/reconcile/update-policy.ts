import { showDuration } from "../model/duration.ts";
import type { ApplyCondition, UpdateRules, Window } from "../model/update.ts";
import { showWindow } from "../model/window.ts";

/** What holds an update up between the download of its images and its beginning. */

export interface PolicyFacts {
  /** The wall clock. */
  readonly nowMs: number;
  /** The time zone of the device, for windows without one. */
  readonly zone: string;
  /** The machine has booted since the images were complete. */
  readonly hasBooted: boolean;
  /** A person has consented to this update. */
  readonly hasConsent: boolean;
  /** For how long nobody has held an update lock or a lease. */
  readonly unlockedMs: number;
  /** For how long the update has waited. */
  readonly waitedMs: number;
}

export interface HoldUp {
  readonly is: ApplyCondition["is"];
  /** What the update waits for, in words that continue "waits for". */
  readonly message: string;
  /** After this time the condition may be met. Absent: an event says so. */
  readonly recheckMs?: number;
}

type Policy = Pick<UpdateRules, "apply" | "applyByMs">;

/** The conditions that are not met. Empty: the update may begin. */
export function holdUps({ apply, applyByMs = Infinity }: Policy, facts: PolicyFacts): readonly HoldUp[] {
  if (facts.waitedMs >= applyByMs) return [];
  return apply.flatMap((condition) => holdUp(condition, facts) ?? []);
}

/** When to ask again what holds the update up; undefined: only an event can change it. */
export function recheckMs(policy: Policy, facts: PolicyFacts): number | undefined {
  const held = holdUps(policy, facts);
  if (held.length === 0) return undefined;
  const times = [(policy.applyByMs ?? Infinity) - facts.waitedMs, ...held.map((one) => one.recheckMs ?? Infinity)];
  const soonest = Math.min(...times);
  return soonest === Infinity ? undefined : Math.min(soonest, longestMs);
}

/** The clock may be set meanwhile. */
const longestMs = 15 * 60_000;

function holdUp(condition: ApplyCondition, facts: PolicyFacts): HoldUp | undefined {
  switch (condition.is) {
    case "reboot":
      return facts.hasBooted ? undefined : { is: "reboot", message: "a reboot of the device" };
    case "consent":
      return facts.hasConsent ? undefined : { is: "consent", message: "consent through the API" };
    case "idle": {
      const leftMs = condition.forMs - facts.unlockedMs;
      if (leftMs <= 0) return undefined;
      const message = `${showDuration(condition.forMs)} without an update lock, of which ${showDuration(facts.unlockedMs)} have passed`;
      return { is: "idle", message, recheckMs: leftMs };
    }
    case "window":
      return windowHoldUp(condition.windows, facts);
  }
}

/** Boards without a battery for their clock start in the past. */
const earliestTime = Date.UTC(2025, 0, 1);

export const isClockSet = (nowMs: number): boolean => nowMs >= earliestTime;

function windowHoldUp(windows: readonly Window[], { nowMs, zone }: PolicyFacts): HoldUp | undefined {
  const shown = `${windows.length > 1 ? "one of the windows" : "the window"} ${windows.map(showWindow).join("; ")}`;
  if (!isClockSet(nowMs)) {
    const message = `${shown}, which stays closed until the clock is set; it shows ${showTime(nowMs)}`;
    return { is: "window", message, recheckMs: 60_000 };
  }
  const opensAt = Math.min(...windows.map((window) => nextOpening(window, nowMs, zone)));
  if (opensAt === nowMs) return undefined;
  const message = `${shown}, which opens at ${showTime(opensAt)}`;
  return { is: "window", message, recheckMs: opensAt - nowMs };
}

const showTime = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;
const midnight = 24 * 60;

/**
 * The first time from `now` on at which a window is open: `now` itself if it is open. The window is open at the minutes that
 * a clock on the wall shows. In the hour that the clocks repeat, it is open twice; in the one that they leave out, not at all.
 */
export function nextOpening(window: Window, now: number, deviceZone: string): number {
  const wallTime = clockOf(window.zone ?? deviceZone);
  const offset = (at: number) => wallTime(at) - at;
  let at = now;
  while (!isOpen(window, wallTime(at))) {
    const next = at + untilStart(window, wallTime(at));
    at = firstChange(offset, at, next) ?? next;
  }
  return at;
}

/** The time that a clock on the wall shows, as if it showed UTC. */
function clockOf(zone: string): (at: number) => number {
  const parts = { year: "numeric", month: "numeric", day: "numeric" } as const;
  const times = { hour: "numeric", minute: "numeric", second: "numeric", hourCycle: "h23" } as const;
  const format = new Intl.DateTimeFormat("en-US", { ...parts, ...times, timeZone: known(zone) });
  return (at) => {
    const now = new Map(format.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
    const read = (type: Intl.DateTimeFormatPartTypes) => now.get(type) ?? 0;
    const whole = Date.UTC(read("year"), read("month") - 1, read("day"), read("hour"), read("minute"), read("second"));
    return whole + (at % 1000);
  };
}

/** A device's zone may be a word that is only known to its system. */
function known(zone: string): string {
  try {
    return new Intl.DateTimeFormat("en-US", { timeZone: zone }).resolvedOptions().timeZone;
  } catch {
    return "UTC";
  }
}

function isOpen({ days, from, to }: Window, wall: number): boolean {
  const opensOn = (day: number) => days.length === 0 || days.includes((day + 7) % 7);
  const day = new Date(wall).getUTCDay();
  const minute = Math.floor((wall % dayMs) / minuteMs);
  if (from < to) return opensOn(day) && minute >= from && minute < to;
  return (opensOn(day) && minute >= from) || (opensOn(day - 1) && minute < to);
}

/** The time until the window's next start, if the clocks are not changed. */
function untilStart({ days, from }: Window, wall: number): number {
  const startOfDay = wall - (wall % dayMs);
  const today = new Date(wall).getUTCDay();
  const starts = Array.from({ length: 8 }, (_, n) => n)
    .filter((n) => days.length === 0 || days.includes((today + n) % 7))
    .map((n) => startOfDay + (n * midnight + from) * minuteMs)
    .filter((start) => start > wall);
  return Math.min(...starts) - wall;
}

/** The first time after `from`, and at most `to`, at which the clocks are changed. It is at the beginning of a minute. */
function firstChange(offset: (at: number) => number, from: number, to: number): number | undefined {
  const before = offset(from);
  for (let start = from; start < to; start += dayMs) {
    let [low, high] = [start, Math.min(start + dayMs, to)];
    if (offset(high) === before) continue;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (offset(middle) === before) low = middle;
      else high = middle;
    }
    return high;
  }
  return undefined;
}
