import { describe, expect, test } from "vitest";
import { parseFilter, tagParameter, toggleState } from "../../runtimes/page/fleet/device-filter.ts";
import { toParts } from "../../runtimes/page/parts/ansi.ts";
import { daysUntilFull } from "../../runtimes/page/live/figures.ts";
import { withShortImages } from "../../runtimes/page/format.ts";
import { LogLines, type LogLine } from "../../runtimes/page/live/log-lines.ts";
import { appsIn, parseTarget, placeOf } from "../../runtimes/page/live/target-text.ts";

/** What the page decides without a browser. */

describe("a line of a log", () => {
  test("keeps colours and weights, and leaves out every other sequence of a terminal", () => {
    expect(toParts("plain")).toEqual([{ text: "plain", classes: "" }]);
    expect(toParts("\u001b[1;31mred\u001b[39m bold\u001b[0m \u001b[2K\u001b]0;title\u0007end")).toEqual([
      { text: "red", classes: "bold a1" },
      { text: " bold", classes: "bold" },
      { text: " ", classes: "" },
      { text: "end", classes: "" },
    ]);
  });

  test("shows characters that nobody would see", () => {
    expect(toParts("a\u202eb\u0007\r").map(({ text }) => text)).toEqual(["a", "U+202E", "b", "\u2407", ""]);
  });
});

describe("the disk is full", () => {
  const hourMs = 3_600_000;
  const grown = (first: number, last: number, hours: number) =>
    daysUntilFull({ at: [0, hours * hourMs], values: [first, last] }, 100);

  test("after as many days as it goes on to grow", () => {
    expect(grown(40, 50, 24)).toBe(5);
    expect(grown(90, 95, 12)).toBe(1);
  });

  test("at no time that can be told, if it shrinks, grows slowly, or was measured for a short time", () => {
    expect([grown(50, 40, 24), grown(50, 51, 24), grown(50, 60, 5)]).toEqual([undefined, undefined, undefined]);
    expect(daysUntilFull({ at: [], values: [] }, 100)).toBeUndefined();
  });
});

describe("the text of a target state", () => {
  test("that is no JSON object has a place", () => {
    const text = '{\n  "local": ]\n}';
    const parsed = parseTarget(text);
    expect(parsed.ok).toBe(false);
    expect(!parsed.ok && placeOf(text, parsed.at)).toEqual({ line: 2, column: 12 });
    expect(parseTarget("[]")).toMatchObject({ ok: false, at: 0 });
  });

  test("names its applications", () => {
    expect(appsIn({ local: { apps: { "1": { name: "shop" }, "2": {} } } })).toEqual([
      { appId: 1, name: "shop" },
      { appId: 2, name: "2" },
    ]);
    expect(appsIn({ local: 7 })).toEqual([]);
  });
});

test("an image has its tag, else a short digest", () => {
  const digest = `sha256:${"0123456789ab".repeat(5)}0123`;
  expect(withShortImages(`Downloading image 'registry.lan:5000/web:7@${digest}'`)).toBe(
    "Downloading image 'registry.lan:5000/web:7'",
  );
  expect(withShortImages(`registry.lan:5000/web@${digest} and ${digest}`)).toBe(
    "registry.lan:5000/web@sha256:0123456789ab and sha256:0123456789ab",
  );
});

describe("earlier lines of a log", () => {
  const line = (at: number, message: string, service = "web"): LogLine => ({
    ...{ at, message, service, appId: 1, isStdErr: false },
  });

  test("are those before the known ones, of each service, also within a millisecond", async () => {
    const lines = new LogLines();
    // A browser delivers the first ones after a while, and the next ones with a frame.
    lines.gather();
    for (const one of [line(5, "c"), line(5, "d"), line(6, "e"), line(9, "x", "db")]) lines.add(one);
    await new Promise<void>((resolve) => lines.subscribe(() => resolve()));
    const given = [
      ...[line(4, "a"), line(5, "b"), line(5, "c"), line(5, "d"), line(6, "e")],
      ...[line(7, "w", "db"), line(9, "x", "db"), line(10, "y", "db")],
    ];
    expect(lines.mostOfOne()).toBe(3);
    expect(lines.addEarlier(given)).toBe(3);
    expect(lines.lines.map(({ message }) => message)).toEqual(["a", "b", "c", "d", "e", "w", "x"]);
    expect(lines.addEarlier(given)).toBe(0);
  });
});

describe("a filter of devices", () => {
  const filter = (typed: string) => {
    const parsed = parseFilter(typed);
    return parsed.is === "filter" ? parsed.filter : parsed;
  };

  test("has words, and free text around them", () => {
    expect(filter("  ")).toEqual({ tags: [], text: "" });
    expect(filter("kitchen is:failing pi release:9b1 tag:site=north tag:spare")).toEqual({
      ...{ state: "failing", release: "9b1", tags: ["site=north", "spare"], text: "kitchen pi" },
    });
    expect(filter('tag:"hall=1, left" "a:b" IS:well is:well')).toEqual({
      ...{ state: "well", tags: ["hall=1, left"], text: "a:b" },
    });
    expect(filter('tag:site="north')).toEqual({ tags: ["site=north"], text: "" });
  });

  test.each([
    ["is:", { is: "wrong value", of: "is" }],
    ["is:broken", { is: "wrong value", of: "is" }],
    ["release:", { is: "wrong value", of: "release" }],
    ["tag:=north", { is: "wrong value", of: "tag" }],
    ["state:well", { is: "unknown word" }],
    ["is:well is:failing", { is: "twice", of: "is" }],
    ["release:9b1 release:e60", { is: "twice", of: "release" }],
  ])("says what is wrong with %j", (typed, fault) => {
    expect(filter(typed)).toEqual(fault);
  });

  test("gets and loses its state by a count", () => {
    expect(toggleState("kitchen", "well")).toBe("is:well kitchen");
    expect(toggleState('is:failing "my kitchen"', "well")).toBe('is:well "my kitchen"');
    expect(toggleState("is:well kitchen", "well")).toBe("kitchen");
  });

  test("sends tags with commas so that they are not two", () => {
    expect(tagParameter(["hall=1, left", "spare"])).toBe("hall=1\\, left,spare");
  });
});
