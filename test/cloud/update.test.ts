import { expect, test } from "vitest";
import * as z from "zod";
import { cloudWithDevice, member, part, until, uuid, type Member } from "./fleet.ts";

/** What the device says of itself, on its API and to its cloud, at every moment of an update. */

const web = "127.0.0.1:5000/v2/4f9ef689f5cf6bb8d5482ff67c68fb54";
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

/** Asks over and over, until told to stop; each answer with what there was on the engine before and after it. */
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

test("GET /v1/device is true at every moment of an update", async () => {
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
    // Between the engine's having it and our having looked, it may be there and not be known yet.
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

test("an update that cannot be fetched is pending and failed, until it can", async () => {
  const { cloud, known } = await cloudWithDevice();
  cloud.setTarget(uuid, "c1", { id: 1, services: { web: part(1, web) } });
  let isThere = false;
  const registry = (name: string) => (name.startsWith(web2) && !isThere ? undefined : {});
  const device = await member(cloud, { key: "device-key", registry });
  await until("it runs", () => known.running === "c1");
  cloud.setTarget(uuid, "c2", { id: 2, services: { web: part(1, web2) } });
  device.supervisor.cloud?.update({ force: false });
  await until("it has failed", async () => (await summaryOf(device)).update_failed);
  expect(await summaryOf(device)).toMatchObject({ update_pending: true, update_downloaded: false });
  await until("the cloud knows", () => known.updateStatus === "aborted");
  expect(known.running).toBe("c1");
  isThere = true;
  await until("it runs", () => known.updateStatus === "done");
  expect(await summaryOf(device)).toMatchObject({ update_pending: false, update_failed: false, commit: "c2" });
});

test("the cloud sees the old release run until the new one does, each image by the name that it gave it", async () => {
  const { cloud, known } = await cloudWithDevice();
  cloud.setTarget(uuid, "c1", { id: 1, services: { web: part(1, web) } });
  const device = await member(cloud, { key: "device-key", pullMs: 60_000 });
  await until("it runs", () => known.running === "c1", 20_000);
  const before = known.reports.length;
  device.folders.lock(1, "web");
  cloud.setTarget(uuid, "c2", { id: 2, services: { web: part(1, web2) } });
  device.supervisor.cloud?.update({ force: false });
  await until("it is downloaded", () => known.updateStatus === "downloaded");
  expect(known.installs.get(web2)).toMatchObject({ status: "Downloaded", progress: null, commit: "c2" });
  expect(known.running).toBe("c1");
  device.folders.unlock(1, "web");
  await until("it runs", () => known.installs.get(web2)?.status === "Running");
  expect(known.running).toBe("c2");

  const told = known.reports
    .slice(before)
    .flatMap((report) => JSON.stringify(report).match(/"update_status":"[^"]+"/g) ?? []);
  expect(told.slice(0, 1)).toEqual(['"update_status":"downloading"']);
  expect(new Set(told)).toEqual(
    new Set(['"update_status":"downloading"', '"update_status":"downloaded"', '"update_status":"done"']),
  );
  expect(known.reports.slice(before).every((report) => !JSON.stringify(report).includes(":latest"))).toBe(true);
});
