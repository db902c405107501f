import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StateReport, type AppReport } from "../../core/api/cloud/report.ts";
import {
  fieldsAfter,
  installsAfter,
  updateStatusOf,
  type Install,
  type ReportedRelease,
} from "../../core/fleet/reported-state.ts";

const read = (part: object) => StateReport.parse(part);

describe("the fields of a device", () => {
  test.each<readonly [string, object, object]>([
    ["what is named is new", { status: "Updating" }, { status: "Updating", cpu_temp: 40 }],
    ["null is a value, where it may be", { cpu_temp: null }, { status: "Idle", cpu_temp: null }],
    [
      "numbers are rounded and bounded",
      { cpu_temp: 41.5, memory_total: 3e9 },
      { status: "Idle", cpu_temp: 42, memory_total: 2 ** 31 - 1 },
    ],
    [
      "a text that is too long is cut",
      { supervisor_version: "v".repeat(30) },
      { status: "Idle", cpu_temp: 40, supervisor_version: "v".repeat(20) },
    ],
    [
      "addresses are cut between them",
      { ip_address: "1.2.3.4 ".repeat(300) },
      { status: "Idle", cpu_temp: 40, ip_address: `${"1.2.3.4 ".repeat(250).trim()}` },
    ],
    ["a CPU's id is of small letters", { cpu_id: "ABC" }, { status: "Idle", cpu_temp: 40, cpu_id: "abc" }],
    ["and dropped where it cannot be printed", { cpu_id: "caf\u00e9" }, { status: "Idle", cpu_temp: 40 }],
    ["so is a variant that there is not", { os_variant: "staging" }, { status: "Idle", cpu_temp: 40 }],
    ["the key for the API is not kept", { api_secret: "x", api_port: 1 }, { status: "Idle", cpu_temp: 40 }],
    ["nor is what nobody knows", { device_name: "hacked", is_online: true }, { status: "Idle", cpu_temp: 40 }],
  ])("%s", (_, part, expected) => {
    expect(fieldsAfter({ status: "Idle", cpu_temp: 40 }, read(part))).toEqual(expected);
  });

  test.each([
    { status: 5 },
    { status: null },
    { ip_address: null },
    { cpu_temp: "hot" },
    { apps: [] },
    { apps: { f: { releases: { c: { update_status: "finished" } } } } },
  ])("%j is refused", (part) => {
    expect(StateReport.safeParse(part).success).toBe(false);
  });

  test("are the same if a report arrives as a whole or by field, in any order, once or twice", () => {
    const part = fc.record(
      {
        status: fc.string({ maxLength: 9 }),
        cpu_temp: fc.option(fc.integer()),
        cpu_id: fc.string(),
        os_version: fc.option(fc.string()),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(part, part, (before, after) => {
        const start = fieldsAfter({}, read(before));
        const whole = fieldsAfter(start, read(after));
        const apart = Object.entries(after)
          .toReversed()
          .reduce((fields, [name, value]) => fieldsAfter(fields, read({ [name]: value })), start);
        expect(apart).toEqual(whole);
        expect(fieldsAfter(whole, read(after))).toEqual(whole);
      }),
    );
  });
});

test("an update has the progress of its least advanced release", () => {
  const at = (...all: ("done" | "downloading" | "rejected" | undefined)[]): AppReport => ({
    releases: Object.fromEntries(all.map((one, n) => [String(n), { update_status: one, services: {} }])),
  });
  expect(updateStatusOf(at("done", "downloading"))).toBe("downloading");
  expect(updateStatusOf(at("downloading", "rejected"))).toBe("rejected");
  expect(updateStatusOf(at(undefined))).toBeUndefined();
  expect(updateStatusOf(undefined)).toBeUndefined();
});

const digest = `sha256:${"ab".repeat(32)}`;
const releases: readonly ReportedRelease[] = [
  {
    id: 1,
    commit: "one",
    images: [
      { id: 11, service: "web", location: `web:1@${digest}` },
      { id: 12, service: "db", location: "shared:1" },
      { id: 13, service: "cache", location: "shared:1" },
    ],
  },
  { id: 2, commit: "two", images: [{ id: 21, service: "web", location: "docker.io/library/web:2" }] },
];

const running = (imageId: number, releaseId = 1): Install => ({
  imageId,
  releaseId,
  status: "Running",
  progress: null,
});
const app = (commit: string, services: object): AppReport | undefined =>
  read({ apps: { f: { releases: { [commit]: { services } } } } }).apps?.["f"];

describe("the images on a device", () => {
  test.each<readonly [string, AppReport | undefined, readonly Install[]]>([
    ["are as they are named", app("one", { web: { image: `web:1@${digest}`, status: "Running" } }), [running(11)]],
    ["are known without their digest", app("one", { web: { image: "web:1", status: "Running" } }), [running(11)]],
    ["and in another spelling", app("two", { web: { image: "web:2", status: "Running" } }), [running(21, 2)]],
    ["are told apart by their service", app("one", { cache: { image: "shared:1", status: "Running" } }), [running(13)]],
    [
      "of which the name need not be known",
      app("one", { nosuch: { image: "shared:1", status: "Running" } }),
      [running(12)],
    ],
    [
      "have progress while they come",
      app("one", { web: { image: "web:1", status: "Downloading", download_progress: 40 } }),
      [{ ...running(11), status: "Downloading", progress: 40 }],
    ],
    [
      "have none when they run",
      app("one", { web: { image: "web:1", status: "Running", download_progress: 40 } }),
      [running(11)],
    ],
    ["are not of a release that is not the fleet's", app("other", { web: { image: "web:1" } }), []],
    ["are not those of another digest", app("one", { web: { image: `web:1@sha256:${"cd".repeat(32)}` } }), []],
    [
      "are of no known state where that is none",
      app("one", { web: { image: "web:1", status: "Frobbing" } }),
      [{ ...running(11), status: "Unknown" }],
    ],
  ])("%s", (_, report, expected) => {
    expect(installsAfter([], report, releases)).toEqual(expected);
  });

  test("belong to two releases during an update", () => {
    const told = {
      one: { services: { web: { image: "web:1", status: "Running" } } },
      two: { services: { web: { image: "web:2", status: "Downloading", download_progress: 10 } } },
    };
    const report = read({ apps: { f: { release_uuid: "one", releases: told } } }).apps?.["f"];
    expect(installsAfter([], report, releases)).toEqual([
      running(11),
      { ...running(21, 2), status: "Downloading", progress: 10 },
    ]);
  });

  test("are deleted if a report no longer has them, and restored by one that has them", () => {
    const before = [running(11), running(12)];
    const deleted = installsAfter(before, app("one", { web: { image: "web:1", status: "Running" } }), releases);
    expect(deleted).toEqual([{ ...running(12), status: "deleted" }, running(11)]);
    const again = installsAfter(deleted, app("one", { db: { image: "shared:1", status: "exited" } }), releases);
    expect(again).toEqual([
      { ...running(11), status: "deleted" },
      { ...running(12), status: "exited" },
    ]);
    expect(installsAfter(before, undefined, releases).map(({ status }) => status)).toEqual(["deleted", "deleted"]);
  });

  test("depend on the last report only, except the deleted ones", () => {
    const service = fc.record({
      image: fc.constantFrom("web:1", "shared:1", "web:2", "strange"),
      status: fc.constantFrom("Running", "exited", "Downloaded"),
    });
    const services = fc.dictionary(fc.constantFrom("web", "db", "cache"), service);
    const report = fc
      .tuple(fc.constantFrom("one", "two", "three"), services)
      .map(([commit, given]) => app(commit, given));
    fc.assert(
      fc.property(fc.array(report, { maxLength: 4 }), report, (earlier, last) => {
        const before = earlier.reduce<readonly Install[]>((known, one) => installsAfter(known, one, releases), []);
        const after = installsAfter(before, last, releases);
        expect(after.filter(({ status }) => status !== "deleted")).toEqual(installsAfter([], last, releases));
        expect(installsAfter(after, last, releases)).toEqual(expect.arrayContaining([...after]));
        expect(new Set(after.map(({ imageId }) => imageId)).size).toBe(after.length);
        for (const { imageId } of before) expect(after.map((one) => one.imageId)).toContain(imageId);
      }),
    );
  });
});
