import { describe, expect, test } from "vitest";
import { isTruthy } from "../../core/model/truthy.ts";

describe("yes", () => {
  test.each([[true], [1], ["1"], ["true"], ["True"], ["TRUE"], ["on"], ["On"]])("%j means yes", (value) => {
    expect(isTruthy(value)).toBe(true);
  });

  test.each([
    [false],
    [0],
    [2],
    ["0"],
    ["2"],
    [""],
    ["yes"],
    ["y"],
    ["off"],
    [" 1"],
    [null],
    [undefined],
    [{}],
    [[]],
    [[1]],
  ])("%j does not mean yes", (value) => {
    expect(isTruthy(value)).toBe(false);
  });
});
