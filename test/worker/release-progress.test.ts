import { expect, test } from "vitest";
import * as z from "zod";
import { Arrival, ReleaseProgress } from "../../core/api/admin/index.ts";
import { startCloud } from "./cloud.ts";
import { newDevice, newFleet, type Registered, type TestFleet } from "./people.ts";

/** How far the devices of a fleet are with a release. */
const cloud = startCloud();

const release = async (fleet: TestFleet, commit: string) => {
  const composition = { services: { web: { image: `web:${commit}` } } };
  await cloud.ask("POST", `/admin/v1/fleets/${fleet.id}/releases`, { commit, composition });
};

const progress = ({ id }: TestFleet, commit: string, query = "stayUp=0") =>
  cloud.get(ReleaseProgress, `/admin/v1/fleets/${id}/releases/${commit}/progress?${query}`);

/** Reports as an agent does: the running release, and the releases with the status of their update. */
async function report(
  fleet: TestFleet,
  { uuid, api_key: key }: Registered,
  running: string | undefined,
  statuses: Readonly<Record<string, string>>,
  percent?: number,
) {
  const releases = Object.fromEntries(
    Object.entries(statuses).map(([commit, update_status]) => {
      const isDownloading = update_status === "downloading" && percent !== undefined;
      const service = isDownloading ? { status: "Downloading", download_progress: percent } : { status: "Running" };
      return [commit, { update_status, services: { web: { image: `web:${commit}`, ...service } } }];
    }),
  );
  const app = { ...(running !== undefined && { release_uuid: running }), releases };
  const { status } = await cloud.ask("PATCH", "/device/v3/state", { [uuid]: { apps: { [fleet.uuid]: app } } }, key);
  expect(status).toBe(200);
}

const none = { done: 0, settling: 0, updating: 0, waiting: 0, failed: 0, offline: 0 };

test("the devices that should run a release are counted by state, and the failed ones listed first", async () => {
  const fleet = await newFleet(cloud, "followed");
  const devices = await Promise.all(Array.from({ length: 7 }, () => newDevice(cloud, fleet)));
  const [done, rejecting, slow, fast, old, asleep, pinned] = devices;
  if (!done || !rejecting || !slow || !fast || !old || !asleep || !pinned) throw new Error("No devices");
  await release(fleet, "one");
  for (const device of devices) await report(fleet, device, "one", { one: "done" });
  expect(await progress(fleet, "one")).toMatchObject({ devices: 7, counts: { ...none, done: 7 }, progress: null });
  await cloud.ask("PATCH", `/admin/v1/devices/${pinned.uuid}`, { release: "one" });

  await report(fleet, old, "one", { one: "rejected" });
  await release(fleet, "two");
  expect(await progress(fleet, "one")).toMatchObject({ devices: 1, counts: { ...none, done: 1 } });
  await expect.poll(async () => (await progress(fleet, "two")).counts).toEqual({ ...none, offline: 6 });

  await report(fleet, done, "two", { two: "done" });
  await report(fleet, rejecting, "one", { one: "done", two: "rejected" });
  await report(fleet, slow, "one", { one: "done", two: "downloading" }, 20);
  await report(fleet, fast, "one", { one: "done", two: "downloading" }, 60);
  await cloud.ask("GET", `/device/v3/${old.uuid}/state`, undefined, old.api_key);
  const all = await progress(fleet, "two");
  expect(all).toMatchObject({
    ...{ commit: "two", devices: 6, progress: 40 },
    counts: { done: 1, settling: 0, updating: 2, waiting: 1, failed: 1, offline: 1 },
  });
  expect(all.first.map(({ uuid, state, updateStatus }) => [uuid, state, updateStatus])).toEqual([
    [rejecting.uuid, "failed", "rejected"],
    [slow.uuid, "updating", "downloading"],
    [fast.uuid, "updating", "downloading"],
    // What it has rejected was another release.
    [old.uuid, "waiting", null],
    [asleep.uuid, "offline", null],
    [done.uuid, "done", "done"],
  ]);
  expect(all.first[0]?.reasons).toEqual(["The device reports that the update was rejected"]);
  expect(all.first[1]?.progress).toBe(20);
  expect((await progress(fleet, "two", "stayUp=0&limit=2")).first.map(({ uuid }) => uuid)).toEqual([
    rejecting.uuid,
    slow.uuid,
  ]);
});

test("a problem is the reason of a device, and says at which stage of the update it has failed", async () => {
  const fleet = await newFleet(cloud, "with problems");
  const device = await newDevice(cloud, fleet);
  await release(fleet, "one");
  const stateWith = async (running: string | undefined, status: string, kind?: string) => {
    const problem = { kind, message: `It is ${kind}`, service: "web", since: "2026-01-01T00:00:00Z" };
    await report(fleet, device, running, { one: status });
    const body = { [device.uuid]: { problems: kind === undefined ? [] : [problem] } };
    expect((await cloud.ask("PATCH", "/device/v3/state", body, device.api_key)).status).toBe(200);
    const [one] = (await progress(fleet, "one")).first;
    return [one?.state, one?.reasons];
  };
  expect(await stateWith(undefined, "downloading", "imageUnavailable")).toEqual([
    "updating",
    ["web: It is imageUnavailable"],
  ]);
  expect(await stateWith(undefined, "downloading", "imageNotFound")).toEqual(["failed", ["web: It is imageNotFound"]]);
  // The crash loop is one of the release before.
  expect(await stateWith(undefined, "downloading", "crashLoop")).toEqual(["updating", ["web: It is crashLoop"]]);
  expect(await stateWith(undefined, "downloaded", "locked")).toEqual(["updating", ["web: It is locked"]]);
  expect(await stateWith(undefined, "applying changes", "portTaken")).toEqual(["failed", ["web: It is portTaken"]]);
  expect(await stateWith("one", "done", "crashLoop")).toEqual(["failed", ["web: It is crashLoop"]]);
  expect(await stateWith("one", "done")).toEqual(["done", []]);
});

test("the reason of a release that was rejected is why its update has failed, not a problem of the release that came back", async () => {
  const fleet = await newFleet(cloud, "went back");
  const device = await newDevice(cloud, fleet);
  await release(fleet, "one");
  await release(fleet, "two");
  await report(fleet, device, "one", { one: "done", two: "rejected" });
  const since = "2026-01-01T00:00:00Z";
  const problems = [
    { kind: "crashLoop", message: "It has exited 3 times", service: "db", since },
    { kind: "updateFailed", message: "web: it did not get healthy", since },
  ];
  await cloud.ask("PATCH", "/device/v3/state", { [device.uuid]: { problems } }, device.api_key);
  expect((await progress(fleet, "two")).first).toMatchObject([
    { state: "failed", updateStatus: "rejected", reasons: ["web: it did not get healthy"] },
  ]);
  // The next release has not failed.
  await release(fleet, "three");
  expect((await progress(fleet, "three")).counts.failed).toBe(0);
});

test("a device that has just reported is settling until the time of stayUp has passed", async () => {
  const fleet = await newFleet(cloud, "settling");
  const device = await newDevice(cloud, fleet);
  await release(fleet, "one");
  await report(fleet, device, "one", { one: "done" });
  expect((await progress(fleet, "one", "stayUp=3600")).counts).toEqual({ ...none, settling: 1 });
  expect((await progress(fleet, "one", "stayUp=1")).counts).toEqual({ ...none, settling: 1 });
  await expect
    .poll(async () => (await progress(fleet, "one", "stayUp=1")).counts, { timeout: 5000 })
    .toEqual({
      ...none,
      done: 1,
    });
});

test.each([
  ["fleets/999999/releases/one/progress", 404, /no such fleet/],
  ["fleets/:id/releases/nothing/progress", 404, /no release with this commit/],
  ["fleets/:id/releases/one/progress?stayUp=long", 400, /^stayUp: expected seconds/],
  ["fleets/:id/releases/one/progress?limit=501", 400, /^limit: /],
])("%s answers %i", async (path, status, message) => {
  const fleet = await newFleet(cloud, `bad ${path}`.slice(0, 90));
  await release(fleet, "one");
  const answer = await cloud.ask("GET", `/admin/v1/${path.replace(":id", String(fleet.id))}`);
  expect([answer.status, answer.json]).toEqual([
    status,
    expect.objectContaining({ detail: expect.stringMatching(message) }),
  ]);
});

test("a release says when the devices that run it came to run it, at most 101 times", async () => {
  const fleet = await newFleet(cloud, "arrivals");
  const told = (commit: string) => {
    const Told = z.looseObject({ arrivals: z.array(Arrival), createdAt: z.string() });
    return cloud.get(Told, `/admin/v1/fleets/${fleet.id}/releases/${commit}`);
  };
  await release(fleet, "one");
  expect((await told("one")).arrivals).toEqual([]);
  const devices = await Promise.all(Array.from({ length: 230 }, () => newDevice(cloud, fleet)));
  const [first, second] = devices;
  if (!first || !second) throw new Error("No devices");
  await report(fleet, first, "one", { one: "done" });
  await report(fleet, second, "one", { one: "done" });
  const { arrivals: two, createdAt } = await told("one");
  expect(two.map(({ devices: count }) => count)).toEqual([1, 2]);
  expect([createdAt, ...two.map(({ at }) => at)]).toEqual([createdAt, ...two.map(({ at }) => at)].toSorted());
  // A further report is no arrival, a change to another release ends one.
  await report(fleet, first, "one", { one: "applying changes" });
  expect((await told("one")).arrivals).toEqual(two);
  await release(fleet, "two");
  await report(fleet, first, "two", { two: "done" });
  expect((await told("one")).arrivals.map(({ devices: count }) => count)).toEqual([1]);
  for (const device of devices.slice(1)) await report(fleet, device, "two", { two: "done" });
  const { arrivals: all } = await told("two");
  expect(all.length).toBeLessThanOrEqual(101);
  expect(all.at(-1)?.devices).toBe(230);
});
