import { expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { MemoryLog } from "../../core/embedded/ports.ts";
import type { Fetch } from "../../core/http/fetch.ts";
import { systemClock } from "../../core/ports/clock.ts";
import { startTunnel } from "../../runtimes/node/cloud/tunnel.ts";
import { startCloud } from "./cloud.ts";
import { connected } from "./devices.ts";
import { newDevice, newFleet, newUuid, type Registered, type TestFleet } from "./people.ts";

/** Which devices are asked to fetch their target state after a change, and how often. */
const cloud = startCloud();

const directory = { name: "directory" };

/** Runs a statement in the directory's database. */
async function sql<T>(shape: z.ZodType<T>, statement: string, ...values: readonly (string | number)[]): Promise<T> {
  const storage = await cloud.worker.getWorker().getDurableObjectStorage("Directory", directory);
  return shape.parse(await storage.exec(statement, ...values));
}
const Counts = z.array(z.object({ n: z.int() }));
const count = async (from: string) => (await sql(Counts, `SELECT count(*) AS n FROM ${from}`))[0]?.n;
const isEmpty = () => expect.poll(() => count("update_requests"), { timeout: 90_000, interval: 200 }).toBe(0);

interface Listening extends Registered {
  readonly stop: () => void;
}

/** The uuids of the devices that were asked, in that order; `answer` is called for each. */
function audience(answer: (uuid: string) => Promise<Response> = async () => new Response(null, { status: 204 })) {
  const asked: string[] = [];
  const listen = async (fleet: TestFleet): Promise<Listening> => {
    const device = await newDevice(cloud, fleet);
    const { uuid, api_key: key } = device;
    const fetch: Fetch = ({ url }) => {
      if (new URL(url).pathname === "/v1/update") asked.push(uuid);
      return answer(uuid);
    };
    const tunnel = startTunnel({ url: cloud.url(), uuid, key, fetch, clock: systemClock, log: new MemoryLog() });
    onTestFinished(() => tunnel.stop());
    await connected(tunnel);
    return { ...device, stop: tunnel.stop };
  };
  const timesOf = ({ uuid }: Registered) => asked.filter((one) => one === uuid).length;
  return { asked, listen, timesOf };
}

/** An audience whose answers wait until the test gives them. */
function held() {
  let isHeld = true;
  const waiting: (() => void)[] = [];
  const all = audience(
    () =>
      new Promise((resolve) => {
        const answer = () => resolve(new Response(null, { status: 204 }));
        if (isHeld) waiting.push(answer);
        else answer();
      }),
  );
  return {
    ...all,
    answerOne: () => waiting.shift()?.(),
    answerAll: () => {
      isHeld = false;
      waiting.splice(0).forEach((answer) => answer());
    },
  };
}

async function many(fleet: TestFleet, listen: (fleet: TestFleet) => Promise<Listening>, size: number) {
  const devices: Listening[] = [];
  for (let n = 0; n < size; n += 20)
    devices.push(...(await Promise.all(Array.from({ length: Math.min(20, size - n) }, () => listen(fleet)))));
  return devices;
}

const release = async (fleet: TestFleet, image: string) => {
  const body = { composition: { services: { web: { image } } } };
  expect((await cloud.ask("POST", `/admin/v1/fleets/${fleet.id}/releases`, body)).status).toBe(201);
};
const setVariable = async (path: string, value: string) =>
  expect((await cloud.ask("POST", `/admin/v1/${path}/variables`, { variables: { A: value } })).status).toBe(204);

const begun = (asked: readonly string[], n: number) =>
  expect.poll(() => asked.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(n);

test("a release is answered while devices are asked 50 at a time; a deployment loses none of them", async () => {
  const fleet = await newFleet(cloud, "deployed");
  const { asked, listen, timesOf, answerAll } = held();
  const devices = await many(fleet, listen, 200);
  await release(fleet, "web:1");
  await begun(asked, 50);
  expect([asked.length, await count("update_requests")]).toEqual([50, 200]);

  await cloud.worker.update((options) => options);
  answerAll();
  await isEmpty();
  const Offline = z.array(z.object({ uuid: z.string() }));
  const offline = await sql(Offline, "SELECT uuid FROM devices WHERE offline_at IS NOT NULL");
  const found = new Set(offline.map(({ uuid }) => uuid));
  expect(devices.filter((one) => timesOf(one) === 0 && !found.has(one.uuid))).toEqual([]);
  // Only the outcomes of the 50 requests in progress were lost.
  expect(asked.length).toBeLessThanOrEqual(250);
}, 120_000);

test("a device that waits gets one request for two changes, one whose request has begun gets another", async () => {
  const fleet = await newFleet(cloud, "changed twice");
  const { asked, listen, timesOf, answerAll } = held();
  const devices = await many(fleet, listen, 80);
  await release(fleet, "web:1");
  await begun(asked, 50);
  const first = new Set(asked);
  await setVariable(`fleets/${fleet.id}`, "1");
  answerAll();
  await isEmpty();
  expect(devices.map((one) => timesOf(one))).toEqual(devices.map(({ uuid }) => (first.has(uuid) ? 2 : 1)));
}, 120_000);

test("the change of one device does not wait for a fleet's", async () => {
  const fleet = await newFleet(cloud, "large");
  const { asked, listen, answerOne, answerAll } = held();
  await many(fleet, listen, 60);
  const alone = await listen(await newFleet(cloud, "small"));
  await release(fleet, "web:1");
  await begun(asked, 50);
  await setVariable(`devices/${alone.uuid}`, "1");
  answerOne();
  await begun(asked, 51);
  expect(asked[50]).toBe(alone.uuid);
  answerAll();
  await isEmpty();
}, 120_000);

test("a device whose request fails is asked again a few times, also after an eviction, and does not stop the others", async () => {
  const fleet = await newFleet(cloud, "failing");
  const bad = audience(async () => {
    throw new Error("as an agent that is broken");
  });
  const failing = await bad.listen(fleet);
  const good = audience();
  const devices = await many(fleet, good.listen, 60);
  await release(fleet, "web:1");
  const Attempts = z.array(z.object({ attempts: z.int() }));
  const rows = () => sql(Attempts, "SELECT attempts FROM update_requests");
  await expect.poll(rows, { timeout: 20_000 }).toEqual([{ attempts: 1 }]);
  expect([bad.timesOf(failing), ...devices.map(good.timesOf)]).toEqual([1, ...devices.map(() => 1)]);

  await cloud.worker.getWorker().evictDurableObject("Directory", directory);
  await expect.poll(() => bad.timesOf(failing), { timeout: 20_000 }).toBe(2);
  await expect.poll(rows, { timeout: 20_000 }).toEqual([{ attempts: 2 }]);
  // The last attempt, at once.
  await sql(z.unknown(), "UPDATE update_requests SET attempts = 3, due_at = 0");
  await setVariable(`devices/${devices[0]?.uuid}`, "1");
  await isEmpty();
  expect(bad.timesOf(failing)).toBe(3);
}, 120_000);

test("more devices than one alarm may ask are asked by the next ones", async () => {
  const fleet = await newFleet(cloud, "asleep");
  const uuids = Array.from({ length: 900 }, newUuid);
  await sql(
    z.unknown(),
    `INSERT INTO devices (uuid, name, fleet_id, device_type, key_digest, created_at)
     SELECT value, 'asleep', ?, 'generic-amd64', value, '' FROM json_each(?)`,
    ...[fleet.id, JSON.stringify(uuids)],
  );
  await release(fleet, "web:1");
  await isEmpty();
  expect(await count(`devices WHERE fleet_id = ${fleet.id} AND offline_at IS NOT NULL`)).toBe(900);
}, 120_000);

test("a fleet's change leaves out a device that was not connected, until it is heard of", async () => {
  const fleet = await newFleet(cloud, "half asleep");
  const { asked, listen, timesOf } = audience();
  const awake = await listen(fleet);
  const asleep = await listen(fleet);
  await sql(z.unknown(), "UPDATE devices SET offline_at = '2026' WHERE uuid = ?", asleep.uuid);
  await release(fleet, "web:1");
  await begun(asked, 1);
  await isEmpty();
  expect([timesOf(awake), timesOf(asleep)]).toEqual([1, 0]);
  await cloud.ask("GET", `/device/v3/${asleep.uuid}/state`, undefined, asleep.api_key);
  await release(fleet, "web:2");
  await begun(asked, 3);
  expect([timesOf(awake), timesOf(asleep)]).toEqual([2, 1]);

  awake.stop();
  await sql(z.unknown(), "UPDATE devices SET offline_at = '2026' WHERE uuid = ?", asleep.uuid);
  await setVariable(`devices/${asleep.uuid}`, "1");
  await expect.poll(() => timesOf(asleep), { timeout: 5000 }).toBe(2);
}, 120_000);
