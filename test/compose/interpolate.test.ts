import { describe, expect, test } from "vitest";
import { interpolate, interpolateAll } from "../../core/compose/interpolate.ts";

const variables = { TAG: "1.2", EMPTY: "", HOST: "example.com" };

describe("a variable in a compose file", () => {
  test.each([
    ["plain", "plain"],
    ["app:$TAG", "app:1.2"],
    ["app:${TAG}", "app:1.2"],
    ["$TAG-$HOST", "1.2-example.com"],
    ["${TAG:-9}", "1.2"],
    ["${EMPTY:-9}", "9"],
    ["${EMPTY-9}", ""],
    ["${NONE-9}", "9"],
    ["${NONE:-}", ""],
    ["${NONE:-${TAG}}", "1.2"],
    ["${NONE:-a${EMPTY:-b}c}", "abc"],
    ["${TAG:-${NONE}}", "1.2"],
    ["${TAG:+yes}", "yes"],
    ["${EMPTY:+yes}", ""],
    ["${EMPTY+yes}", "yes"],
    ["${NONE+yes}", ""],
    ["${TAG:?needed}", "1.2"],
    ["costs 5$$", "costs 5$"],
    ["$${TAG}", "${TAG}"],
    ["{$TAG}", "{1.2}"],
    ["${NONE:-:-}", ":-"],
  ])("%s is %s", (text, expected) => {
    expect(interpolate(text, variables)).toEqual({ ok: true, text: expected });
  });

  test.each([
    ["$NONE", "the variable NONE is not set: set it, put it into .env, or write ${NONE:-default}"],
    ["${NONE}", "the variable NONE is not set: set it, put it into .env, or write ${NONE:-default}"],
    ["${NONE:?which tag?}", "the variable NONE is needed: which tag?"],
    ["${EMPTY:?}", "the variable EMPTY is needed"],
    ["${TAG", 'expected "}" after "${"; write $$ for a dollar sign'],
    ["${TAG!}", 'expected "}" after "${TAG"'],
    ["5$", 'expected the name of a variable after "$"; write $$ for a dollar sign'],
    ["${}", 'expected the name of a variable after "${"; write $$ for a dollar sign'],
    ["$constructor", "the variable constructor is not set: set it, put it into .env, or write ${constructor:-default}"],
    [`${"${NONE-".repeat(22)}${"}".repeat(22)}`, "expected at most 20 variables in each other"],
    ["$1", 'expected the name of a variable after "$"; write $$ for a dollar sign'],
  ])("%s is refused: %s", (text, fault) => {
    expect(interpolate(text, variables)).toEqual({ ok: false, fault });
  });
});

test("every text of a compose file is read, its names are not, and each fault has its path", () => {
  const file = { services: { $TAG: { image: "a:$TAG", command: ["$NONE", "x"], ports: [80], init: true } } };
  expect(interpolateAll(file, variables)).toEqual({
    value: { services: { $TAG: { image: "a:1.2", command: ["$NONE", "x"], ports: [80], init: true } } },
    faults: [
      "services.$TAG.command.0: the variable NONE is not set: set it, put it into .env, or write ${NONE:-default}",
    ],
  });
});
