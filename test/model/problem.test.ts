import { expect, test } from "vitest";
import { toMessage } from "../../core/model/problem.ts";

test("a message is one line, without the colours of a terminal", () => {
  expect(toMessage("\u001b[1;31mFATAL\u001b[0m: no space\n left\u0007 ")).toBe("FATAL: no space left");
});
