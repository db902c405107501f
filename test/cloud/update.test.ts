import { expect, test } from "vitest";
import * as z from "zod";
import { cloudWithDevice, member, part, until, uuid, type Member } from "./fleet.ts";

/** What the device reports on its API and to its cloud at every moment of an update. */

const web = "127.0.0.1:5000/v2/4f9ef689f5cf6bb8d5482ff67c68fb54";
const db = "127.0.0.1:5000/v2/5f21fffe9215f95f8f119dea0cfd8845";
const web2 = "127.0.0.1:5000/v2/f9ef1f42d7fc0ff0eb098c32dbc3edbe";

const Summary = z.looseObject({
  update_pending: z.boolean(),
  update_downloaded: z.boolean(),
  update_failed: z.boolean(),
  commit: z.string().optional(),
  status: z.string().optional(),
  download_progress: z.number().nullable().optional(),
});
type Summary = z.output<typeof Summary>;

const summaryOf = async (device: Member): Promise<Summary> => {
  const key = device.supervisor.keys.global();
  return Summary.parse(await (await device.fetch(new Request(`http://device/v1/device?apikey=${key}`))).json());
};

/** Asks repeatedly until it is stopped. Each answer comes with the engine's state before and after it. */
async function watch(device: Member, ended: () => boolean) {
  const seen: { summary: Summary; hasImage: boolean | undefined; target: string | undefined }[] = [];
  const hasImage = async () => (await device.engine.look()).images.some(({ tags }) => tags.includes(`${web2}:latest`));
  const target = () => device.supervisor.targets.current().apps[0]?.commit;
  while (!ended()) {
    const [image, commit] = [await hasImage(), target()];
    const summary = await summaryOf(device);
    const stable = image === (await hasImage());
    seen.push({ summary, hasImage: stable ? image : undefined, target: commit === target() ? commit : undefined });
    await new Promise((resolve) => setImmediate(resolve));
  }
  return seen;
}

test("GET /v1/device is correct at every moment of an update", async () => {
  const { cloud, known } = await cloudWithDevice();
  cloud.setTarget(uuid, "c1", { id: 1, services: { web: part(1, web) } });
  const device = await member(cloud, { key: "device-key", pullMs: 8_000 });
  await until("it runs", () => known.running === "c1");
  expect(await summaryOf(device)).toMatchObject({
    update_pending: false,
    update_downloaded: false,
    update_failed: false,
    commit: "c1",
    status: "Idle",
    download_progress: null,
  });

  let isOver = false;
  const watched = watch(device, () => isOver);
  cloud.setTarget(uuid, "c2", { id: 2, services: { web: part(1, web2) } });
  device.supervisor.cloud?.update({ force: false });
  await until("it runs the next one", async () => (await summaryOf(device)).commit === "c2");
  isOver = true;
  const seen = await watched;

  const during = seen.filter(({ target, summary }) => target === "c2" && summary.commit !== "c2");
  expect(during.length).toBeGreaterThan(20);
  for (const { summary, hasImage } of during) {
    expect(summary).toMatchObject({ update_pending: true, update_failed: false });
    expect(summary.commit).toBeUndefined();
    // An image may be on the engine before the agent has observed it.
    if (hasImage === false) expect(summary.update_downloaded).toBe(false);
  }
  const percents = during.flatMap(({ summary }) => summary.download_progress ?? []);
  expect(percents).toEqual([...percents].sort((a, b) => a - b));
  expect(percents.length).toBeGreaterThan(5);
  expect(during.some(({ summary }) => summary.update_downloaded)).toBe(true);
  expect(seen.filter(({ summary }) => summary.commit === "c2").every(({ summary }) => !summary.update_pending)).toBe(
    true,
  );
});

test("an update that cannot be downloaded is pending and failed, and the cloud sees the old release running", async () => {
  const { cloud, known } = await cloudWithDevice();
  cloud.setTarget(uuid, "c1", { id: 1, services: { web: part(1, web) } });
  let isThere = false;
  const registry = (name: string) => (name.startsWith(web2) && !isThere ? undefined : {});
  const device = await member(cloud, { key: "device-key", registry });
  await until("it runs", () => known.running === "c1");
  await until("its log is there", () => known.logs.some(({ message }) => message.startsWith("Started service")));
  const [reports, lines] = [known.reports.length, known.logs.length];
  cloud.setTarget(uuid, "c2", { id: 2, services: { web: part(1, web2) } });
  device.supervisor.cloud?.update({ force: false });
  await until("it has failed", async () => (await summaryOf(device)).update_failed);
  expect(await summaryOf(device)).toMatchObject({ update_pending: true, update_downloaded: false });
  const tries = () => device.log.lines.filter((line) => line.startsWith("error: Failed to download image")).length;
  await until("it has been tried five times", () => tries() >= 5);
  await until("the cloud knows", () => known.updateStatus === "downloading");
  expect(known.running).toBe("c1");
  expect(known.installs.get(web)).toMatchObject({ status: "Running", commit: "c1" });
  expect(known.installs.get(web2)).toMatchObject({ status: "Downloading", commit: "c2" });
  // Nothing has changed since.
  expect(known.reports.slice(reports)).toHaveLength(1);
  await until("the log has arrived", () => known.logs.slice(lines).length >= 8);
  const said = known.logs.slice(lines).map(({ message }) => message.replace(/'.*/, "").trim());
  expect(new Set(said)).toEqual(new Set(["Downloading image", "Failed to download image"]));
  isThere = true;
  await until("it runs", () => known.updateStatus === "done");
  expect(await summaryOf(device)).toMatchObject({ update_pending: false, update_failed: false, commit: "c2" });
  await until("the old one is gone", () => known.installs.get(web)?.status === "deleted");
});

test("the cloud sees the old release running until the new one runs, with the cloud's own image names", async () => {
  const { cloud, known } = await cloudWithDevice();
  cloud.setTarget(uuid, "c1", { id: 1, services: { web: part(1, web), db: part(2, db) } });
  const device = await member(cloud, { key: "device-key", pullMs: 60_000 });
  await until("it runs", () => known.running === "c1", 20_000);
  const before = known.reports.length;
  device.folders.lock(1, "web");
  // The second service is the same in both releases.
  cloud.setTarget(uuid, "c2", { id: 2, services: { web: part(1, web2), db: part(2, db) } });
  device.supervisor.cloud?.update({ force: false });
  await until("it is downloaded", () => known.updateStatus === "downloaded");
  expect(known.installs.get(web2)).toMatchObject({ status: "Downloaded", progress: null, commit: "c2" });
  expect(known.installs.get(web)).toMatchObject({ status: "Running", commit: "c1" });
  expect(known.installs.get(db)).toMatchObject({ status: "Running" });
  expect(known.running).toBe("c1");
  device.folders.unlock(1, "web");
  await until("it runs", () => known.installs.get(web2)?.status === "Running");
  expect(known.running).toBe("c2");
  expect(known.installs.get(web)?.status).toBe("deleted");

  const after = known.reports.slice(before).map((report) => JSON.stringify(report));
  const told = after.flatMap((report) => /"c2":\{"update_status":"([^"]+)"/.exec(report)?.[1] ?? []);
  expect(told[0]).toBe("downloading");
  // A report may fall into the moment between.
  const others = told.filter((status) => status !== "applying changes");
  expect(new Set(others)).toEqual(new Set(["downloading", "downloaded", "done"]));
  expect(after.every((report) => !report.includes(":latest"))).toBe(true);
});

test("a device that is pinned to another release and back within five minutes is always reported as running", async () => {
  const { cloud, known } = await cloudWithDevice();
  const [c1, c2] = [
    { id: 1, services: { web: part(1, web), db: part(2, db) } },
    { id: 2, services: { web: part(1, web2) } },
  ];
  cloud.setTarget(uuid, "c1", c1);
  // The second download is too fast to appear in a report.
  const device = await member(cloud, { key: "device-key", pullMs: 100 });
  const pin = async (commit: string, release: typeof c1 | typeof c2) => {
    cloud.setTarget(uuid, commit, release);
    device.supervisor.cloud?.update({ force: false });
    await until(`it runs ${commit}`, () => known.running === commit && known.updateStatus === "done");
  };
  await pin("c1", c1);
  // Before the first update, no report contains a value that the cloud would not store again.
  for (let n = 0; n < 3; n++) {
    await pin("c2", c2);
    expect(known.installs.get(db)?.status).toBe("deleted");
    await pin("c1", c1);
    for (const image of [web, db]) expect(known.installs.get(image)?.status).toBe("Running");
    await until("that is no download", () => known.installs.get(db)?.progress === null);
  }
});

test("an old release that the cloud has deleted does not prevent the report of the new one", async () => {
  const { cloud, known } = await cloudWithDevice();
  cloud.setTarget(uuid, "c1", { id: 1, services: { web: part(1, web) } });
  const device = await member(cloud, { key: "device-key" });
  await until("it runs", () => known.running === "c1");
  device.folders.lock(1, "web");
  cloud.setTarget(uuid, "c2", { id: 2, services: { web: part(1, web2) } });
  cloud.releases.delete("c1");
  device.supervisor.cloud?.update({ force: false });
  await until("it is told of the new one", () => known.installs.get(web2)?.status === "Downloaded");
  expect(known.updateStatus).toBe("downloaded");
  expect(device.log.lines.filter((line) => line.includes("does not take this device's apps"))).toEqual([]);
});

test("the cloud and GET /v1/device show the old release running after a new one is rejected", async () => {
  const { cloud, known } = await cloudWithDevice();
  cloud.setTarget(uuid, "c1", { id: 1, services: { web: part(1, web), db: part(2, db) } });
  const device = await member(cloud, { key: "device-key" });
  await until("it runs", () => known.running === "c1");
  const contract = { type: "sw.container", requires: [{ type: "sw.supervisor", version: ">=99.0.0" }] };
  cloud.setTarget(uuid, "c2", { id: 2, services: { web: part(1, web2, { contract }), db: part(2, db) } });
  device.supervisor.cloud?.update({ force: false });
  await until("it is rejected", () => known.updateStatus === "rejected");
  expect(known.running).toBe("c1");
  for (const image of [web, db]) expect(known.installs.get(image)).toMatchObject({ status: "Running" });
  expect(known.installs.get(web2)).toBeUndefined();
  await device.settled();
  expect(await summaryOf(device)).toMatchObject({ commit: "c1", status: "Idle", update_pending: false });
  await until("it is said", () => known.logs.some(({ message }) => message.includes("the release is rejected")));
  expect(known.logs.find(({ message }) => message.includes("the release is rejected"))).toMatchObject({
    isStdErr: true,
  });
});
