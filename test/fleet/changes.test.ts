import { expect, test } from "vitest";
import { changesBetween } from "../../core/fleet/changes.ts";

const release = (services: Record<string, { image: string } & Record<string, unknown>>, rest = {}) => ({
  services,
  networks: {},
  volumes: {},
  ...rest,
});

test("two equal releases have no changes", () => {
  const one = release({ web: { image: "web:1", environment: ["A=1"], labels: { b: "2" } } });
  const other = release({ web: { labels: { b: "2" }, environment: { A: "1" }, image: "web:1" } });
  expect(changesBetween(one, other)).toEqual([]);
});

test("added, removed and changed parts are listed with their fields and without values", () => {
  const before = release(
    { web: { image: "web:1", environment: { A: "secret", B: "b" }, command: "run" }, old: { image: "old:1" } },
    { volumes: { data: {}, cache: {} } },
  );
  const after = release(
    { web: { image: "web:2", environment: ["A=other", "C=c"], command: "run" }, next: { image: "next:1" } },
    { volumes: { data: { driver: "nfs" } }, networks: { front: {} } },
  );
  expect(changesBetween(before, after)).toEqual([
    { part: "service", name: "next", change: "added", fields: [] },
    { part: "service", name: "old", change: "removed", fields: [] },
    {
      part: "service",
      name: "web",
      change: "changed",
      fields: ["environment.A", "environment.B", "environment.C", "image"],
    },
    { part: "network", name: "front", change: "added", fields: [] },
    { part: "volume", name: "cache", change: "removed", fields: [] },
    { part: "volume", name: "data", change: "changed", fields: ["driver"] },
  ]);
});

test("a service may have the name of an object's method", () => {
  const one = release({ constructor: { image: "a:1" } });
  expect(changesBetween(release({}), one)).toEqual([
    { part: "service", name: "constructor", change: "added", fields: [] },
  ]);
});

test("configs and secrets that have changed are listed without their contents", () => {
  const before = release({}, { secrets: { psk: { content: "hunter2" } } });
  const after = release({}, { secrets: { psk: { content: "hunter3" } }, configs: { conf: { content: "a" } } });
  expect(changesBetween(before, after)).toEqual([
    { part: "config", name: "conf", change: "added", fields: [] },
    { part: "secret", name: "psk", change: "changed", fields: ["content"] },
  ]);
});
