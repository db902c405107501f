import { describe, expect, test } from "vitest";
import {
  Bytes,
  Decimal,
  Duration,
  Flag,
  Integer,
  StringMap,
  Strings,
  parseBytes,
  parseDuration,
} from "../../core/compose/quantities.ts";

const second = 1e9;

test.each([
  ["0", 0],
  ["1024", 1024],
  ["64b", 64],
  ["64k", 64 * 1024],
  ["64kb", 64 * 1024],
  ["64K", 64 * 1024],
  ["64m", 64 * 1024 ** 2],
  ["64M", 64 * 1024 ** 2],
  ["64mb", 64 * 1024 ** 2],
  ["64MiB", 64 * 1024 ** 2],
  ["2g", 2 * 1024 ** 3],
  ["1.5gb", 1.5 * 1024 ** 3],
  ["1t", 1024 ** 4],
  ["1 m", 1024 ** 2],
  [" 1m ", 1024 ** 2],
  ["0.3k", 307],
])("the amount %j is %d bytes", (text, bytes) => {
  expect(parseBytes(text)).toBe(bytes);
});

test.each(["", "m", "-1", "-1m", "1x", "1mm", "1,5g", "0x10", "1e3", "one", "1m1k"])("%j is no amount", (text) => {
  expect(parseBytes(text)).toBeUndefined();
});

test.each([
  ["0", 0],
  ["0s", 0],
  ["10", 10 * second],
  ["1.5", 1.5 * second],
  ["10s", 10 * second],
  ["1.5s", 1.5 * second],
  ["250ms", 0.25 * second],
  ["7us", 7e3],
  ["7µs", 7e3],
  ["7ns", 7],
  ["1m", 60 * second],
  ["1h", 3600 * second],
  ["1m30s", 90 * second],
  ["1h30m", 5400 * second],
  ["1h2m3s4ms5us6ns", 3723 * second + 4_005_006],
])("the duration %j is %d ns", (text, nanoseconds) => {
  expect(parseDuration(text)).toBe(nanoseconds);
});

test.each(["", "s", "-1s", "1d", "1 s", "1s ", "s1", "1m30", "1e3", "soon"])("%j is an invalid duration", (text) => {
  expect(parseDuration(text)).toBeUndefined();
});

interface Reader {
  safeParse(value: unknown): { readonly success: boolean; readonly data?: unknown };
}

const readers = {
  Bytes,
  Duration,
  Integer,
  Decimal,
  Flag,
  Strings,
  StringMap,
} satisfies Record<string, Reader>;

describe("fields of compose", () => {
  test.each<[keyof typeof readers, unknown, unknown]>([
    ["Bytes", 1024, 1024],
    ["Bytes", "1k", 1024],
    ["Duration", 3, 3 * second],
    ["Duration", " 3s ", 3 * second],
    ["Integer", 5, 5],
    ["Integer", "5", 5],
    ["Integer", "-5", -5],
    ["Decimal", 0.5, 0.5],
    ["Decimal", "0.5", 0.5],
    ["Decimal", "2", 2],
    ["Flag", true, true],
    ["Flag", "true", true],
    ["Flag", "True", true],
    ["Flag", "1", true],
    ["Flag", 1, true],
    ["Flag", false, false],
    ["Flag", "false", false],
    ["Flag", "0", false],
    ["Flag", 0, false],
    ["Flag", "", false],
    ["Strings", "a", ["a"]],
    ["Strings", ["a", "b"], ["a", "b"]],
    ["Strings", [1, true], ["1", "true"]],
    ["Strings", [], []],
    ["StringMap", {}, {}],
    ["StringMap", { A: "1" }, { A: "1" }],
    ["StringMap", { A: 1, B: true, C: null }, { A: "1", B: "true", C: "" }],
    ["StringMap", ["A=1", "B=2=3", "C"], { A: "1", B: "2=3", C: "" }],
    ["StringMap", [], {}],
  ])("%s reads %j as %j", (name, written, normal) => {
    expect(readers[name].safeParse(written).data).toEqual(normal);
  });

  test.each<[keyof typeof readers, unknown]>([
    ["Bytes", "much"],
    ["Bytes", -1],
    ["Bytes", true],
    ["Bytes", null],
    ["Duration", "soon"],
    ["Duration", -1],
    ["Duration", {}],
    ["Integer", "1.5"],
    ["Integer", 1.5],
    ["Integer", "1abc"],
    ["Integer", ""],
    ["Integer", true],
    ["Integer", [1]],
    ["Decimal", "half"],
    ["Decimal", "1e3"],
    ["Flag", "yes"],
    ["Flag", "on"],
    ["Flag", 2],
    ["Flag", null],
    ["Flag", []],
    ["Strings", {}],
    ["Strings", [{}]],
    ["Strings", null],
    ["StringMap", "A=1"],
    ["StringMap", { A: {} }],
    ["StringMap", { A: [] }],
    ["StringMap", [{ A: 1 }]],
    ["StringMap", 1],
  ])("%s refuses %j", (name, written) => {
    expect(readers[name].safeParse(written).success).toBe(false);
  });
});
