import { expect, test } from "vitest";
import { lastLineOf } from "../../core/model/last-line.ts";

const out = (message: string, timestamp: number) => ({ message, isStdErr: false, timestamp });
const err = (message: string, timestamp: number) => ({ message, isStdErr: true, timestamp });

test.each([
  ["is the last one that is not blank", [out("a", 1), out("b", 2), out(" ", 3)], "b"],
  ["is one of the run that has ended, not of the next one", [out("a", 990), out("b", 1200)], "a"],
  ["may have its time shortly after the end", [out("a", 900), out("b", 1140)], "b"],
  ["is the error, if both streams have one at the end", [err("fatal", 999), out("starting", 1000)], "fatal"],
  ["is no old error", [err("warning", 100), out("done", 1000)], "done"],
  ["is of the next run if the log has no older one", [out("b", 1200)], "b"],
  ["is none in an empty log", [], undefined],
])("the last line %s", (_, lines, expected) => {
  expect(lastLineOf(lines, 1000)).toBe(expected);
});
