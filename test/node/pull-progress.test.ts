import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PullProgress } from "../../runtimes/node/engine/pull-progress.ts";

const layer = (id: string, status: string, current?: number, total?: number) => ({
  id,
  status,
  progressDetail: { ...(current !== undefined && { current }), ...(total !== undefined && { total }) },
});

/** The percentage after each message. */
function percents(messages: readonly unknown[]): number[] {
  const progress = new PullProgress();
  return messages.map((message) => {
    expect(progress.take(message)).toBeUndefined();
    return progress.percent();
  });
}

test("progress is unknown before the first message", () => {
  expect(new PullProgress().percent()).toBe(0);
});

test("download and extraction each count as half of a layer", () => {
  expect(
    percents([
      { status: "Pulling from library/alpine", id: "latest" },
      layer("a", "Pulling fs layer"),
      layer("a", "Downloading", 0, 1000),
      layer("a", "Downloading", 500, 1000),
      layer("a", "Verifying Checksum"),
      layer("a", "Download complete"),
      layer("a", "Extracting", 500, 1000),
      layer("a", "Extracting", 1000, 1000),
      layer("a", "Pull complete"),
      { status: "Digest: sha256:00" },
      { status: "Status: Downloaded newer image for alpine:latest" },
    ]),
  ).toEqual([0, 0, 0, 25, 50, 50, 75, 100, 100, 100, 100]);
});

test("layers are weighted by their size", () => {
  expect(
    percents([
      layer("small", "Pulling fs layer"),
      layer("large", "Pulling fs layer"),
      layer("large", "Downloading", 0, 900),
      layer("small", "Downloading", 0, 100),
      layer("small", "Download complete"),
      layer("small", "Pull complete"),
      layer("large", "Downloading", 450, 900),
      layer("large", "Pull complete"),
    ]),
  ).toEqual([0, 0, 0, 0, 5, 10, 32, 100]);
});

// The engine reports layers from the bottom up, and an existing layer before the next one.
test("existing layers do not count as progress of missing ones", () => {
  expect(
    percents([
      { status: "Pulling from fleet/one", id: "2" },
      layer("base", "Already exists"),
      layer("runtime", "Already exists"),
      layer("app", "Pulling fs layer"),
      layer("app", "Downloading", 0, 1000),
      layer("app", "Downloading", 500, 1000),
      layer("app", "Download complete"),
      layer("app", "Pull complete"),
      { status: "Status: Downloaded newer image for fleet/one:2" },
    ]),
  ).toEqual([0, 0, 0, 0, 0, 25, 50, 100, 100]);
});

test("progress ends at 100 beside existing layers", () => {
  expect(
    percents([
      layer("app", "Pulling fs layer"),
      layer("base", "Already exists"),
      layer("app", "Downloading", 500, 1000),
      layer("app", "Pull complete"),
    ]).at(-1),
  ).toBe(100);
});

test("a pull with only existing layers is complete when the engine says so", () => {
  expect(
    percents([
      { status: "Pulling from fleet/one", id: "2" },
      layer("base", "Already exists"),
      { status: "Digest: sha256:00" },
      { status: "Status: Downloaded newer image for fleet/one:2" },
    ]),
  ).toEqual([0, 0, 0, 100]);
});

describe("an error is returned for", () => {
  test.each([
    [{ error: "manifest unknown" }, "manifest unknown"],
    [{ errorDetail: { message: "no space left" }, error: "no space left" }, "no space left"],
    [{ errorDetail: { message: "no space left" } }, "no space left"],
    [{ errorDetail: { code: 1 }, error: "no space left" }, "no space left"],
    [{ id: "a", status: "Downloading", error: "unexpected EOF" }, "unexpected EOF"],
    [{ error: "" }, ""],
  ])("%j", (message, error) => {
    const progress = new PullProgress();
    progress.take(layer("a", "Downloading", 500, 1000));
    expect(progress.take(message)).toBe(error);
    expect(progress.percent()).toBe(25);
  });
});

test.each([[null], ["text"], [1], [[]], [{}], [{ status: 5 }], [{ status: "Retrying in 5 seconds", id: "a" }]])(
  "%j does not change the progress",
  (message) => {
    expect(percents([message])).toEqual([0]);
  },
);

const sizes: Readonly<Record<string, number>> = { a: 10, b: 1000, c: 1000, d: 1_000_000 };

describe("percents", () => {
  const statuses = [
    "Pulling fs layer",
    "Waiting",
    "Downloading",
    "Verifying Checksum",
    "Download complete",
    "Extracting",
    "Pull complete",
    "Already exists",
    "Retrying in 1 second",
  ];
  /** Layers with one size each, which the engine reports or not. */
  const message = fc
    .record({
      id: fc.constantFrom(...Object.keys(sizes)),
      status: fc.constantFrom(...statuses),
      part: fc.option(fc.integer({ min: 0, max: 100 })),
      tellsSize: fc.boolean(),
    })
    .map(({ id, status, part, tellsSize }) => {
      const size = sizes[id] ?? 0;
      return layer(
        id,
        status,
        part === null ? undefined : Math.floor((size * part) / 100),
        tellsSize ? size : undefined,
      );
    });

  test("are whole numbers, never decrease and end at 100", () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 40 }), (messages) => {
        const ends = Object.keys(sizes).map((id) => layer(id, "Pull complete"));
        const seen = percents([...messages, ...ends]);
        expect(seen).toEqual([...seen].sort((a, b) => a - b));
        expect(seen.every((percent) => Number.isInteger(percent) && percent >= 0 && percent <= 100)).toBe(true);
        expect(seen.at(-1)).toBe(100);
      }),
    );
  });

  // Engines with containerd's image store count seconds while they extract; others do not know a size.
  test.each([
    [
      [
        layer("a", "Downloading", 1000, 1000),
        { ...layer("a", "Extracting", 7), progressDetail: { current: 7, units: "s" } },
      ],
    ],
    [[layer("a", "Downloading", 123_456)]],
    [[layer("a", "Downloading", 123_456), layer("b", "Pulling fs layer")]],
    [[layer("a", "Extracting", 3)]],
  ])("stay below 100 until the pull is done if no size is known: %j", (messages) => {
    const seen = percents([...messages, layer("b", "Downloading", 1, 1000)]);
    expect(Math.max(...seen)).toBeLessThan(100);
  });
});
