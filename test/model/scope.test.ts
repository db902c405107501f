import { expect, test } from "vitest";
import { covers, everything } from "../../core/model/scope.ts";

test("a scope covers its applications, or all", () => {
  expect(covers(everything, 7)).toBe(true);
  expect(covers({ ...everything, apps: [7] }, 7)).toBe(true);
  expect(covers({ ...everything, apps: [7] }, 8)).toBe(false);
  expect(covers({ ...everything, apps: [] }, 7)).toBe(false);
});
