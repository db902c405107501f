import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { UpdateRules, Window } from "../../core/model/update.ts";
import { parseWindows } from "../../core/model/window.ts";
import { holdUps, nextOpening, recheckMs, type PolicyFacts } from "../../core/reconcile/update-policy.ts";

/** What holds an update up, and until when. */

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

const windowsIn = (text: string): readonly Window[] => {
  const parsed = parseWindows(text);
  if (!parsed.ok) throw new Error(parsed.expected);
  return parsed.windows;
};

const during = (text: string) => [{ is: "window", windows: windowsIn(text) }] as const;

const factsAt = (time: string, others: Partial<PolicyFacts> = {}): PolicyFacts => ({
  ...{ nowMs: Date.parse(time), zone: "UTC", hasBooted: false, hasConsent: false, unlockedMs: 0, waitedMs: 0 },
  ...others,
});

const reasons = (rules: Pick<UpdateRules, "apply" | "applyByMs">, facts: PolicyFacts) =>
  holdUps(rules, facts).map(({ message }) => message);

describe("an update", () => {
  const now = factsAt("2026-11-29T12:00:00Z");

  test("without conditions begins at once", () => {
    expect(holdUps({ apply: [] }, now)).toEqual([]);
    expect(recheckMs({ apply: [] }, now)).toBeUndefined();
  });

  test("waits for a reboot, for consent, and until nobody has held a lock for some time", () => {
    const apply = [{ is: "reboot" }, { is: "consent" }, { is: "idle", forMs: 10 * minuteMs }] as const;
    expect(reasons({ apply }, { ...now, unlockedMs: 3 * minuteMs })).toEqual([
      "a reboot of the device",
      "consent through the API",
      "10 min without an update lock, of which 3 min have passed",
    ]);
    expect(recheckMs({ apply }, { ...now, unlockedMs: 3 * minuteMs })).toBe(7 * minuteMs);
    expect(recheckMs({ apply: [{ is: "reboot" }, { is: "consent" }] }, now)).toBeUndefined();
    expect(holdUps({ apply }, { ...now, hasBooted: true, unlockedMs: 10 * minuteMs }).map(({ is }) => is)).toEqual([
      "consent",
    ]);
    expect(holdUps({ apply }, { ...now, hasBooted: true, hasConsent: true, unlockedMs: 10 * minuteMs })).toEqual([]);
  });

  test("waits no longer than it may", () => {
    const rules = { apply: [{ is: "consent" }] as const, applyByMs: hourMs };
    expect(reasons(rules, { ...now, waitedMs: hourMs - 1 })).toEqual(["consent through the API"]);
    expect(recheckMs(rules, { ...now, waitedMs: hourMs - 1 })).toBe(1);
    expect(holdUps(rules, { ...now, waitedMs: hourMs })).toEqual([]);
  });

  test("is looked at again after a quarter of an hour at the latest, since the clock may be set", () => {
    expect(recheckMs({ apply: during("02:00-04:00") }, now)).toBe(15 * minuteMs);
    expect(recheckMs({ apply: during("02:00-04:00") }, factsAt("2026-11-29T01:59:59Z"))).toBe(1000);
    expect(recheckMs({ apply: [{ is: "consent" }], applyByMs: 9 * hourMs }, now)).toBe(15 * minuteMs);
  });
});

describe("a window", () => {
  test.each<[string, string, string | undefined]>([
    ["Mon-Fri 02:00-04:00 Europe/Berlin", "2026-11-29T12:00:00Z", "2026-11-30T01:00:00Z"],
    ["Mon-Fri 02:00-04:00 Europe/Berlin", "2026-11-30T00:59:59.999Z", "2026-11-30T01:00:00Z"],
    ["Mon-Fri 02:00-04:00 Europe/Berlin", "2026-11-30T01:00:00Z", undefined],
    ["Mon-Fri 02:00-04:00 Europe/Berlin", "2026-11-30T02:59:59.999Z", undefined],
    ["Mon-Fri 02:00-04:00 Europe/Berlin", "2026-11-30T03:00:00Z", "2026-12-01T01:00:00Z"],
    // It belongs to the day on which it opens.
    ["Sat 22:00-02:00", "2026-11-29T01:59:00Z", undefined],
    ["Sat 22:00-02:00", "2026-11-28T01:59:00Z", "2026-11-28T22:00:00Z"],
    ["Sat 22:00-02:00", "2026-11-29T02:00:00Z", "2026-12-05T22:00:00Z"],
    ["00:00-24:00", "2026-11-29T12:00:00Z", undefined],
    ["Sun 12:00-12:00", "2026-11-30T11:59:00Z", undefined],
    ["Sun 12:00-12:00", "2026-11-30T12:00:00Z", "2026-12-06T12:00:00Z"],
    // Clocks go forward in Berlin at 01:00 UTC: 02:30 is left out, and 03:00 is an hour earlier than on other days.
    ["Sun 02:30-02:45 Europe/Berlin", "2026-03-28T12:00:00Z", "2026-04-05T00:30:00Z"],
    ["02:30-03:30 Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z"],
    ["03:00-04:00 Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"],
    // They go back at 01:00 UTC: 02:30 is there twice.
    ["02:30-02:45 Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z"],
    ["02:30-02:45 Europe/Berlin", "2026-10-25T00:45:00Z", "2026-10-25T01:30:00Z"],
    ["02:30-03:30 Europe/Berlin", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z"],
    // By half an hour, in Lord Howe at 15:00 UTC.
    ["02:15-02:20 Australia/Lord_Howe", "2026-10-03T14:00:00Z", "2026-10-04T15:15:00Z"],
  ])("%s at %s opens at %s", (text, now, opensAt) => {
    const expected = opensAt === undefined ? [] : [`the window ${text}, which opens at ${opensAt}`];
    const shown = text.replace("24:00", "00:00");
    expect(reasons({ apply: during(text) }, factsAt(now))).toEqual(expected.map((one) => one.replace(text, shown)));
  });

  test("is in the device's zone if it names none", () => {
    const facts = factsAt("2026-07-01T00:30:00Z", { zone: "America/New_York" });
    expect(reasons({ apply: during("02:00-04:00") }, facts)).toEqual([
      "the window 02:00-04:00, which opens at 2026-07-01T06:00:00Z",
    ]);
    expect(reasons({ apply: during("02:00-04:00 Asia/Tokyo") }, facts)[0]).toContain("2026-07-01T17:00:00Z");
    expect(reasons({ apply: during("02:00-04:00") }, { ...facts, zone: "localtime" })[0]).toContain("T02:00:00Z");
  });

  test("may be one of several", () => {
    const apply = during("Mon 02:00-04:00; Sat,Sun 13:00-14:00");
    expect(reasons({ apply }, factsAt("2026-11-29T12:00:00Z"))).toEqual([
      "one of the windows Mon 02:00-04:00; Sat,Sun 13:00-14:00, which opens at 2026-11-29T13:00:00Z",
    ]);
    expect(holdUps({ apply }, factsAt("2026-11-30T02:00:00Z"))).toEqual([]);
  });

  test("stays closed while the clock is not set", () => {
    const facts = factsAt("1970-01-01T00:00:07Z");
    expect(reasons({ apply: during("00:00-24:00") }, facts)).toEqual([
      "the window 00:00-00:00, which stays closed until the clock is set; it shows 1970-01-01T00:00:07Z",
    ]);
    expect(recheckMs({ apply: during("00:00-24:00") }, facts)).toBe(minuteMs);
  });
});

/** Minute by minute, with the words that `Intl` writes. */
function slowly({ days, from, to, zone }: Window, now: number): number {
  const format = new Intl.DateTimeFormat("en-US", {
    ...{ timeZone: zone ?? "UTC", weekday: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
  });
  const names = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
  for (let at = now; ; at = (Math.floor(at / minuteMs) + 1) * minuteMs) {
    const [, name = "", hours, minutes] = /^(\w+),? (\d\d):(\d\d)$/.exec(format.format(at)) ?? [];
    const minute = Number(hours) * 60 + Number(minutes);
    const isDay = (day: number) => days.length === 0 || days.includes((day + 7) % 7);
    const today = names.indexOf(name);
    const isNight = from >= to;
    if (isDay(today) && minute >= from && (isNight || minute < to)) return at;
    if (isNight && isDay(today - 1) && minute < to) return at;
  }
}

test("a window opens when a clock on the wall says so, in every zone and when the clocks are changed", () => {
  const zones = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/St_Johns", "Africa/Casablanca"];
  const changes = ["2026-03-29T01:00Z", "2026-10-25T01:00Z", "2026-03-08T07:00Z", "2026-11-01T06:00Z"].concat(
    ...["2026-04-04T15:00Z", "2026-10-03T15:30Z", "2026-02-15T02:00Z", "2026-03-22T02:00Z", "2026-07-01T00:00Z"],
  );
  const minute = fc.oneof(fc.integer({ min: 0, max: 1439 }), fc.integer({ min: 60, max: 240 }));
  const window = fc.record({
    days: fc.oneof(fc.constant([]), fc.subarray([0, 1, 2, 3, 4, 5, 6], { minLength: 1 })),
    ...{ from: minute, to: minute },
    zone: fc.constantFrom(...zones, "Asia/Kathmandu", "Pacific/Chatham", "UTC"),
  });
  const now = fc
    .tuple(fc.constantFrom(...changes), fc.integer({ min: -30 * hourMs, max: 6 * hourMs }))
    .map(([change, afterMs]) => Date.parse(change) + afterMs);
  fc.assert(
    fc.property(window, now, (one, at) => {
      expect(new Date(nextOpening(one, at, "UTC"))).toEqual(new Date(slowly(one, at)));
    }),
    { numRuns: 200 },
  );
});

test("a window is open or opens within two weeks, whenever it is asked", () => {
  const window = fc.record({
    days: fc.subarray([0, 1, 2, 3, 4, 5, 6]),
    from: fc.integer({ min: 0, max: 1439 }),
    to: fc.integer({ min: 0, max: 1439 }),
    zone: fc.constantFrom(...Intl.supportedValuesOf("timeZone")),
  });
  fc.assert(
    fc.property(window, fc.integer({ min: Date.UTC(2025, 0, 1), max: Date.UTC(2060, 0, 1) }), (one, now) => {
      const opensAt = nextOpening(one, now, "UTC");
      expect(opensAt).toBeGreaterThanOrEqual(now);
      expect(opensAt - now).toBeLessThanOrEqual(15 * 24 * hourMs);
      expect(nextOpening(one, opensAt, "UTC")).toBe(opensAt);
    }),
    { numRuns: 300 },
  );
});
