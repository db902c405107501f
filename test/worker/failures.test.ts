import { describe, expect, test } from "vitest";
import { Failures, networkOf } from "../../runtimes/worker/auth/failures.ts";

const at = 1_000_000;
const attempt = (credential: string, network?: string) => ({ credential, network });

describe("wrong credentials", () => {
  test("slow down their network after 60 in a minute, for the rest of that minute", () => {
    const failures = new Failures();
    for (let n = 0; n < 59; n++) failures.add(attempt(`wrong ${n}`, "a"), at);
    expect(failures.waitMs(attempt("another", "a"), at)).toBe(0);
    failures.add(attempt("wrong 59", "a"), at + 1000);
    expect(failures.waitMs(attempt("another", "a"), at + 1000)).toBe(59_000);
    expect(failures.waitMs(attempt("another", "b"), at + 1000)).toBe(0);
    expect(failures.waitMs(attempt("another"), at + 1000)).toBe(0);
    expect(failures.waitMs(attempt("another", "a"), at + 60_000)).toBe(0);
  });

  test("that are repeated count once, and only they are slowed down", () => {
    const failures = new Failures();
    for (let n = 0; n < 1000; n++) failures.add(attempt("the same", "a"), at);
    expect(failures.waitMs(attempt("the same", "a"), at)).toBe(60_000);
    expect(failures.waitMs(attempt("the same", "b"), at)).toBe(60_000);
    expect(failures.waitMs(attempt("another", "a"), at)).toBe(0);
  });

  test("are dropped when there are too many, the oldest first", () => {
    const failures = new Failures();
    for (let n = 0; n < 60; n++) failures.add(attempt(`wrong ${n}`, "a"), at);
    failures.block("b", at);
    for (let n = 0; n < 30_000; n++) failures.add(attempt(`more ${n}`), at);
    expect(failures.waitMs(attempt("another", "a"), at)).toBe(0);
  });
});

test.each([
  ["192.0.2.1", "192.0.2.1"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:DB8:1:2::", "2001:db8:1:2::/64"],
  ["2001:0db8:0001:0002:ffff::1", "2001:db8:1:2::/64"],
  ["2001:db8::1", "2001:db8:0:0::/64"],
  ["::1", "0:0:0:0::/64"],
  ["::", "0:0:0:0::/64"],
  ["::ffff:192.0.2.1", "192.0.2.1"],
])("the network of %s is %s", (address, network) => {
  expect(networkOf(address)).toBe(network);
});
